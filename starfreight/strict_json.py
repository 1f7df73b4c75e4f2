"""JSON from untrusted sources that all readers must read alike.

    value = strict_loads(data)                      # bytes of a manifest
    only_exact(value, {"config", "layers"})         # "Layers" is refused
    json.loads(text, object_pairs_hook=unique_names)

Python keeps the last of two equal names and tells ``layers`` from ``Layers``. Go, in which most registry
clients are written, reads ``Layers`` as ``layers`` and the last one wins, so one digest can mean two models
(CVE-2021-41190).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


def unique_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An ``object_pairs_hook`` for JSON that refuses an object with a duplicate name.

    Raises:
        ValueError: a name occurs twice.
    """
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the name {_first_duplicate(names)[:200]!r} is given twice")
    return found


def strict_loads(data: bytes) -> Any:
    """Parse JSON as strictly as any reader would: for manifests, indexes, statements and the like.

    Raises:
        ValueError: not JSON, not UTF-8, a byte order mark, ``NaN`` or ``Infinity``, an unpaired surrogate,
            two names in one object that are equal or differ only in case, or nesting without end.
    """
    try:
        value = json.loads(
            data.decode("utf-8"), object_pairs_hook=_unambiguous, parse_constant=_refuse_constant
        )
        if _SURROGATE.search(data):
            json.dumps(value, ensure_ascii=False).encode()
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    return value


def only_exact(value: Mapping[str, Any], names: Iterable[str]) -> None:
    """Refuse names that differ from a known one only in case, alone or beside it.

    Raises:
        ValueError: there is one.
    """
    known = {name.casefold(): name for name in names}
    for name in value:
        if known.get(name.casefold(), name) != name:
            raise ValueError(f"the name {name[:200]!r} is read as {known[name.casefold()]!r} by some clients")


def _unambiguous(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = unique_names(pairs)
    if len(found) > 1:
        # casefold also maps the two letters outside ASCII that Go takes for k and s.
        folded = [name.casefold() for name in found]
        if len(set(folded)) != len(folded):
            raise ValueError(f"the name {_first_duplicate(folded)[:200]!r} is given in two cases")
    return found


def _first_duplicate(names: list[str]) -> str:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    raise AssertionError("no duplicate")


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
