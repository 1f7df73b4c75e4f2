"""Meaning of license expressions: ``AND`` binds to both licenses, ``OR`` leaves the choice.

strictest = evaluate("MIT AND (GPL-2.0-only OR Apache-2.0)", weight, max, min)

Names are in any spelling of :mod:`starfreight.licenses.registry`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from starfreight.licenses.registry import canonical_name, is_known, is_same
from starfreight.licenses.spdx import licensing, parse_license

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
        value: of a single license. An exception (``WITH``) only adds permissions and is left out.
        both: of values joined by ``AND``.
        either: of values joined by ``OR``.
    """
    tree = None if is_known(expression) else parse_license(expression)
    if tree is None:
        return value(expression)
    return _value(tree, value, both, either)


def license_names(expression: str) -> tuple[str, ...]:
    """The licenses in an expression, in its order."""
    return evaluate(expression, lambda name: (name,), _joined, _joined)


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


def _joined(parts: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for part in parts for name in part))


def _value(
    tree: Any,
    value: Callable[[str], Value],
    both: Callable[[Sequence[Value]], Value],
    either: Callable[[Sequence[Value]], Value],
) -> Value:
    if isinstance(tree, licensing().AND):
        return both([_value(part, value, both, either) for part in tree.args])
    if isinstance(tree, licensing().OR):
        return either([_value(part, value, both, either) for part in tree.args])
    license = getattr(tree, "license_symbol", tree)
    return value(str(license.render()))
