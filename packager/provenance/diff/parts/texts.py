"""The texts in packages: template, system prompt, parameters, licenses, documents and the model card."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator
from typing import Any

from starfreight.console import human_count, printable
from starfreight.package import Descriptor
from starfreight.packager.provenance.diff.interface import Section, Side
from starfreight.packager.provenance.diff.values import changed_values, value_line

_LONGEST = 1 << 20
_MOST_LINES = 1000
"""Longer texts are compared as a whole: finding the differences takes quadratic time."""
_SHOWN = 20
_NOTHING = b""
_CARD = "model card"
"""Made from all other parts, whose differences are shown."""


class TextsPart:
    """Texts that a client reads or a person has to see. Values of parameters are compared one by one."""

    name = "texts"

    def compare(self, before: Side, after: Side, names: int) -> Section | None:
        """See :class:`ComparedPart`."""
        one, two = _texts(before), _texts(after)
        lines: list[str] = []
        data: dict[str, Any] = {}
        for name in dict.fromkeys([*one, *two]):
            first, second = one.get(name), two.get(name)
            if first == second:
                continue
            data[name] = {
                "before": first.digest if first else None,
                "after": second.digest if second else None,
            }
            if first is None or second is None:
                lines.append(printable(f"{name}: {'new' if first is None else 'removed'}"))
                continue
            texts = [side.layout.read(each, _LONGEST) if each.size <= _LONGEST else None
                     for side, each in ((before, first), (after, second))]  # fmt: skip
            if texts[0] is None or texts[1] is None:
                lines.append(printable(f"{name}: {first.size:,} -> {second.size:,} bytes"))
            elif name == "parameters":
                lines += _parameters(*map(_json, texts))
            elif name == _CARD:
                changed = len(_changes(*map(_decoded, texts)))
                lines.append(f"{name}: {human_count(changed, 'lines')} differ{'s' if changed == 1 else ''}")
            else:
                lines.append(printable(f"{name}:"))
                lines += [printable(f"  {line}") for line in _diff(*map(_decoded, texts))]
        return Section(tuple(lines), data) if data else None


def _texts(side: Side) -> dict[str, Descriptor]:
    package = side.package
    named: dict[str, Descriptor | None] = {
        "template": package.template,
        "system prompt": package.system,
        "parameters": package.settings,
    }
    named |= {f"license {each.name}": each.text for each in package.licenses}
    named |= {each.name: each.text for each in package.documents}
    named[_CARD] = package.model_card
    return {name: each for name, each in named.items() if each is not None}


def _decoded(data: bytes | None) -> list[str]:
    return (data or _NOTHING).decode("utf-8", "replace").splitlines()


def _diff(before: list[str], after: list[str]) -> Iterator[str]:
    changes = _changes(before, after)
    yield from changes[:_SHOWN]
    if len(changes) > _SHOWN:
        yield f"and {human_count(len(changes) - _SHOWN, 'more lines')}"
    elif not changes:
        yield "other ends of lines"


def _changes(before: list[str], after: list[str]) -> list[str]:
    """Lines removed (``-``) and added (``+``); of long texts, all of both."""
    if len(before) > _MOST_LINES or len(after) > _MOST_LINES:
        return [*(f"-{line}" for line in before), *(f"+{line}" for line in after)]
    found = difflib.unified_diff(before, after, lineterm="", n=0)
    return [line for line in found if not line.startswith(("---", "+++", "@@"))]


def _json(data: bytes | None) -> Any:
    try:
        return json.loads(data or _NOTHING)
    except (ValueError, RecursionError):
        return None


def _parameters(before: Any, after: Any) -> Iterator[str]:
    if not isinstance(before, dict) or not isinstance(after, dict):
        yield "parameters: changed"
        return
    for name, change in changed_values(before, after).items():
        yield value_line(f"parameter {name}", change)
