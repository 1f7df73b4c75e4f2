"""A model behind an OpenAI-compatible server: ``/v1/completions``, and chat completions for instructions.

Source: https://platform.openai.com/docs/api-reference/completions
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Literal

from starfreight.errors import InputError
from starfreight.jobs.evaluate.models.interface import Completion, Request
from starfreight.jobs.evaluate.models.openai_abilities import (
    CHAT,
    COMPLETIONS,
    INFILL,
    Abilities,
    ServedModel,
    find_abilities,
    served_model,
)
from starfreight.jobs.evaluate.models.server_client import ServerClient
from starfreight.jobs.evaluate.models.server_model import ServerModel
from starfreight.jobs.evaluate.models.server_target import Marks
from starfreight.jobs.evaluate.models.server_worker import Piece, complete_by_server, count

_SLOTS = 4
_STOPS = 4
"""OpenAI's limit; later ones are applied here."""


class OpenAiModel(ServerModel):
    """A model behind an OpenAI-compatible server.

    Args:
        url: the server's address, without ``/v1``.
        key: sent as a bearer token.
        name: the model's name; ``None`` for the only one.
        marks: fill-in-the-middle tokens, for a server that takes no suffix.
        slots: requests at the same time; by default 4, or 1 for llama.cpp, whose slots share a context.

    Raises:
        InputError: it does not have the model.
        ServiceError: it does not answer.
    """

    fill_advice = ", or none that the server knows: name them with --fim-tokens"

    def __init__(
        self,
        url: str,
        key: str | None,
        name: str | None,
        marks: Marks | None = None,
        slots: int | None = None,
    ) -> None:
        first = ServerClient(url, key)
        self._clients, self._marks = [first], marks
        try:
            self.served = served_model(first, name)
            self._abilities = find_abilities(first, self.served.name, self.served.llama_cpp)
        except BaseException:
            self.close()
            raise
        number = slots or (1 if self.served.llama_cpp else _SLOTS)
        self._clients += [ServerClient(url, key) for _ in range(number - 1)]
        self._workers = [
            _OpenAiWorker(client, self.served, self._abilities, marks) for client in self._clients
        ]

    @property
    def fills(self) -> bool:
        """True if the server takes a suffix, or the user named the tokens."""
        return self._fill_form is not None

    @property
    def _fill_form(self) -> str | None:
        return _fill_form(self._marks, self._abilities)

    @property
    def instructs(self) -> bool:
        """True if the server answers in a chat."""
        return self._abilities.chat

    @property
    def context(self) -> int | None:
        """Most tokens of a prompt and its completion."""
        return self.served.context

    @property
    def settings(self) -> dict[str, Any]:
        """For the record."""
        return {
            "runner": "openai",
            "context": self.context,
            "slots": self.slots,
            "fill_form": self._fill_form,
        }


def _fill_form(marks: Marks | None, abilities: Abilities) -> str | None:
    if marks is not None:
        return "tokens"
    return "suffix" if abilities.suffix else "infill" if abilities.infill else None


class _OpenAiWorker:
    def __init__(
        self, client: ServerClient, model: ServedModel, abilities: Abilities, marks: Marks | None
    ) -> None:
        self._client, self._model, self._abilities, self._marks = client, model, abilities, marks
        self._fill_form = _fill_form(marks, abilities)

    def complete(self, request: Request) -> Completion:
        if request.suffix is not None and self._fill_form is None:
            raise InputError(
                "The server takes no suffix, so it cannot fill in.",
                where=self._client.url,
                fix="name the model's tokens: --fim-tokens '<fim_prefix> <fim_suffix> <fim_middle>'",
            )
        return complete_by_server(request, self._pieces, self._client)

    def _pieces(self, request: Request) -> Iterator[Piece]:
        if request.suffix is not None and self._fill_form == "infill":
            yield from self._infilled(request)
            return
        path, body = CHAT if request.instruct else COMPLETIONS, self._body(request)
        for event in self._client.events(path, body):
            usage = event.get("usage")
            usage = usage if isinstance(usage, dict) else {}
            choices = event.get("choices")
            choice = choices[0] if isinstance(choices, list) and choices else {}
            choice = choice if isinstance(choice, dict) else {}
            delta = choice.get("delta")
            text = choice.get("text") or (delta.get("content") if isinstance(delta, dict) else None)
            reason = choice.get("finish_reason")
            yield Piece(
                str(text or ""),
                None if reason is None else "length" if reason == "length" else "stop",
                count(usage.get("completion_tokens")),
                count(usage.get("prompt_tokens")),
            )

    def _infilled(self, request: Request) -> Iterator[Piece]:
        body = self._body(replace(request, suffix=None)) | {
            "input_prefix": request.prefix,
            "input_suffix": request.suffix,
            "n_predict": request.most_tokens,
        }
        body.pop("prompt")  # There, the text of the current line.
        with contextlib.closing(self._client.events(INFILL, body)) as events:
            for event in events:
                reason: Literal["stop", "length"] = "length" if event.get("stop_type") == "limit" else "stop"
                ended = event.get("stop") is True
                yield Piece(
                    str(event.get("content") or ""),
                    reason if ended else None,
                    count(event.get("tokens_predicted")),
                    count(event.get("tokens_evaluated")),
                )
                if ended:
                    return  # The server closes the connection after it: another request must not use it.

    def _body(self, request: Request) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self._model.name,
            "max_tokens": request.most_tokens,
            "seed": request.seed,
            "stream": True,
        }
        if request.temperature is not None:
            body["temperature"] = request.temperature
        if self._model.llama_cpp:
            body["cache_prompt"] = False  # Its contents would change the batches, and so the completion.
        if request.stop:
            body["stop"] = list(request.stop[:_STOPS])
        if self._abilities.usage:
            body["stream_options"] = {"include_usage": True}
        if request.instruct:
            body["messages"] = [{"role": "user", "content": request.prefix}]
        elif request.suffix is None:
            body["prompt"] = request.prefix
        elif self._marks is not None:
            prefix, suffix, middle = self._marks
            body["prompt"] = f"{prefix}{request.prefix}{suffix}{request.suffix}{middle}"
        else:
            body |= {"prompt": request.prefix, "suffix": request.suffix}
        return body

    def cancel(self) -> None:
        self._client.cancel()
