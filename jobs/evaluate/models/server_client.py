"""Requests to a model's server, wherever it is: bounded, retried before an answer begins, never redirected.

client = ServerClient("https://models.example", key="...")
client.get("/api/version")
for event in client.events("/api/generate", {"model": "m", "prompt": "x"}): ...
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Generator, Iterator
from types import TracebackType
from typing import Any, Literal, Self

import requests
from requests.adapters import HTTPAdapter
from urllib3 import BaseHTTPResponse
from urllib3.connectionpool import ConnectionPool
from urllib3.exceptions import HTTPError
from urllib3.util import Retry

from starfreight.console import printable
from starfreight.errors import InputError, ServiceError
from starfreight.jobs.evaluate.models.server_target import KEY_VARIABLE
from starfreight.registry.certificates import certificates
from starfreight.registry.origins import is_loopback, origin_of

_CONNECT, _READ = 10.0, 600.0
"""Seconds. A server may load a model before its first byte."""

_LONGEST = 3600
"""Seconds of an answer."""

RETRIES = 4
"""After refused connections and answers that ask for patience: a prompt can be completed again."""

_LARGEST = 8 << 20
_LONGEST_LINE = 1 << 20


class Refusal(Exception):
    """The server refused a request.

    Args:
        status: of the answer, 400 to 499.
        words: its error message.
    """

    def __init__(self, status: int, words: str) -> None:
        super().__init__(status, words)
        self.status, self.words = status, words


def server_key() -> str | None:
    """The key in the environment; ``None`` without one.

    Raises:
        InputError: it cannot be sent; the message does not contain it.
    """
    key = os.environ.get(KEY_VARIABLE, "").strip()
    if not (key.isascii() and key.isprintable()) or len(key) > 4096:
        raise InputError(
            "The server's key holds characters that cannot be sent.",
            where=f"environment, {KEY_VARIABLE}",
            fix="copy it again, as one line",
        )
    return key or None


class ServerClient:
    """A server. One request at a time; threads have one each.

    Args:
        url: its address, without a slash at the end.
        key: sent as a bearer token to this address alone.
    """

    def __init__(self, url: str, key: str | None) -> None:
        self.url = url
        self._session = requests.Session()
        origin = origin_of(url)
        if origin is not None and is_loopback(origin):
            self._session.trust_env = False  # No proxy for this machine's own addresses.
        self._session.verify = certificates(insecure=url.startswith("http://"))
        self._session.auth = _Key(key)
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, HTTPAdapter(max_retries=_retry()))
        self._answer: requests.Response | None = None

    def get(self, path: str) -> Any:
        """The answer to GET as JSON.

        Raises:
            Refusal: the server refused.
            ServiceError: it does not answer, or not with JSON.
        """
        return self._whole("GET", path, None)

    def post(self, path: str, body: dict[str, Any]) -> Any:
        """The answer to POST as JSON; raises as :meth:`get`."""
        return self._whole("POST", path, body)

    def events(self, path: str, body: dict[str, Any]) -> Generator[dict[str, Any], None, None]:
        """Yield the objects of a streamed answer, in lines of JSON or as server-sent events.

        Raises:
            Refusal: the server refused.
            ServiceError: it fails, its answer breaks off, or has no end.
        """
        with self._errors(), contextlib.closing(self._send("POST", path, body)) as answer:
            self._answer = answer
            size = 0
            for line in self._lines(answer):
                size += len(line)
                if size > _LARGEST:
                    raise self.failed("its answer has no end")
                text = line.strip()
                if text.startswith(b"data:"):
                    text = text[5:].strip()
                elif text.startswith((b":", b"event:", b"id:", b"retry:")):
                    continue
                if text == b"[DONE]":
                    return
                if text:
                    yield self._object(text)

    def _lines(self, answer: requests.Response) -> Iterator[bytes]:
        buffer, end = b"", time.monotonic() + _LONGEST
        # Pieces as they arrive: ``iter_content`` would wait for a whole buffer of an answer without chunks.
        while piece := answer.raw.read1(1 << 16, decode_content=True):
            if time.monotonic() > end:
                raise self.failed(f"its answer takes more than {_LONGEST:,} seconds")
            buffer += piece
            *lines, buffer = buffer.split(b"\n")
            yield from lines
            if len(buffer) > _LONGEST_LINE:
                raise self.failed("its answer has a line without end")
        if buffer:
            yield buffer

    def _object(self, text: bytes) -> dict[str, Any]:
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            raise self.failed("its answer is not JSON")
        error = value.get("error")
        if error:
            words, code = _words(value), error.get("code") if isinstance(error, dict) else None
            if "context" in words.lower() or (type(code) is int and 400 <= code < 500):
                raise Refusal(code if type(code) is int and code < 500 else 400, words)
            raise self.failed(words)
        return value

    def _whole(self, method: Literal["GET", "POST"], path: str, body: dict[str, Any] | None) -> Any:
        with self._errors(), contextlib.closing(self._send(method, path, body)) as answer:
            data = answer.raw.read(_LARGEST + 1, decode_content=True)
        try:
            return json.loads(data)
        except (ValueError, RecursionError):
            raise self.failed(f"its answer to {path} is not JSON") from None

    def _send(self, method: str, path: str, body: dict[str, Any] | None) -> requests.Response:
        answer = self._session.request(
            method, self.url + path, json=body, stream=True, allow_redirects=False, timeout=(_CONNECT, _READ)
        )
        if answer.status_code == 200:
            return answer
        with contextlib.closing(answer):
            data = answer.raw.read(1 << 16, decode_content=True)
            status = answer.status_code
        try:
            words = _words(json.loads(data))
        except (ValueError, RecursionError):
            words = ""
        if status in (401, 403):
            raise ServiceError(
                f"The server refused the key: status {status}.",
                where=self.url,
                fix=f"set {KEY_VARIABLE} to a key of this server",
            )
        if 300 <= status < 400:
            raise ServiceError(
                "The server redirects to another address, which would receive the key.",
                where=self.url,
                fix="name that address instead",
            )
        if 400 <= status < 500 and status != 429:
            raise Refusal(status, words or f"status {status}")
        raise self.failed(words or f"status {status}")

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (requests.RequestException, HTTPError, OSError) as error:
            inner: BaseException = error
            while (next_one := inner.__cause__ or inner.__context__) is not None:
                inner = next_one
            words = str(getattr(inner, "strerror", None) or inner) or type(inner).__name__
            if type(inner) is ValueError:  # The length of the next piece: there was none.
                words = "its answer broke off"
            raise self.failed(words) from error
        finally:
            self._answer = None

    def failed(self, words: str) -> ServiceError:
        """The error of a server that fails."""
        text = " ".join(printable(words).split())[:300].rstrip(".")
        return ServiceError(
            f"The model's server failed: {text}.",
            where=self.url,
            fix="check the server, then run the same command again: finished completions are kept",
        )

    def cancel(self) -> None:
        """Ends the request under way, from another thread."""
        answer = self._answer
        if answer is not None:
            with contextlib.suppress(Exception):
                answer.raw.shutdown()

    def close(self) -> None:
        """Closes its connections."""
        self._session.close()


class _PatientRetry(Retry):
    """Retries without reading an answer that asks for patience, which may have no end."""

    def increment(
        self,
        method: str | None = None,
        url: str | None = None,
        response: BaseHTTPResponse | None = None,
        error: Exception | None = None,
        _pool: ConnectionPool | None = None,
        _stacktrace: TracebackType | None = None,
    ) -> Self:
        """The retries that are left."""
        after = super().increment(method, url, response, error, _pool, _stacktrace)
        if response is not None:
            response.close()
        return after


def _retry() -> Retry:
    return _PatientRetry(
        total=RETRIES, read=0, other=0, redirect=False, backoff_factor=0.5, raise_on_status=False,
        status_forcelist=(429, 502, 503, 504), allowed_methods=None, respect_retry_after_header=False,
    )  # fmt: skip


class _Key(requests.auth.AuthBase):
    """The key, or nothing: never one from ~/.netrc."""

    def __init__(self, key: str | None) -> None:
        self._key = key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._key is not None:
            request.headers["Authorization"] = f"Bearer {self._key}"
        return request


def _words(answer: Any) -> str:
    error = answer.get("error") if isinstance(answer, dict) else None
    if isinstance(error, dict):
        error = error.get("message")
    return str(error)[:1000] if error else ""
