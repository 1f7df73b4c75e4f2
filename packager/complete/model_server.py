"""llama.cpp's server with a packaged model, its prompt and its parameters.

with model_server(find_model(Path("packages/acme-coder")), ServerChoices()) as server:
    server.address     # http://127.0.0.1:8012
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from starfreight.completion.llama_process import LlamaProcess, llama_process
from starfreight.completion.model_context import source_context
from starfreight.completion.model_source import ModelSource
from starfreight.errors import InputError, ServiceError
from starfreight.gguf.local_model import llama_cpp
from starfreight.packager.build.templates import CHAT_TEMPLATES, TEMPLATES

_SLOTS = 4
"""Requests at once; llama-vscode asks for three completions together."""

_STEP = 512

_PREDICTION = 128
"""Tokens that editors ask for; 64 or more leave /infill no room for other files."""

_COMPLETION_CHAT = "{%- for message in messages -%}{{- message['content'] -}}{%- endfor -%}"
"""The template ``completion`` in Jinja: texts without marks."""

_SAMPLING = {
    "temperature": "temp", "top_k": "top_k", "top_p": "top_p", "min_p": "min_p", "typical_p": "typ_p",
    "repeat_last_n": "penalty_last_n", "repeat_penalty": "penalty_repeat",
    "presence_penalty": "penalty_present", "frequency_penalty": "penalty_freq", "seed": "seed",
}  # fmt: skip
"""Ollama's parameters, under llama.cpp's names."""


@dataclass(frozen=True)
class ServerChoices:
    """The address and the key.

    Attributes:
        host: address or name to listen at.
        port: 0 for any.
        api_key: key that clients must send; ``None`` to serve everyone.
        threads: number of threads; ``None`` for one per core, at most 8.
    """

    host: str = "127.0.0.1"
    port: int = 8012
    api_key: str | None = None
    threads: int | None = None


@dataclass(frozen=True)
class ModelServer:
    """A running server.

    Attributes:
        address: such as ``http://127.0.0.1:8012``.
        model: the model's name.
        context: tokens of a request and its answer.
        process: its process.
    """

    address: str
    model: str
    context: int
    process: LlamaProcess


@contextlib.contextmanager
def model_server(source: ModelSource, choices: ServerChoices) -> Iterator[ModelServer]:
    """Serve a model until the context ends.

    Raises:
        InputError: llama.cpp is not installed or cannot load the file, or another host than this one would be
            served without a key.
        ServiceError: the address is in use or not this machine's.
    """
    _check_host(choices)
    llama_cpp()
    context = source_context(source)
    _check_free(choices)
    with llama_process(_settings(source, choices, context), source.gguf) as running:
        yield ModelServer(running.address, source.name, context, running)


def chat_template(source: ModelSource) -> str | None:
    """The Jinja template of a conversation, as Ollama renders the package's; ``None`` for the file's own.

    A packaged system prompt is sent where a conversation has none.
    """
    names = {text: name for name, text in TEMPLATES.items()}
    name = names.get(source.template or "")
    if name is None:
        return None
    body = CHAT_TEMPLATES.get(name)
    if body is None:
        return _COMPLETION_CHAT
    if not source.system:
        return body
    system = json.dumps(source.system, ensure_ascii=False)
    return (
        "{%- if messages[0]['role'] != 'system' -%}"
        f"{{%- set messages = [{{'role': 'system', 'content': {system}}}] + messages -%}}"
        "{%- endif -%}" + body
    )


def _settings(source: ModelSource, choices: ServerChoices, context: int) -> dict[str, Any]:
    predict = source.number("num_predict")
    predict = predict if predict is not None and predict >= 0 else -1
    # /infill cuts the texts to a batch, and fills the context beyond it and twice the prediction with a
    # repository's name and files, which only models of the repository format have seen in training.
    if "repository" in source.formats:
        batch = context // 2
    else:
        batch = context - min(_PREDICTION, context // 4)
        predict = context if predict < 0 else predict
    template = chat_template(source)
    return {
        "model": str(source.gguf),
        "alias": source.name,
        "adapter": str(source.adapter) if source.adapter is not None else None,
        "threads": choices.threads or min(os.cpu_count() or 1, 8),
        "hostnames": [choices.host],
        "port": choices.port,
        "api_keys": [choices.api_key] if choices.api_key else [],
        # A page of another site must not read completions of a private model through the browser.
        "cors_origins": "http://127.0.0.1",
        "endpoint_slots": False,  # It shows the prompts of others.
        "n_ctx": context,
        "n_parallel": _SLOTS,
        "kv_unified": True,
        "n_batch": batch,
        "n_ubatch": min(batch, _STEP),
        "n_predict": predict,
        "antiprompt": list(source.stops),
        "sampling": {
            "temp": 0.0,
            **{
                _SAMPLING[name]: value
                for name, value in source.settings.items()
                if name in _SAMPLING and type(value) in (int, float)
            },
        },
        **({"chat_template": template} if template is not None else {}),
    }


def _check_host(choices: ServerChoices) -> None:
    if choices.api_key or is_loopback(choices.host):
        return
    raise InputError(
        f"Anyone who can reach {choices.host} could use the model.",
        where=f"--host {choices.host}",
        fix="add a key with STARFREIGHT_MODEL_API_KEY or --api-key, or leave --host out",
    )


def is_loopback(host: str) -> bool:
    """True for an address of this machine alone."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def reachable(address: str) -> str:
    """The address for other machines, if the server listens at all addresses of this one."""
    place = urlsplit(address)
    if place.hostname not in ("0.0.0.0", "::"):
        return address
    return f"{place.scheme}://{socket.gethostname()}:{place.port}"


def _check_free(choices: ServerChoices) -> None:
    """llama.cpp would name no reason."""
    try:
        found = socket.getaddrinfo(choices.host, choices.port, type=socket.SOCK_STREAM)
        with socket.socket(found[0][0], socket.SOCK_STREAM) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind(found[0][4])
    except (OSError, UnicodeError) as error:
        raise ServiceError(
            f"The server cannot listen at {choices.host}:{choices.port}: "
            f"{getattr(error, 'strerror', None) or error}.",
            where=f"--host {choices.host} --port {choices.port}",
            fix="choose another --port, or end the program that uses it",
        ) from error
