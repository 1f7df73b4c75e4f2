"""Models and abilities of an OpenAI-compatible server, found by a few requests of one token.

Servers differ: some take a suffix, tell the usage in a stream, or have a chat.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from starfreight.errors import InputError
from starfreight.jobs.evaluate.models.server_client import Refusal, ServerClient
from starfreight.jobs.evaluate.models.server_worker import count, refused

COMPLETIONS, CHAT = "/v1/completions", "/v1/chat/completions"
INFILL = "/infill"
"""Path of llama.cpp's server, which makes the prompt with the tokens named in the GGUF file."""

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
class Abilities:
    """Abilities of a server: a suffix, ``stream_options``, a chat, ``/infill``."""

    suffix: bool
    usage: bool
    chat: bool
    infill: bool


def find_abilities(client: ServerClient, model: str, llama_cpp: bool) -> Abilities:
    """Tests a server's abilities.

    Raises:
        InputError: it completes no text.
        ServiceError: it does not answer.
    """

    def ask(path: str, **more: Any) -> dict[str, Any] | None:
        body = {"model": model, "max_tokens": 1, "temperature": 0, **more}
        try:
            answer = client.post(path, body)
        except Refusal:
            return None
        return answer if isinstance(answer, dict) else None

    plain = ask(COMPLETIONS, prompt=_PROBE)
    filled = ask(COMPLETIONS, prompt=_PROBE, suffix=_PROBE_SUFFIX)
    chat = ask(CHAT, messages=[{"role": "user", "content": _PROBE}])
    if plain is None and chat is None:
        try:
            client.post(COMPLETIONS, {"model": model, "max_tokens": 1, "prompt": _PROBE})
        except Refusal as refusal:
            raise refused(client, refusal) from refusal
    usage = True
    try:
        body = {"model": model, "max_tokens": 1, "prompt": _PROBE, "stream": True}
        for _ in client.events(COMPLETIONS, {**body, "stream_options": {"include_usage": True}}):
            pass
    except Refusal:
        usage = False
    # A server that ignores the suffix counts no tokens of it.
    suffix = _prompt_tokens(filled) > _prompt_tokens(plain)
    infill = None
    if llama_cpp and not suffix:
        infill = ask(INFILL, input_prefix=_PROBE, input_suffix=_PROBE_SUFFIX, n_predict=1)
    return Abilities(suffix, usage, chat is not None, infill is not None)


def _prompt_tokens(answer: dict[str, Any] | None) -> int:
    usage = answer.get("usage") if answer else None
    return (count(usage.get("prompt_tokens")) or 0) if isinstance(usage, dict) else 0
