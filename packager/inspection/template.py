"""The prompt template, Ollama's parameters and the system prompt."""

from __future__ import annotations

import json
from typing import Any

from starfreight.console import human_count
from starfreight.errors import GateError
from starfreight.package import Descriptor
from starfreight.packager.inspection.interface import Inspected, Shown
from starfreight.pages.visible_text import shortened, visible
from starfreight.strict_json import strict_loads

_MOST_LINES = 30
_WIDTH = 300


def template(inspected: Inspected) -> Shown:
    """See :class:`~starfreight.packager.inspection.interface.Section`."""
    package = inspected.package
    prompt, system = _text(inspected, package.template), _text(inspected, package.system)
    settings = _settings(inspected)
    lines = ["none: Ollama passes the prompt on unchanged"] if prompt is None else _lines(prompt)
    if system is not None:
        lines += ["system prompt", *(f"  {line}" for line in _lines(system))]
    if settings:
        lines.append("parameters")
        for name, value in settings.items():
            lines.append(f"  {_one_line(name)}  {_one_line(json.dumps(value, ensure_ascii=False))}")
    return Shown("Prompt template", lines, {"template": prompt, "system": system, "parameters": settings})


def _lines(text: str) -> list[str]:
    lines = [_one_line(line) for line in text.splitlines()]
    more = len(lines) - _MOST_LINES
    rest = f"and {human_count(more, 'more lines')} with --json"
    return lines if more <= 0 else [*lines[:_MOST_LINES], rest]


def _one_line(text: str) -> str:
    return shortened(visible(text), _WIDTH)


def _text(inspected: Inspected, part: Descriptor | None) -> str | None:
    return None if part is None else inspected.layout.read(part).decode(errors="replace")


def _settings(inspected: Inspected) -> dict[str, Any]:
    part = inspected.package.settings
    if part is None:
        return {}
    try:
        found = strict_loads(inspected.layout.read(part))
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise GateError("The parameters are not a JSON object.", where=inspected.layout.where(part))
    return found
