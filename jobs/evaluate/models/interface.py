"""The plug point of models: completes prompts, many at a time.

with open_model(directory, ...) as model:
    for request, completion in model.complete(requests):
        ...
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, Protocol, Self


@dataclass(frozen=True)
class ContextFile:
    """Another file of the repository, before the place to complete."""

    path: str
    text: str


@dataclass(frozen=True)
class Context:
    """The repository of a place.

    Attributes:
        name: of the repository.
        path: of the file with the place.
        files: other files, the most related first.
    """

    name: str
    path: str
    files: tuple[ContextFile, ...]


@dataclass(frozen=True)
class Request:
    """A completion to generate.

    Attributes:
        id: name among the requests.
        prefix: text before the place, or the whole instruction.
        suffix: text after it; ``None`` to continue the prefix.
        context: of the repository; ``None`` without one.
        instruct: the prefix is an instruction, for the packaged template.
        stop: texts that end the completion, besides the packaged ones.
        most_tokens: length of the completion.
        temperature: 0 for the most likely token each time; ``None`` for the packaged one.
        seed: of the random generator.
        endless: nothing but ``most_tokens`` ends the completion, to measure speed; servers may ignore it.
    """

    id: str
    prefix: str
    suffix: str | None = None
    context: Context | None = None
    instruct: bool = False
    stop: tuple[str, ...] = ()
    most_tokens: int = 128
    temperature: float | None = 0.0
    seed: int = 0
    endless: bool = False


@dataclass(frozen=True)
class Completion:
    """A generated completion.

    Attributes:
        text: without the text that ended it.
        tokens: number of generated tokens.
        prompt_tokens: number of tokens of the prompt.
        stop: ``stop`` if the model or a stop text ended it, ``length`` if the limit did.
        first_token: seconds from the request to the first token; ``None`` if the server does not stream.
        seconds: from the request to its end.
        shortened: true if the prompt did not fit the context, and a part of it was left out as in training.
    """

    text: str
    tokens: int
    prompt_tokens: int
    stop: Literal["stop", "length"]
    first_token: float | None
    seconds: float
    shortened: bool = False


class Model(Protocol):
    """A model that is running."""

    @property
    def fills(self) -> bool:
        """True if it has fill-in-the-middle tokens, or its server can fill in."""
        ...

    @property
    def instructs(self) -> bool:
        """True if its template makes a conversation of an instruction."""
        ...

    @property
    def repositories(self) -> bool:
        """True if prompts can hold other files of the repository, with tokens of their own."""
        ...

    @property
    def slots(self) -> int:
        """Requests that are computed at the same time."""
        ...

    @property
    def settings(self) -> Mapping[str, Any]:
        """For the record: the machinery, its context, its options."""
        ...

    def complete(self, requests: Iterable[Request]) -> Iterator[tuple[Request, Completion]]:
        """Completes prompts, in the order in which they end.

        At a temperature of 0 a completion depends on its request alone, not on others beside it.

        Raises:
            InputError: the model cannot do this, e.g. has no fill-in-the-middle tokens.
            ServiceError: the server does not answer.
        """
        ...

    def close(self) -> None:
        """Ends it."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
