"""A model behind an OpenAI-compatible server: ``/v1/completions``, and chat completions for instructions.

Servers differ in their abilities (a suffix, usage in a stream, chat): a few requests of one token test them.

Source: https://platform.openai.com/docs/api-reference/completions
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from starfreight.errors import InputError
from starfreight.jobs.evaluate.models.interface import Completion, Request
from starfreight.jobs.evaluate.models.server_client import Refusal, ServerClient
from starfreight.jobs.evaluate.models.server_target import Marks
from starfreight.jobs.evaluate.models.server_worker import Piece, complete_by_server, count, refused
from starfreight.jobs.evaluate.models.workers import share_out

_SLOTS = 4
_STOPS = 4
"""OpenAI's limit; later ones are applied here."""

_COMPLETIONS, _CHAT = "/v1/completions", "/v1/chat/completions"
_PROBE = "def one():\n    return"
_PROBE_SUFFIX = "\n\n\ndef two():\n    return one() + one()\n"


@dataclass(frozen=True)
class ServedModel:
    """A model in a server's list.

    Attributes:
        name: its id.
        context: most tokens of a prompt and its completion; ``None`` if the server does not tell.
        llama_cpp: true if llama.cpp serves it.
    """

    name: str
    context: int | None
    llama_cpp: bool = False


def served_model(client: ServerClient, name: str | None) -> ServedModel:
    """The model of a name, or the only one.

    Raises:
        InputError: several models and no name.
        ServiceError: the server does not answer.
    """
    try:
        listed = client.get("/v1/models")
    except Refusal as refusal:
        if name is not None:
            return ServedModel(name, None)  # A list is optional.
        raise refused(client, refusal) from refusal
    found = listed.get("data") if isinstance(listed, dict) else None
    models = {
        str(each["id"]): each
        for each in (found if isinstance(found, list) else ())
        if isinstance(each, dict) and "id" in each
    }
    if name is None and len(models) != 1:
        names = ", ".join(sorted(models)[:20]) or "its name"
        raise InputError(
            f"The server lists {len(models)} models.",
            where=client.url,
            fix=f"choose one with --model: {names}",
        )
    name = name or next(iter(models))
    entry = models.get(name, {})
    length = entry.get("max_model_len")
    return ServedModel(
        name,
        length if type(length) is int and length > 0 else None,
        entry.get("owned_by") == "llamacpp",
    )


@dataclass(frozen=True)
class _Abilities:
    """Abilities of a server: a suffix, ``stream_options``, a chat."""

    suffix: bool
    usage: bool
    chat: bool


def _find_abilities(client: ServerClient, model: str) -> _Abilities:
    def ask(path: str, **more: Any) -> dict[str, Any] | None:
        body = {"model": model, "max_tokens": 1, "temperature": 0, **more}
        try:
            answer = client.post(path, body)
        except Refusal:
            return None
        return answer if isinstance(answer, dict) else None

    plain = ask(_COMPLETIONS, prompt=_PROBE)
    filled = ask(_COMPLETIONS, prompt=_PROBE, suffix=_PROBE_SUFFIX)
    chat = ask(_CHAT, messages=[{"role": "user", "content": _PROBE}])
    if plain is None and chat is None:
        try:
            client.post(_COMPLETIONS, {"model": model, "max_tokens": 1, "prompt": _PROBE})
        except Refusal as refusal:
            raise refused(client, refusal) from refusal
    usage = True
    try:
        body = {"model": model, "max_tokens": 1, "prompt": _PROBE, "stream": True}
        for _ in client.events(_COMPLETIONS, {**body, "stream_options": {"include_usage": True}}):
            pass
    except Refusal:
        usage = False
    # A server that ignores the suffix counts no tokens of it.
    return _Abilities(_prompt_tokens(filled) > _prompt_tokens(plain), usage, chat is not None)


def _prompt_tokens(answer: dict[str, Any] | None) -> int:
    usage = answer.get("usage") if answer else None
    return (count(usage.get("prompt_tokens")) or 0) if isinstance(usage, dict) else 0


class OpenAiModel:
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
            self._abilities = _find_abilities(first, self.served.name)
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
        return self._marks is not None or self._abilities.suffix

    @property
    def instructs(self) -> bool:
        """True if the server answers in a chat."""
        return self._abilities.chat

    @property
    def context(self) -> int | None:
        """Most tokens of a prompt and its completion."""
        return self.served.context

    @property
    def slots(self) -> int:
        """Requests at the same time."""
        return len(self._clients)

    @property
    def settings(self) -> dict[str, Any]:
        """For the record."""
        form = "tokens" if self._marks else "suffix" if self._abilities.suffix else None
        return {"runner": "openai", "context": self.context, "slots": self.slots, "fill_form": form}

    def complete(self, requests: Iterable[Request]) -> Iterator[tuple[Request, Completion]]:
        """Completes prompts; see :class:`Model`. Most servers batch, so neighbours may change floats."""
        return share_out(requests, self._workers)

    def close(self) -> None:
        """Closes the connections."""
        for client in self._clients:
            client.close()

    def __enter__(self) -> Self:
        """The model itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes the connections."""
        self.close()


class _OpenAiWorker:
    def __init__(
        self, client: ServerClient, model: ServedModel, abilities: _Abilities, marks: Marks | None
    ) -> None:
        self._client, self._model, self._abilities, self._marks = client, model, abilities, marks

    def complete(self, request: Request) -> Completion:
        if request.suffix is not None and not self._abilities.suffix and self._marks is None:
            raise InputError(
                "The server takes no suffix, so it cannot fill in.",
                where=self._client.url,
                fix="name the model's tokens: --fim-tokens '<fim_prefix> <fim_suffix> <fim_middle>'",
            )
        return complete_by_server(request, self._pieces, self._client)

    def _pieces(self, request: Request) -> Iterator[Piece]:
        path, body = _CHAT if request.instruct else _COMPLETIONS, self._body(request)
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
