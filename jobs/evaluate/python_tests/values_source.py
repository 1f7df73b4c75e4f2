"""Plain values as JSON, between the box of the tests and the box of the model's code.

Never pickle: the model's code makes these bytes. Source text, for both boxes. JSON has too few types and no
large integers, so all but text, booleans, ``None`` and floats are tagged.
"""

from __future__ import annotations

VALUES_SOURCE = """
import collections as _collections, datetime as _datetime, decimal as _decimal, fractions as _fractions
import json as _json, sys as _sys

_MOST_ITEMS = 200_000


class NotPlain(Exception):
    pass


def _pack(value):
    kind = type(value)
    if value is None or kind in (bool, str, float):
        return value
    if kind is int:
        return {"int": hex(value)}
    if kind is list:
        return [_pack(item) for item in value]
    if isinstance(value, (bool, int)):
        return {"int": hex(int(value))}
    if isinstance(value, float):
        return float(value)
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, dict):
        return {"dict": [[_pack(key), _pack(item)] for key, item in dict.items(value)]}
    if isinstance(value, (tuple, set, frozenset, list, _collections.deque)):
        for base in (tuple, set, frozenset, list, _collections.deque):
            if isinstance(value, base):
                return {base.__name__: [_pack(item) for item in base.__iter__(value)]}
    if isinstance(value, (bytes, bytearray)):
        return {"bytes": bytes(value).hex()}
    if isinstance(value, complex):
        return {"complex": [value.real, value.imag]}
    if isinstance(value, range):
        return {"range": [_pack(value.start), _pack(value.stop), _pack(value.step)]}
    if isinstance(value, (_decimal.Decimal, _fractions.Fraction)):
        return {type(value).__name__: str(value)}
    if isinstance(value, (_datetime.datetime, _datetime.date, _datetime.time)):
        return {type(value).__name__: value.isoformat()}
    if hasattr(kind, "__next__"):
        items = []
        for item in value:
            items.append(_pack(item))
            if len(items) > _MOST_ITEMS:
                raise NotPlain("an iterator without an end")
        return {"iterator": items}
    raise NotPlain(f"a value of type {kind.__name__}")


def _unpack(value):
    if isinstance(value, list):
        return [_unpack(item) for item in value]
    if not isinstance(value, dict):
        return value
    ((tag, held),) = value.items()
    if tag == "int":
        return int(held, 16)
    if tag == "dict":
        return {_unpack(key): _unpack(item) for key, item in held}
    if tag == "bytes":
        return bytes.fromhex(held)
    if tag == "complex":
        return complex(*held)
    if tag == "range":
        return range(*map(_unpack, held))
    if tag in ("Decimal", "Fraction"):
        return getattr(_decimal if tag == "Decimal" else _fractions, tag)(held)
    if tag in ("datetime", "date", "time"):
        return getattr(_datetime, tag).fromisoformat(held)
    items = map(_unpack, held)
    if tag == "iterator":
        return iter(list(items))
    return {"tuple": tuple, "set": set, "frozenset": frozenset, "list": list,
            "deque": _collections.deque}[tag](items)


def _send(message):
    send_message(_json.dumps(message).encode())


def _receive():
    return _json.loads(receive_message())
"""
