"""Requests to a llama.cpp server on this machine, over the loopback interface.

    for event in server.events("/completion", {"prompt": [1, 2], "stream": True}):
        print(event["content"], end="")

No proxy is used, whatever the environment holds. Leaving the loop early closes the connection, and llama.cpp
ends the generation.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from starfreight.errors import InputError, ServiceError

_SECONDS = 600.0
_LARGEST = 64 << 20


@dataclass(frozen=True)
class Loopback:
    """A server's address and key.

    Attributes:
        address: such as ``http://127.0.0.1:4000``.
        key: its API key.
    """

    address: str
    key: str

    def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to a request.

        Raises:
            InputError: the request is not one that the model can answer.
            ServiceError: the server has failed.
        """
        with self._request(path, body) as answer:
            return _object(answer.read(_LARGEST))

    def events(self, path: str, body: Mapping[str, Any]) -> Generator[dict[str, Any], None, None]:
        """Yield the events of a streamed answer.

        Raises:
            InputError: as :meth:`post`.
            ServiceError: the same.
        """
        with self._request(path, body) as answer:
            while line := answer.readline(_LARGEST):
                if line.startswith(b"data: ") and line.strip() != b"data: [DONE]":
                    event = _object(line.removeprefix(b"data: "))
                    _check(event)
                    yield event

    def _request(self, path: str, body: Mapping[str, Any]) -> http.client.HTTPResponse:
        place = urlsplit(self.address)
        connection = http.client.HTTPConnection(place.hostname or "127.0.0.1", place.port, timeout=_SECONDS)
        headers = {
            "Authorization": f"Bearer {self.key}",
            "Content-Type": "application/json",
            "Connection": "close",  # So that closing the answer closes the connection.
        }
        try:
            connection.request("POST", path, json.dumps(body).encode(), headers)
            answer = connection.getresponse()
            if answer.status != 200:
                _check(_object(answer.read(_LARGEST)))
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise _failed(str(error)) from error
        return answer


def _object(data: bytes) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except ValueError as error:
        raise _failed("its answer is not JSON") from error
    if not isinstance(value, dict):
        raise _failed("its answer is not a JSON object")
    return value


def _check(answer: Mapping[str, Any]) -> None:
    error = answer.get("error")
    if error is not None:
        message = error.get("message") if isinstance(error, dict) else error
        raise InputError(
            f"The model cannot complete this: {str(message)[:300]}.",
            fix="shorten the prompt or raise the context",
        )


def _failed(problem: str) -> ServiceError:
    return ServiceError(
        f"llama.cpp, running the model, failed: {problem}.",
        fix="run the same command again, with a smaller model if memory is short",
    )
