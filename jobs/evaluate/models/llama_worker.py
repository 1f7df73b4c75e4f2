"""A slot of a llama.cpp process, over a connection that stays open."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from starfreight.completion.model_prompts import SAMPLING, ModelPrompts, Prompt, server_encoder
from starfreight.completion.model_source import ModelSource
from starfreight.completion.repository_files import ContextFile, Repository
from starfreight.errors import InputError, ServiceError
from starfreight.gguf.keys import Scalar
from starfreight.gguf.loopback import Loopback
from starfreight.jobs.evaluate.models.interface import Completion, Request
from starfreight.jobs.evaluate.models.valid_text import valid_text

SMALLEST_PROMPT = 32
"""Tokens that every prompt has room for."""

_LARGEST = 64 << 20
_IDLE = 2.0
"""Seconds after which a connection is not used again; llama.cpp closes it after some more."""

_PATIENCE = 600.0
_SLOWEST = 10.0
"""Seconds for a token, beyond which the process counts as hung."""


class LlamaWorker:
    """Completes one request at a time.

    Args:
        server: the process.
        source: the model.
        context: tokens of a prompt and its completion.
        keys: of the model's file.
    """

    def __init__(
        self, server: Loopback, source: ModelSource, context: int, keys: Mapping[str, Scalar]
    ) -> None:
        self._server, self._source, self._context = server, source, context
        self._connection: http.client.HTTPConnection | None = None
        self._requests, self._used = 0, time.monotonic()
        self._cancelled = threading.Event()
        self._encode = server_encoder(self._post)
        self.prompts = ModelPrompts(source, self._encode, keys)
        """Its prompts."""

    def complete(self, request: Request) -> Completion:
        """The completion.

        Raises:
            InputError: the model has no fill-in-the-middle tokens, or none for files of a repository.
            ServiceError: llama.cpp has failed.
        """
        self._cancelled.clear()
        # A prompt has at least half of the context, however long the completion may be.
        room = max(self._context - request.most_tokens, self._context // 2, SMALLEST_PROMPT)
        prompt = self._prompt(request, room)
        if not prompt.ids:
            return Completion("", 0, 0, "stop", None, 0.0)
        answer = self._post("/completion", self._body(request, prompt), request.most_tokens)
        # By the server's clock: it starts when the slot is free for this request.
        first, rest = (float(answer["timings"][f"{part}_ms"]) / 1000 for part in ("prompt", "predicted"))
        return Completion(
            text=valid_text(str(answer.get("content") or "")),
            tokens=int(answer.get("tokens_predicted") or 0),
            prompt_tokens=len(prompt.ids),
            stop="length" if answer.get("stop_type") == "limit" else "stop",
            first_token=first,
            seconds=first + rest,
            shortened=prompt.shortened,
        )

    def _prompt(self, request: Request, room: int) -> Prompt:
        if request.instruct:
            return self.prompts.instruct(request.prefix, room)
        if request.suffix is None and request.context is None:
            return self.prompts.resume(request.prefix, room)
        repository = None
        if request.context is not None:
            marks = self.prompts.marks()
            if marks.repository is None or marks.file is None:
                raise InputError(
                    "The model has no tokens for the files of a repository.",
                    where=self._source.name,
                    fix="evaluate it without the suite 'repository'",
                )
            found = request.context
            files = tuple(ContextFile(each.path, each.text) for each in found.files)
            repository = Repository(found.name, found.path, files)
        return self.prompts.fill(request.prefix, request.suffix or "", room, repository)

    def _body(self, request: Request, prompt: Prompt) -> dict[str, Any]:
        settings = self._source.settings
        temperature = request.temperature
        return {
            **{name: settings[name] for name in SAMPLING if name in settings},
            "prompt": list(prompt.ids),
            "n_predict": max(1, min(request.most_tokens, self._context - len(prompt.ids))),
            "temperature": settings.get("temperature", 0) if temperature is None else temperature,
            "seed": request.seed,
            "stop": [] if request.endless else [*self._source.stops, *request.stop],
            # Special tokens end a completion, too, so they are given as texts.
            "preserved_tokens": [] if request.endless else list(self._source.stops),
            "ignore_eos": request.endless,
            "cache_prompt": False,
            "id_slot": 0,
        }

    def _post(self, path: str, body: Mapping[str, Any], tokens: int = 0) -> dict[str, Any]:
        data = json.dumps(body).encode()
        try:
            if self._idle_for() > _IDLE:
                self._close()
            try:
                status, found = self._exchange(path, data, tokens)
            except (ConnectionError, http.client.BadStatusLine):
                # The server also closes a connection after some number of requests.
                if self._requests == 0 or self._cancelled.is_set():
                    raise
                self._close()
                status, found = self._exchange(path, data, tokens)
        except (OSError, http.client.HTTPException, ValueError) as error:
            self._close()
            raise ServiceError(
                f"llama.cpp, running the model, failed: {error or type(error).__name__}.",
                where=self._source.name,
                fix="run the same command again, with fewer slots if memory is short",
            ) from error
        if status != 200 or not isinstance(found, dict) or found.get("error"):
            problem = found.get("error") if isinstance(found, dict) else None
            words = problem.get("message") if isinstance(problem, dict) else f"status {status}"
            raise InputError(
                f"The model cannot complete this: {str(words)[:300]}.",
                where=self._source.name,
                fix="make or download the model again",
            )
        return found

    def _exchange(self, path: str, data: bytes, tokens: int) -> tuple[int, Any]:
        """Status and answer of a request, on the connection that is open or a new one."""
        if self._connection is None or self._connection.sock is None:
            place = urlsplit(self._server.address)
            self._connection = http.client.HTTPConnection(place.hostname or "127.0.0.1", place.port)
            self._connection.connect()
            self._connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._requests = 0
        connection = self._connection
        connection.sock.settimeout(_PATIENCE + _SLOWEST * tokens)
        headers = {"Authorization": f"Bearer {self._server.key}", "Content-Type": "application/json"}
        connection.request("POST", path, data, headers)
        if self._cancelled.is_set():
            raise OSError("cancelled")
        answer = connection.getresponse()
        found = json.loads(answer.read(_LARGEST))
        self._requests += 1
        self._used = time.monotonic()
        return answer.status, found

    def _idle_for(self) -> float:
        return time.monotonic() - self._used

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def cancel(self) -> None:
        """Ends the completion under way: llama.cpp stops when its connection does."""
        self._cancelled.set()
        connection = self._connection
        if connection is not None and connection.sock is not None:
            with contextlib.suppress(OSError):
                connection.sock.shutdown(socket.SHUT_RDWR)
