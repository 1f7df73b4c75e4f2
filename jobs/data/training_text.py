"""The text of a sample for training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from starfreight.jobs.data.dialects.describe import read_sample
from starfreight.jobs.data.dialects.interface import Reading
from starfreight.jobs.data.sources.interface import Sample
from starfreight.recipe.data import Data

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


def sample_text(sample: Sample, data: Data) -> str:
    """Return the text of a sample of a source for training.

    Raises:
        InputError: a record of instructions is of no known dialect, or has an invalid value.
    """
    if data.format == "instruct":
        return conversation_text(sample.content, read_sample(sample, data))
    return training_text(sample.content)


def conversation_text(content: str | Mapping[str, Any], reading: Reading) -> str:
    """Return the texts of a record of instructions: those of its turns, separated by empty lines.

    Records that earlier releases read in the same way keep the text of that time, on which their split
    depends.
    """
    if reading.as_before or not reading.turns:
        return training_text(content)
    return "\n\n".join(turn.text for turn in reading.turns)


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
