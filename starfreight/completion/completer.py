"""Completions by a model on this machine, as they are generated.

with Completer(find_model(Path("packages/acme-coder")), Choices()) as model:
    for piece in model.fill(find_place("area.py:12")):
        print(piece, end="")
    model.last.stop
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from starfreight.completion.fill_prompt import FillPrompt, fill_prompt
from starfreight.completion.llama_process import llama_process
from starfreight.completion.model_context import source_context
from starfreight.completion.model_prompts import SAMPLING, ModelPrompts, server_encoder
from starfreight.completion.model_source import ModelSource
from starfreight.completion.place import Place
from starfreight.completion.repository_files import repository_of
from starfreight.console import human_count
from starfreight.errors import InputError, RecipeError
from starfreight.gguf.loopback import Loopback
from starfreight.ollama_template.template import Message

_SMALLEST_PROMPT = 32


@dataclass(frozen=True)
class Choices:
    """Settings of a user, in place of the package's.

    Attributes:
        max_tokens: most tokens of a completion.
        temperature: 0 for the most likely token each time; ``None`` for the package's, or else 0.
        seed: of the random generator.
        context: put other files of the repository before a place; ``None`` if the model was trained so.
        root: the repository's root; ``None`` to look for it.
    """

    max_tokens: int = 128
    temperature: float | None = None
    seed: int = 0
    context: bool | None = None
    root: Path | None = None


@dataclass(frozen=True)
class Completed:
    """The end of a completion.

    Attributes:
        text: the whole completion.
        tokens: number of tokens.
        stop: ``stop`` if the model or a stop text ended it, ``length`` if ``max_tokens`` did.
        files: the repository's files in the prompt.
    """

    text: str
    tokens: int
    stop: Literal["stop", "length"]
    files: tuple[str, ...] = ()


class Completer:
    """A loaded model.

    Raises:
        InputError: llama.cpp is not installed, or cannot load the file.
    """

    def __init__(self, source: ModelSource, choices: Choices) -> None:
        self._source, self._choices = source, choices
        context = source_context(source)
        self._prompts = ModelPrompts(source, self._encode)
        self._room = context - choices.max_tokens
        if self._room < _SMALLEST_PROMPT:
            raise InputError(
                f"The model's context is {human_count(context, 'tokens')}, too few for a prompt and "
                f"{human_count(choices.max_tokens, 'tokens')} of completion.",
                where=source.name,
                fix=f"lower --max-tokens to {max(1, context - _SMALLEST_PROMPT)} or less",
            )
        key = secrets.token_hex(32)
        self._open = contextlib.ExitStack()
        running = self._open.enter_context(llama_process(_settings(source, context, key), source.gguf))
        self._server = Loopback(running.address, key)
        ids = [self._encode(stop, special=True) for stop in source.stops]
        self._stop_ids = frozenset(each[0] for each in ids if len(each) == 1)
        self.last = Completed("", 0, "stop")
        """The end of the latest completion."""

    @property
    def converses(self) -> bool:
        """True if the packaged template keeps earlier turns."""
        try:
            return "\x01" in self._prompts.render([("user", "\x02"), ("assistant", "\x01"), ("user", "\x03")])
        except RecipeError:
            return False

    def fill(self, place: Place) -> Iterator[str]:
        """Yield the pieces of the text to put at a place.

        Raises:
            InputError: the model has no fill-in-the-middle tokens.
        """
        prompt = self.fill_prompt(place)
        return self._stream(prompt.ids, prompt.files)

    def fill_prompt(self, place: Place) -> FillPrompt:
        """The prompt of a place.

        Raises:
            InputError: the model has no fill-in-the-middle tokens.
        """
        marks = self._prompts.marks()
        wanted = self._choices.context
        repository = None
        if wanted or (wanted is None and "repository" in self._source.formats):
            if marks.repository is None or marks.file is None:
                raise InputError(
                    "The model has no tokens for the files of a repository.",
                    where=self._source.name,
                    fix="leave --context out",
                )
            repository = repository_of(place.path, self._choices.root)
        return fill_prompt(place.prefix, place.suffix, marks, self._encode, self._room, repository)

    def answer(self, messages: Sequence[Message]) -> Iterator[str]:
        """Yield the pieces of an answer: what Ollama would be answered in a conversation.

        Raises:
            InputError: the prompt does not fit the context.
        """
        prompt = self._prompts.render(messages)
        ids = self._encode(prompt, special=True)
        if len(ids) > self._room:
            raise InputError(
                f"The prompt has {human_count(len(ids), 'tokens')}; the context has room for {self._room:,}.",
                where=self._source.name,
                fix="shorten it, or lower --max-tokens",
            )
        return self._stream(tuple(ids), ())

    def _encode(self, text: str, *, special: bool = False) -> list[int]:
        return server_encoder(self._server.post)(text, special=special)

    def _stream(self, ids: tuple[int, ...], files: tuple[str, ...]) -> Iterator[str]:
        if not ids:
            raise InputError("The prompt is empty.", fix="write something to complete")
        text, tokens, stop = "", 0, "length"
        settings = self._source.settings
        temperature = self._choices.temperature
        if temperature is None:
            temperature = settings.get("temperature", 0)
        request: dict[str, Any] = {
            **{name: settings[name] for name in SAMPLING if name in settings},
            "prompt": list(ids),
            "n_predict": self._choices.max_tokens,
            "temperature": temperature,
            "seed": self._choices.seed,
            "stop": list(self._source.stops),
            "stream": True,
            "return_tokens": True,
            "cache_prompt": True,
        }
        self.last = Completed("", 0, "length", files)
        for event in self._server.events("/completion", request):
            new = [each for each in event.get("tokens") or () if type(each) is int]
            ended = any(each in self._stop_ids for each in new)
            piece = "" if ended else str(event.get("content") or "")
            tokens += len(new)
            text += piece
            if ended or (event.get("stop") and event.get("stop_type") != "limit"):
                stop = "stop"
            self.last = Completed(text, tokens, "stop" if stop == "stop" else "length", files)
            if piece:
                yield piece
            if ended:
                return

    def close(self) -> None:
        """Unload the model."""
        self._open.close()

    def __enter__(self) -> Completer:
        """The model itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Unload the model."""
        self.close()


def _settings(source: ModelSource, context: int, key: str) -> dict[str, Any]:
    return {
        "model": str(source.gguf),
        "alias": source.name,
        "adapter": str(source.adapter) if source.adapter is not None else None,
        "threads": min(os.cpu_count() or 1, 8),
        "sampling": {},
        "api_keys": [key],  # Closes the port to other programs.
        "n_ctx": context,
        "n_parallel": 1,
        "n_batch": context,
    }
