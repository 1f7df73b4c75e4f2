"""A model's properties and completions, for what suites make of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from starfreight.jobs.evaluate.models.interface import Completion, Request


@dataclass(frozen=True)
class ModelProperties:
    """Properties of a model that completes nothing."""

    fills: bool = True
    instructs: bool = False
    repositories: bool = True
    slots: int = 1
    settings: Mapping[str, Any] = field(default_factory=dict)

    def complete(self, requests: Iterable[Request]) -> Iterator[tuple[Request, Completion]]:
        raise AssertionError("nothing is to be generated")

    def close(self) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *arguments: object) -> None:
        pass


def completion_of(text: str) -> Completion:
    """A completion."""
    return Completion(text, tokens=1, prompt_tokens=1, stop="stop", first_token=None, seconds=0.0)
