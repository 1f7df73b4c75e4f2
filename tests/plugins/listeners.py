"""Servers that watch: each notes the credentials that reach it, and answers as a test says."""

from __future__ import annotations

import base64
import http.server
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from starfreight.files import sha256_bytes
from starfreight.package import Descriptor
from starfreight.registry import DigestReference, TagReference
from starfreight.registry.client import RegistryClient
from starfreight.registry.fetch_blob import fetch_blob
from starfreight.registry.publishing import PublishingClient

USERNAME, PASSWORD = "pilot", "for the registry only"
BASIC = "Basic " + base64.b64encode(f"{USERNAME}:{PASSWORD}".encode()).decode()
BLOB = b"bytes of a blob"
DESCRIPTOR = Descriptor(media_type="text/plain", digest=sha256_bytes(BLOB), size=len(BLOB))

Answer = tuple[int, dict[str, str], bytes]


class Listener(http.server.ThreadingHTTPServer):
    """A server that notes every ``Authorization``, and answers as a test says."""

    daemon_threads = True

    def __init__(self, address: str) -> None:
        super().__init__((address, 0), _Handler)
        self.name = address
        self.asked: list[str] = []
        self.authorizations: list[str] = []
        self.answer: Callable[[str, str | None], Answer] = lambda path, authorization: (404, {}, b"")

    @property
    def host(self) -> str:
        return f"{self.name}:{self.server_address[1]}"


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Listener

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def _serve(self) -> None:
        authorization = self.headers.get("Authorization")
        length = int(self.headers.get("Content-Length") or 0)
        everything = f"{self.command} {self.path} {self.headers} {self.rfile.read(length)!r}"
        self.server.asked.append(f"{self.command} {self.path}")
        if authorization or PASSWORD in everything or "token-of-home" in everything:
            self.server.authorizations.append(str(authorization))
        status, headers, body = self.server.answer(self.path, authorization)
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _serve


def basic(path: str, authorization: str | None) -> Answer:
    if authorization is None:
        return 401, {"WWW-Authenticate": 'Basic realm="x"'}, b""
    return 200, {}, BLOB


def bearer(realm: str) -> Callable[[str, str | None], Answer]:
    """Answers of a registry with a token service."""

    def answer(path: str, authorization: str | None) -> Answer:
        if path.startswith("/token"):
            return 200, {}, b'{"token": "token-of-home"}'
        if authorization is None:
            return 401, {"WWW-Authenticate": f'Bearer realm="{realm}",service="x",scope="y"'}, b""
        return 200, {}, BLOB

    return answer


def trust(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.setenv(name, str(server.certificate))


def reader(host: str) -> RegistryClient:
    return RegistryClient(DigestReference(host, "team/data", DESCRIPTOR.digest), insecure=True)


def writer(host: str) -> PublishingClient:
    return PublishingClient(TagReference(host, "team/coder", "1.0"), insecure=True)


def pull(client: RegistryClient, to: Path) -> None:
    fetch_blob(client, DESCRIPTOR, to / "blob", lambda amount, what=None: None, keep_partial=False)
