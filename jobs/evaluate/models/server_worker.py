"""Pieces of a completion by a server, put together."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Literal

from starfreight.completion.fill_prompt import shortened
from starfreight.errors import InputError
from starfreight.jobs.evaluate.models.interface import Completion, Request
from starfreight.jobs.evaluate.models.server_client import Refusal, ServerClient
from starfreight.jobs.evaluate.models.valid_text import valid_text

_TOO_LONG = (400, 413, 422)
"""Statuses of servers for a prompt that does not fit."""

_SHORTEST = 1000
"""Characters of a prompt that fits everywhere."""

_KEPT = 0.6
_TRIES = 8


@dataclass(frozen=True)
class Piece:
    """A part of a streamed completion.

    Attributes:
        text: the next text.
        stop: the reason of its end, in the last piece.
        tokens: tokens of the completion, where the server tells them.
        prompt_tokens: tokens of the prompt, where it does.
    """

    text: str = ""
    stop: Literal["stop", "length"] | None = None
    tokens: int | None = None
    prompt_tokens: int | None = None


def complete_by_server(
    request: Request, pieces: Callable[[Request], Iterable[Piece]], client: ServerClient
) -> Completion:
    """The whole completion; a prompt that the server refuses as too long is shortened as in training.

    Args:
        request: the request.
        pieces: asks the server.
        client: of the server.

    Raises:
        InputError: the server refuses the request.
        ServiceError: the server fails, or its answer breaks off.
    """
    suffix = None if request.suffix is None else valid_text(request.suffix)
    whole = asked = replace(request, prefix=valid_text(request.prefix), suffix=suffix)
    for left in reversed(range(_TRIES)):
        try:
            found = _put_together(asked, pieces(asked), client)
            return replace(found, shortened=asked is not whole)
        except Refusal as refusal:
            length = len(asked.prefix) + len(asked.suffix or "")
            if not left or refusal.status not in _TOO_LONG or length <= _SHORTEST:
                raise refused(client, refusal) from refusal
            asked = _shorter(asked, max(_SHORTEST, int(length * _KEPT)))
    raise AssertionError("the last try has returned or raised")


def _shorter(request: Request, room: int) -> Request:
    before, after = shortened(list(request.prefix), list(request.suffix or ""), room)
    suffix = None if request.suffix is None else "".join(after)
    return replace(request, prefix="".join(before), suffix=suffix)


def _put_together(request: Request, pieces: Iterable[Piece], client: ServerClient) -> Completion:
    begun = time.monotonic()
    texts: list[str] = []
    first: float | None = None
    stop: Literal["stop", "length"] | None = None
    tokens = prompt_tokens = None
    for piece in pieces:
        if piece.text:
            first = time.monotonic() - begun if first is None else first
            texts.append(piece.text)
        stop = piece.stop or stop
        tokens = piece.tokens if piece.tokens is not None else tokens
        prompt_tokens = piece.prompt_tokens if piece.prompt_tokens is not None else prompt_tokens
        if stop is None and len(texts) > request.most_tokens:
            stop = "length"  # The server ignores the limit, and may never end.
            break
    if stop is None:
        raise client.failed("its answer broke off")
    text, ended = _cut(valid_text("".join(texts)), request.stop)
    return Completion(
        text=text,
        tokens=len(texts) if tokens is None else tokens,
        prompt_tokens=prompt_tokens or 0,
        stop="stop" if ended else stop,
        first_token=first,
        seconds=time.monotonic() - begun,
    )


def _cut(text: str, stops: tuple[str, ...]) -> tuple[str, bool]:
    """The text before the first stop text, for servers that include or ignore it."""
    ends = [place for each in stops if each and (place := text.find(each)) >= 0]
    return (text[: min(ends)], True) if ends else (text, False)


def refused(client: ServerClient, refusal: Refusal) -> InputError:
    """The error of a refused request."""
    words = " ".join(refusal.words.split())[:300].rstrip(".")
    return InputError(
        f"The model's server refuses the request: {words}.",
        where=client.url,
        fix="check the model's name, its abilities and its context there",
    )


def count(value: object) -> int | None:
    """A number of tokens in an answer; ``None`` if it is not one."""
    return value if type(value) is int and 0 <= value < 1 << 32 else None
