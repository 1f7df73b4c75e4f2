"""How samples become examples: each format is a file behind one interface."""

from __future__ import annotations

from starfreight.jobs.data.encoder import Encoder
from starfreight.jobs.data.formats.code import CodeFormat
from starfreight.jobs.data.formats.fim import FimFormat
from starfreight.jobs.data.formats.instruct import InstructFormat
from starfreight.jobs.data.formats.interface import IGNORED, Example, Format, LeftOut, Probe
from starfreight.jobs.data.formats.repository import RepositoryFormat
from starfreight.recipe import Data

__all__ = ["IGNORED", "Example", "Format", "LeftOut", "Probe", "make_format"]

_FORMATS: dict[str, type[Format]] = {
    "code": CodeFormat,
    "fim": FimFormat,
    "instruct": InstructFormat,
    "repository": RepositoryFormat,
}


def make_format(data: Data, encoder: Encoder, length: int) -> Format:
    """The format that a source of a recipe asks for, for examples of at most ``length`` tokens.

    Raises:
        InputError: the tokenizer lacks the tokens that the format is made of.
    """
    return _FORMATS[data.format](data, encoder, length)
