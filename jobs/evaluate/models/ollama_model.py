"""A model behind Ollama: ``/api/generate`` with its template, parameters and system prompt.

Source: https://github.com/ollama/ollama/blob/main/docs/api.md
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from starfreight.errors import InputError
from starfreight.jobs.evaluate.models.interface import Completion, Request
from starfreight.jobs.evaluate.models.server_client import Refusal, ServerClient
from starfreight.jobs.evaluate.models.server_model import ServerModel
from starfreight.jobs.evaluate.models.server_worker import Piece, complete_by_server, count, refused
from starfreight.ollama_template.go_template import TemplateError
from starfreight.ollama_template.template import OllamaTemplate

_SLOTS = 4
_CONTEXT = 4096
"""Ollama's default."""

_PARAMETER = re.compile(r"^(\w+)\s+(.+?)\s*$")
_MARK = "\x01"


@dataclass(frozen=True)
class ShownModel:
    """A model as ``/api/show`` describes it.

    Attributes:
        name: as ``ollama list`` shows it.
        digest: of its manifest, ``sha256:...``; ``None`` if Ollama does not tell.
        template: its template.
        parameters: values by name, each as a list.
        capabilities: such as ``insert``; ``None`` for an Ollama that does not list them.
        longest: most tokens of its context; ``None`` if unknown.
    """

    name: str
    digest: str | None
    template: str
    parameters: Mapping[str, list[Any]]
    capabilities: frozenset[str] | None
    longest: int | None


def show_model(client: ServerClient, name: str | None) -> ShownModel:
    """Describes a model.

    Args:
        client: of the server.
        name: the model's name; ``None`` for the only one.

    Raises:
        InputError: it does not have the model, or several and no name is given.
        ServiceError: it does not answer.
    """
    try:
        listed = client.get("/api/tags")
        models = _entries(listed)
        wanted = name or _only(models, client.url)
        shown = client.post("/api/show", {"model": wanted})
    except Refusal as refusal:
        raise refused(client, refusal) from refusal
    if not isinstance(shown, dict):
        raise client.failed("its description of the model is not a JSON object")
    full = wanted if ":" in wanted.rsplit("/", 1)[-1] else f"{wanted}:latest"
    digest = models.get(full)
    capabilities = shown.get("capabilities")
    return ShownModel(
        full,
        None if digest is None else f"sha256:{digest.removeprefix('sha256:')}",
        str(shown.get("template") or ""),
        _parameters(str(shown.get("parameters") or "")),
        frozenset(map(str, capabilities)) if isinstance(capabilities, list) else None,
        _longest(shown.get("model_info")),
    )


def _entries(listed: Any) -> dict[str, str]:
    found = listed.get("models") if isinstance(listed, dict) else None
    return {
        str(each["name"]): str(each.get("digest") or "")
        for each in (found if isinstance(found, list) else ())
        if isinstance(each, dict) and "name" in each
    }


def _only(models: Mapping[str, str], url: str) -> str:
    if len(models) == 1:
        return next(iter(models))
    if not models:
        raise InputError("Ollama has no model.", where=url, fix="install one: starfreight package install")
    names = ", ".join(sorted(models)[:20])
    raise InputError(f"Ollama has {len(models)} models.", where=url, fix=f"choose one with --model: {names}")


def _parameters(text: str) -> dict[str, list[Any]]:
    """The lines of a Modelfile's parameters; texts are in quotes."""
    found: dict[str, list[Any]] = {}
    for line in text.split("\n")[:1000]:
        match = _PARAMETER.match(line)
        if match is None:
            continue
        try:
            value = json.loads(match[2])
        except (ValueError, RecursionError):
            value = match[2]
        found.setdefault(match[1], []).append(value)
    return found


def _longest(info: Any) -> int | None:
    if not isinstance(info, dict):
        return None
    lengths = (value for name, value in info.items() if str(name).endswith(".context_length"))
    return next((value for value in lengths if type(value) is int and value > 0), None)


class OllamaModel(ServerModel):
    """A model behind Ollama.

    Args:
        url: Ollama's address.
        key: sent as a bearer token, for a proxy before it.
        name: the model's name; ``None`` for its only model.
        slots: requests at the same time.

    Raises:
        InputError: it does not have the model.
        ServiceError: it does not answer.
    """

    def __init__(self, url: str, key: str | None, name: str | None, slots: int | None = None) -> None:
        self._clients = [ServerClient(url, key) for _ in range(slots or _SLOTS)]
        try:
            self.shown = show_model(self._clients[0], name)
        except BaseException:
            self.close()
            raise
        self._workers = [_OllamaWorker(client, self.shown) for client in self._clients]

    @property
    def fills(self) -> bool:
        """True if Ollama lists the capability, or the template inserts."""
        if self.shown.capabilities is not None:
            return "insert" in self.shown.capabilities
        template = self._template
        return template is not None and template.inserts

    @property
    def instructs(self) -> bool:
        """True if the template puts something around an instruction."""
        try:
            return self._template is not None and self._template.chat([("user", _MARK)]) != _MARK
        except TemplateError:
            return True  # A template of a newer Ollama.

    @property
    def _template(self) -> OllamaTemplate | None:
        try:
            return OllamaTemplate(self.shown.template) if self.shown.template else None
        except TemplateError:
            return None

    @property
    def context(self) -> int | None:
        """Tokens of a prompt and its completion."""
        chosen = [each for each in self.shown.parameters.get("num_ctx", ()) if type(each) is int]
        wanted = chosen[-1] if chosen else _CONTEXT
        return wanted if self.shown.longest is None else min(wanted, self.shown.longest)

    @property
    def settings(self) -> dict[str, Any]:
        """For the record."""
        return {"runner": "ollama", "context": self.context, "slots": self.slots}


class _OllamaWorker:
    def __init__(self, client: ServerClient, shown: ShownModel) -> None:
        self._client, self._shown = client, shown
        # Those of a request replace the packaged ones.
        self._stops = [str(each) for each in shown.parameters.get("stop", ())]

    def complete(self, request: Request) -> Completion:
        if not request.prefix and not request.suffix:
            return Completion("", 0, 0, "stop", None, 0.0)  # Ollama would only load the model.
        return complete_by_server(request, self._pieces, self._client)

    def _pieces(self, request: Request) -> Iterator[Piece]:
        options: dict[str, Any] = {"seed": request.seed, "num_predict": request.most_tokens}
        if request.temperature is not None:
            options["temperature"] = request.temperature
        if request.stop:
            options["stop"] = [*self._stops, *request.stop]
        body: dict[str, Any] = {
            "model": self._shown.name,
            "prompt": request.prefix,
            "options": options,
            "stream": True,
        }
        if not request.instruct:
            if request.suffix:
                body["suffix"] = request.suffix
            else:
                body["raw"] = True
        for event in self._client.events("/api/generate", body):
            done = event.get("done") is True
            yield Piece(
                str(event.get("response") or ""),
                ("length" if event.get("done_reason") == "length" else "stop") if done else None,
                count(event.get("eval_count")),
                count(event.get("prompt_eval_count")),
            )
            if done:
                return

    def cancel(self) -> None:
        self._client.cancel()
