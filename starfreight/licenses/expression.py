"""Meaning of license expressions: ``AND`` binds to both licenses, ``OR`` leaves the choice.

strictest = evaluate("MIT AND (GPL-2.0-only OR Apache-2.0)", weight, max, min)

Names are in any spelling of :mod:`starfreight.licenses.registry`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from starfreight.licenses.registry import canonical_name, is_known, is_same
from starfreight.licenses.spdx import has_listed_exception, licensing, parse_license

UNKNOWN = "NOASSERTION"
"""Nobody knows the license."""

Value = TypeVar("Value")


def evaluate(
    expression: str,
    value: Callable[[str], Value],
    both: Callable[[Sequence[Value]], Value],
    either: Callable[[Sequence[Value]], Value],
) -> Value:
    """The value of an expression, from those of its licenses.

    Args:
        expression: an SPDX expression, or one name in any spelling.
        value: of a single license. A listed exception (``WITH``) only adds permissions and is left out; any
            other one counts like a license joined by ``AND``.
        both: of values joined by ``AND``.
        either: of values joined by ``OR``. Unknown alternatives are left out (:func:`choices`).
    """
    tree = None if is_known(expression) else parse_license(expression)
    if tree is None:
        return value(expression)
    return _value(tree, value, both, either)


def license_names(expression: str) -> tuple[str, ...]:
    """The licenses in an expression, in its order."""
    tree = None if is_known(expression) else parse_license(expression)
    return (expression,) if tree is None else tuple(dict.fromkeys(_names(tree)))


def choices(tree: Any) -> tuple[Any, ...]:
    """The alternatives of an ``OR`` that can be chosen.

    ``NOASSERTION`` says that nobody knows a license. Nobody can choose it, so that the known alternatives
    are left; if there are none, all are returned.

    Args:
        tree: a parsed expression.
    """
    known = tuple(part for part in tree.args if not _is_unknown(part))
    return known or tuple(tree.args)


def includes(expression: str, license: str) -> bool:
    """True if whoever is bound by an expression is bound by a license, too.

    Args:
        expression: of the one license.
        license: a single one.
    """
    return evaluate(expression, lambda name: is_same(name, license), any, all)


def is_equal(one: str, other: str) -> bool:
    """True if two expressions name the same licenses."""
    return _canonical(one) == _canonical(other)


def _canonical(expression: str) -> frozenset[str]:
    return frozenset(canonical_name(name).casefold() for name in license_names(expression))


def _names(tree: Any) -> tuple[str, ...]:
    if isinstance(tree, licensing().AND | licensing().OR):
        return tuple(name for part in tree.args for name in _names(part))
    return _parts(tree)


def _parts(symbol: Any) -> tuple[str, ...]:
    """A license, and the addition to it that is on no list."""
    license = getattr(symbol, "license_symbol", None)
    if license is None:
        return (str(symbol.render()),)
    if has_listed_exception(symbol):
        return (str(license.render()),)
    return str(license.render()), str(symbol.exception_symbol.render())


def _is_unknown(tree: Any) -> bool:
    """True if a choice means terms that nobody knows."""
    if isinstance(tree, licensing().AND):
        return any(map(_is_unknown, tree.args))
    if isinstance(tree, licensing().OR):
        return all(map(_is_unknown, tree.args))
    return any(canonical_name(name) == UNKNOWN for name in _parts(tree))


def _value(
    tree: Any,
    value: Callable[[str], Value],
    both: Callable[[Sequence[Value]], Value],
    either: Callable[[Sequence[Value]], Value],
) -> Value:
    if isinstance(tree, licensing().AND):
        return both([_value(part, value, both, either) for part in tree.args])
    if isinstance(tree, licensing().OR):
        return either([_value(part, value, both, either) for part in choices(tree)])
    values = [value(name) for name in _parts(tree)]
    return values[0] if len(values) == 1 else both(values)
