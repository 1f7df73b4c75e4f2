"""The base class of the recipe's parts, and their types of text."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


def _no_control_characters(value: str) -> str:
    if any(ord(character) < 32 and character not in "\n\t" for character in value):
        raise ValueError("contains control characters")
    return value


Text = Annotated[str, Field(max_length=100_000), AfterValidator(_no_control_characters)]
Line = Annotated[str, Field(min_length=1, max_length=500), AfterValidator(_no_control_characters)]
Url = Annotated[str, Field(max_length=500, pattern=r"^https?://[!-~]+$")]


class RecipePart(BaseModel):
    """A part of a recipe: strict, frozen, and without unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)
