"""The text of a sample for training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_TRAINED_ON = ("prefix", "middle", "suffix", "prompt", "response", "messages")
"""The fields of a record for examples; others (``id``, ``source``) are not read."""
_DEEPEST = 16


def training_text(content: str | Mapping[str, Any]) -> str:
    """Return a text unchanged, or the texts of a record for training, in order.

    The parts of a fill-in-the-middle record are joined to one text; others are separated by an empty line.
    """
    if isinstance(content, str):
        return content
    parts = [content.get(name) for name in _TRAINED_ON[:3]]
    if all(isinstance(part, str) for part in parts):
        return "".join(str(part) for part in parts)
    fields = [content[name] for name in _TRAINED_ON if name in content] or list(content.values())
    return "\n\n".join(piece for field in fields for piece in _strings(field, 0))


def _strings(value: Any, depth: int) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        # The role of a message is not part of its text.
        values = [value["content"]] if isinstance(value.get("content"), str) else list(value.values())
        if depth < _DEEPEST:
            for item in values:
                yield from _strings(item, depth + 1)
    elif isinstance(value, (list, tuple)) and depth < _DEEPEST:
        for item in value:
            yield from _strings(item, depth + 1)
