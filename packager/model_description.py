"""The description of a model, shared by its package's record, its manifests and its model card."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator

from starfreight.package import Line, ModelFacts
from starfreight.records import Part


def _one_line(text: Any) -> Any:
    return " ".join(text.split()) if isinstance(text, str) else text


OneLine = Annotated[Line, BeforeValidator(_one_line)]
"""A text whose line breaks become spaces."""

Setting = bool | int | float | str | tuple[str, ...]
"""A value of an Ollama parameter; ``stop`` takes several strings."""


class LicenseText(Part):
    """A license: an SPDX identifier or ``LicenseRef-...``, and its text."""

    name: OneLine
    text: bytes


class ModelDescription(ModelFacts):
    """A model before its files are in a package.

    A field of the package's record belongs into :class:`~starfreight.package.ModelFacts`; any other one here.
    """

    title: OneLine
    authors: tuple[str, ...] = ()
    source_url: str | None = None
    """The page of the model's source: its repository, or else its home page."""
    doc_url: str | None = None
    """The model's home page."""
    dataset_urls: tuple[str, ...] = ()
    """The public addresses of its training data."""
    template: str | None = None
    """An Ollama template; without one Ollama passes the prompt on unchanged."""
    settings: Mapping[str, Setting] = {}
    """Ollama's parameters for the model."""
    system: str | None = None
    """The system prompt."""
    sliding_window: int | None = None
    """Tokens that attention reaches back in training; ``None`` if it reaches all of the context."""
    licenses: tuple[LicenseText, ...] = ()
