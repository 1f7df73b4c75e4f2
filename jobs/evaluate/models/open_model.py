"""Opens the model that a user names.

with open_model(LocalTarget(gguf, None, files)) as model: ...
with open_model(parse_server("http://127.0.0.1:11434", "acme-coder")) as model: ...
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from starfreight.errors import InputError
from starfreight.jobs.evaluate.models.interface import Model
from starfreight.jobs.evaluate.models.model_files import LocalTarget
from starfreight.jobs.evaluate.models.server_target import ServerTarget


@dataclass(frozen=True)
class ServerFacts:
    """A server, for the record.

    Attributes:
        api: its kind.
        version: as it reports it; ``None`` if it does not.
        model: the model's name there.
        digest: the model's, if it tells it.
    """

    api: Literal["ollama", "openai"]
    version: str | None
    model: str
    digest: str | None


def open_model(
    target: LocalTarget | ServerTarget, *, slots: int | None = None, threads: int | None = None
) -> Model:
    """A running model, for a ``with`` statement.

    Args:
        target: the model.
        slots: completions at the same time; ``None`` for as many as suit the machine.
        threads: number of threads of llama.cpp; ``None`` for one per processor.

    Raises:
        InputError: the model cannot be loaded, or the server does not have it.
        RecipeError: Ollama would refuse the packaged template.
        ServiceError: the server does not answer.
    """
    if isinstance(target, LocalTarget):
        from starfreight.jobs.evaluate.models.gguf_model import GgufModel

        return GgufModel(target, slots=slots, threads=threads)
    from starfreight.jobs.evaluate.models.server_client import server_key

    key = server_key()
    if _api(target, key)[0] == "ollama":
        from starfreight.jobs.evaluate.models.ollama_model import OllamaModel

        return OllamaModel(target.url, key, target.model, slots)
    from starfreight.jobs.evaluate.models.openai_model import OpenAiModel

    return OpenAiModel(target.url, key, target.model, target.marks, slots)


def describe_server(target: ServerTarget) -> ServerFacts:
    """The server's kind, and the model's name and digest there.

    Raises:
        InputError: it does not have the model.
        ServiceError: it does not answer.
    """
    from starfreight.jobs.evaluate.models.ollama_model import show_model
    from starfreight.jobs.evaluate.models.openai_abilities import served_model
    from starfreight.jobs.evaluate.models.server_client import ServerClient, server_key

    key = server_key()
    api, version = _api(target, key)
    client = ServerClient(target.url, key)
    try:
        if api == "ollama":
            shown = show_model(client, target.model)
            return ServerFacts("ollama", version, shown.name, shown.digest)
        return ServerFacts("openai", version, served_model(client, target.model).name, None)
    finally:
        client.close()


def _api(target: ServerTarget, key: str | None) -> tuple[Literal["ollama", "openai"], str | None]:
    """The server's kind and version."""
    from starfreight.jobs.evaluate.models.server_client import Refusal, ServerClient

    if target.api == "openai":
        return "openai", None
    client = ServerClient(target.url, key)
    try:
        answer = client.get("/api/version")
        version = answer.get("version") if isinstance(answer, dict) else None
    except Refusal:
        version = None
    finally:
        client.close()
    if isinstance(version, str):
        return "ollama", version[:40]
    if target.api == "ollama":
        raise InputError(
            "The server is not Ollama: it has no /api/version.",
            where=target.url,
            fix="check the address, or leave --api out",
        )
    return "openai", None
