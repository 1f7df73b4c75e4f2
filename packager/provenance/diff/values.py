"""Differences of values by name, for people and for ``--json``."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from starfreight.console import printable
from starfreight.packager.provenance.diff.interface import Section

_SHOWN = 80
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_DIGITS = 19
"""Length of a digest for people: twelve digits."""
_ABSENT = object()


def changed_values(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The values that differ, by name: ``{"before": ..., "after": ...}``, without the one that is absent."""
    found: dict[str, dict[str, Any]] = {}
    for name in dict.fromkeys([*before, *after]):
        one, two = before.get(name, _ABSENT), after.get(name, _ABSENT)
        if one is _ABSENT or two is _ABSENT or _encoded(one) != _encoded(two):
            sides = (("before", one), ("after", two))
            found[name] = {side: value for side, value in sides if value is not _ABSENT}
    return found


def values_section(before: Mapping[str, Any], after: Mapping[str, Any]) -> Section | None:
    """A section with a line for each value that differs."""
    found = changed_values(before, after)
    if not found:
        return None
    return Section(tuple(value_line(name, each) for name, each in found.items()), found)


def value_line(name: str, change: Mapping[str, Any]) -> str:
    """The line of a value that differs: ``training.steps: 250 -> 300``."""
    if "before" not in change:
        return printable(f"{name}: {shown(change['after'])} (new)")
    if "after" not in change:
        return printable(f"{name}: {shown(change['before'])} (removed)")
    return printable(f"{name}: {shown(change['before'])} -> {shown(change['after'])}")


def shown(value: Any) -> str:
    """A value in a few words."""
    if isinstance(value, str) and _DIGEST.fullmatch(value):
        return value[:_DIGITS]
    text = "none" if value is None else value if isinstance(value, str) and value else _encoded(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _encoded(value: Any) -> str:
    # 1, 1.0 and true are equal in Python, and different values of a recipe.
    return json.dumps(value, sort_keys=True, ensure_ascii=False)
