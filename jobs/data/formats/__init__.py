"""How a sample becomes examples: each format is a file behind one interface."""

from __future__ import annotations

from jobs.data.encoder import Encoder
from jobs.data.formats.fim import FimFormat
from jobs.data.formats.instruct import InstructFormat
from jobs.data.formats.interface import IGNORED, Example, Format, Probe
from starfreight.recipe import Data

__all__ = ["IGNORED", "Example", "Format", "Probe", "make_format"]

_FORMATS: dict[str, type[Format]] = {"fim": FimFormat, "instruct": InstructFormat}


def make_format(data: Data, encoder: Encoder, length: int) -> Format:
    """The format that a source of a recipe asks for, for examples of at most ``length`` tokens."""
    return _FORMATS[data.format](data, encoder, length)
