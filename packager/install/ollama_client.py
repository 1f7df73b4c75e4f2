"""The requests to Ollama's API that installing needs.

Source: https://github.com/ollama/ollama/blob/main/docs/api.md
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import requests

from starfreight.console import printable
from starfreight.errors import GateError, ServiceError
from starfreight.registry.origins import is_loopback, origin_of

CONNECT_TIMEOUT = 10.0
READ_TIMEOUT = 600.0
"""Seconds without a line: Ollama hashes all blobs before it goes on."""

_MAX_LINE = 64 << 10
_MAX_ANSWER = 1 << 20


class OllamaClient:
    """A running Ollama.

    Args:
        url: its address, without a slash at the end.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._session = requests.Session()
        self._session.auth = lambda request: request  # Nothing from ~/.netrc.
        origin = origin_of(url)
        if origin is not None and is_loopback(origin):
            self._session.trust_env = False  # No proxy for this machine's own addresses.

    def version(self) -> str:
        """The server's version.

        Raises:
            ServiceError: there is no Ollama.
        """
        answer = self._ask("GET", "/api/version")
        version = answer.get("version")
        if not isinstance(version, str):
            raise ServiceError(
                "The server is not Ollama: it has no /api/version.",
                where=self.url,
                fix="check the address in --ollama or OLLAMA_HOST",
            )
        return version

    def has_blob(self, digest: str) -> bool:
        """True if Ollama's store has a blob of this name; its bytes are unchecked."""
        return self._send("HEAD", f"/api/blobs/{digest}", None).status_code == 200

    def pull(self, model: str) -> Iterator[dict[str, Any]]:
        """Have Ollama pull a model over plain http; yields its reports.

        Raises:
            GateError: Ollama received other bytes than announced.
            ServiceError: Ollama fails, in its words.
        """
        response = self._send("POST", "/api/pull", {"model": model, "insecure": True, "stream": True}, True)
        with response:
            if response.status_code != 200:
                raise self._failed(self._words(response))
            succeeded = False
            for report in self._lines(response):
                if "error" in report:
                    words = str(report["error"])
                    raise self._refused(words) if "digest mismatch" in words else self._failed(words)
                succeeded = succeeded or report.get("status") == "success"
                yield report
        if not succeeded:
            raise self._failed("the pull ended without success")

    def copy(self, source: str, destination: str) -> None:
        """Give a model a second name, in place of another model of that name."""
        self._ask("POST", "/api/copy", {"source": source, "destination": destination})

    def delete(self, model: str) -> None:
        """Remove a name; blobs of other names are kept."""
        self._ask("DELETE", "/api/delete", {"model": model})

    def digest(self, model: str) -> str | None:
        """Digest of a model's manifest; ``None`` if there is no such model."""
        models = self._ask("GET", "/api/tags").get("models")
        for each in models if isinstance(models, list) else []:
            if isinstance(each, dict) and each.get("name") == model:
                return "sha256:" + str(each.get("digest", "")).removeprefix("sha256:")
        return None

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        response = self._send(method, path, body)
        if response.status_code != 200:
            raise self._failed(self._words(response))
        try:
            answer = json.loads(response.content or b"{}")
        except (ValueError, RecursionError):
            answer = None
        return answer if isinstance(answer, dict) else {}

    def _send(
        self, method: str, path: str, body: dict[str, Any] | None, stream: bool = False
    ) -> requests.Response:
        try:
            response = self._session.request(
                method, self.url + path, json=body, stream=True, allow_redirects=False,
                timeout=(CONNECT_TIMEOUT, READ_TIMEOUT),
            )  # fmt: skip
            if not stream or response.status_code != 200:
                with response:
                    response._content = response.raw.read(_MAX_ANSWER, decode_content=True)
            return response
        except (requests.RequestException, OSError) as error:
            raise self._unreachable(error) from error
        except Exception as error:
            if type(error).__module__.startswith("urllib3"):
                raise self._unreachable(error) from error
            raise

    def _lines(self, response: requests.Response) -> Iterator[dict[str, Any]]:
        buffer = b""
        try:
            for piece in response.iter_content(8192):
                buffer += piece
                *lines, buffer = buffer.split(b"\n")
                for line in lines:
                    yield from self._report(line)
                if len(buffer) > _MAX_LINE:
                    raise self._failed("a report without end")
        except requests.RequestException as error:
            raise self._unreachable(error) from error
        yield from self._report(buffer)

    def _report(self, line: bytes) -> Iterator[dict[str, Any]]:
        if not line.strip():
            return
        try:
            report = json.loads(line)
        except (ValueError, RecursionError):
            report = None
        if not isinstance(report, dict):
            raise self._failed("a report that is not JSON")
        yield report

    def _words(self, response: requests.Response) -> str:
        try:
            return str(json.loads(response.content)["error"])
        except (ValueError, LookupError, TypeError, RecursionError):
            return f"status {response.status_code}"

    def _failed(self, words: str) -> ServiceError:
        return ServiceError(
            f"Ollama failed: {_line(words)}.",
            where=self.url,
            fix="see Ollama's log, then run the same command again",
        )

    def _refused(self, words: str) -> GateError:
        return GateError(
            f"Ollama refused the model: {_line(words)}.",
            where=self.url,
            fix="make the package again, or get it again from its source",
        )

    def _unreachable(self, error: BaseException) -> ServiceError:
        return ServiceError(
            f"Ollama does not answer: {_reason(error)}.",
            where=self.url,
            fix="start it (ollama serve), or name its address with --ollama; without a server, "
            "use --ollama-models DIR or --to DIR",
        )


def _line(words: str) -> str:
    return " ".join(printable(words).split())[:500]


def _reason(error: BaseException) -> str:
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return printable(str(getattr(error, "strerror", None) or error))[:200]
