"""Formats, which convert samples to examples: one file per format, behind one interface."""

from __future__ import annotations

from starfreight.jobs.data.encoder import Encoder
from starfreight.jobs.data.formats.code import CodeFormat
from starfreight.jobs.data.formats.fim import FimFormat
from starfreight.jobs.data.formats.instruct import InstructFormat
from starfreight.jobs.data.formats.interface import IGNORED, Example, Format, LeftOutExample, Probe
from starfreight.jobs.data.formats.repository import RepositoryFormat
from starfreight.recipe import Data

__all__ = ["IGNORED", "Example", "Format", "LeftOutExample", "Probe", "make_format"]

_FORMATS: dict[str, type[Format]] = {
    "code": CodeFormat,
    "fim": FimFormat,
    "instruct": InstructFormat,
    "repository": RepositoryFormat,
}


def make_format(data: Data, encoder: Encoder, length: int) -> Format:
    """Return the format of a source, for examples of at most ``length`` tokens.

    Raises:
        InputError: the tokenizer lacks tokens required by the format.
    """
    return _FORMATS[data.format](data, encoder, length)
