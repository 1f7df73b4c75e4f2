"""An imitation of a registry with its token service, with the quirks of real ones to switch on.

    server.challenges = lambda scope: ["Negotiate", f'Bearer realm="{server.realm}",scope="{scope}"']
    server.too_small = "basic"      # as Harbor
    push(server), read(server)

It keeps what is pushed in memory. ``asked`` lists the requests for tokens, ``seen`` all others.
"""

from __future__ import annotations

import base64
import hashlib
import http.server
import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

USERNAME, PASSWORD, IDENTITY = "pilot", "for: the registry", "identity-token-of-pilot"
BASIC = "Basic " + base64.b64encode(f"{USERNAME}:{PASSWORD}".encode()).decode()


@dataclass(frozen=True)
class TokenRequest:
    """A request to the token service."""

    method: str
    fields: dict[str, list[str]]
    authorization: str | None

    @property
    def scopes(self) -> frozenset[str]:
        """Resources with actions, each as ``repository:team/coder:pull``."""
        return _split(" ".join(self.fields.get("scope", [])))


@dataclass
class Quirks:
    """Behaviour that differs between registries."""

    challenges: Callable[[str], list[str]] | None = None
    """Headers of a 401, by the scope that is missing."""
    too_small: str = "bearer"
    """Answer to a token of too small a scope: ``bearer``, ``basic`` (Harbor), ``403``, or ``denied`` (403
    without a challenge)."""
    answer: Callable[[str], Any] = lambda token: {"token": token}
    """The token service's answer: JSON, or bytes as they are."""
    lifetime: float = 300
    """Seconds that a token is accepted."""
    grants: Callable[[str], bool] = lambda scope: True
    """True for a scope that the account has."""
    methods: tuple[str, ...] = ("GET", "POST")
    """Methods of the token service; others get ``refused_method``."""
    refused_method: int = 405
    anonymous: bool = False
    """Tokens are given to everybody."""
    basic: bool = False
    """User name and password are accepted in place of a token."""
    head: int | None = None
    """Status of a HEAD for a blob."""
    length: Callable[[int], str | None] = str
    """Length that a HEAD names for a blob."""
    first: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    """Answers to the next requests, before any other."""


class TokenServer(http.server.ThreadingHTTPServer):
    """The registry and the token service at its ``/token``."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.quirks = Quirks()
        self.asked: list[TokenRequest] = []
        self.seen: list[tuple[str, str, str | None]] = []
        self.blobs: dict[str, bytes] = {}
        self.manifests: dict[str, tuple[bytes, str]] = {}
        self.uploads: dict[str, bytes] = {}
        self.tokens: dict[str, tuple[float, frozenset[str]]] = {}
        self.numbers = itertools.count()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"

    @property
    def realm(self) -> str:
        return f"http://{self.host}/token"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is nothing to tell of."""


def _split(text: str) -> frozenset[str]:
    found: set[str] = set()
    for scope in text.split():
        resource, _, actions = scope.rpartition(":")
        found.update(f"{resource}:{action}" for action in actions.split(",") if action)
    return frozenset(found)


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16
    server: TokenServer

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def _serve(self) -> None:
        self.body = self._read()
        path, authorization = urlsplit(self.path).path, self.headers.get("Authorization")
        quirks = self.server.quirks
        if path == "/token":
            return self._token(authorization)
        self.server.seen.append((self.command, self.path, authorization))
        if quirks.first:
            status, headers = quirks.first.pop(0)
            return self._say(status, b"", headers.items())
        if self._may(authorization):
            self._registry(path)
        return None

    def _read(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _say(self, status: int, body: Any = b"", headers: Any = (), length: str | None = "") -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        if length is not None:
            self.send_header("Content-Length", length or str(len(data)))
        else:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _scopes(self) -> str:
        """The scope that a request needs."""
        url = urlsplit(self.path)
        name = "/".join(url.path.split("/")[2:4])
        if not name.strip("/"):
            return ""
        action = {"GET": "pull", "HEAD": "pull", "DELETE": "delete"}.get(self.command, "pull,push")
        origin = parse_qs(url.query).get("from")
        return f"repository:{name}:{action}" + (f" repository:{origin[0]}:pull" if origin else "")

    def _may(self, authorization: str | None) -> bool:
        quirks, scope = self.server.quirks, self._scopes()
        if quirks.basic and authorization == BASIC:
            return True
        until, granted = self.server.tokens.get((authorization or "").removeprefix("Bearer "), (0.0, None))
        known = granted is not None and time.monotonic() < until
        if known and granted is not None and _split(scope) <= granted:
            return True
        challenges = quirks.challenges or self._plain
        headers = [("WWW-Authenticate", line) for line in challenges(scope)]
        status = 401
        if known and quirks.too_small == "basic":
            headers = [("WWW-Authenticate", 'Basic realm="harbor"')]
        elif known and quirks.too_small == "403":
            status = 403
            headers = [("WWW-Authenticate", self._plain(scope)[0] + ',error="insufficient_scope"')]
        elif known and quirks.too_small == "denied":
            status, headers = 403, []
        self._say(status, {"errors": [{"code": "DENIED", "message": "no"}]}, headers)
        return False

    def _plain(self, scope: str) -> list[str]:
        asked = f',scope="{scope}"' if scope else ""
        return [f'Bearer realm="{self.server.realm}",service="imitation"{asked}']

    def _token(self, authorization: str | None) -> None:
        quirks = self.server.quirks
        fields = parse_qs(self.body.decode() if self.command == "POST" else urlsplit(self.path).query)
        request = TokenRequest(self.command, fields, authorization)
        self.server.asked.append(request)
        if self.command not in quirks.methods:
            return self._say(quirks.refused_method)
        if self.command == "POST":
            allowed = (
                fields.get("grant_type") == ["refresh_token"] and fields.get("refresh_token") == [IDENTITY]
            ) or (fields.get("username") == [USERNAME] and fields.get("password") == [PASSWORD])
        else:
            identity = base64.b64encode(f":{IDENTITY}".encode()).decode()
            allowed = authorization in (BASIC, f"Basic {identity}") or quirks.anonymous
        if not allowed:
            return self._say(401, {"details": "incorrect username or password"})
        token = f"token-{next(self.server.numbers)}"
        granted = frozenset(filter(quirks.grants, request.scopes))
        self.server.tokens[token] = (time.monotonic() + quirks.lifetime, granted)
        return self._say(200, quirks.answer(token))

    def _registry(self, path: str) -> None:
        server, parts = self.server, path.split("/")[4:]
        if not parts:
            self._say(200, {})
        elif parts[:2] == ["blobs", "uploads"]:
            self._upload(path)
        elif parts[0] == "blobs":
            data = server.blobs.get(parts[1])
            if data is None:
                return self._say(404)
            if self.command == "HEAD":
                return self._say(server.quirks.head or 200, b"", (), server.quirks.length(len(data)))
            if self.headers.get("Range") == "bytes=0-0":
                return self._say(206, data[:1], [("Content-Range", f"bytes 0-0/{len(data)}")])
            self._say(200, data)
        elif parts[0] == "manifests" and self.command == "PUT":
            digest = "sha256:" + hashlib.sha256(self.body).hexdigest()
            server.manifests[parts[1]] = server.manifests[digest] = (
                self.body,
                self.headers["Content-Type"],
            )
            self._say(201, b"", [("Docker-Content-Digest", digest)])
        elif parts[0] == "manifests" and parts[1] in server.manifests:
            data, kind = server.manifests[parts[1]]
            digest = "sha256:" + hashlib.sha256(data).hexdigest()
            self._say(200, data, [("Content-Type", kind), ("Docker-Content-Digest", digest)])
        else:
            self._say(404)
        return None

    def _upload(self, path: str) -> None:
        server, query = self.server, parse_qs(urlsplit(self.path).query)
        if self.command == "POST":
            if query.get("mount", [""])[0] in server.blobs:
                return self._say(201, b"", [("Docker-Content-Digest", query["mount"][0])])
            address = f"{path.rstrip('/')}/{next(server.numbers)}"
            server.uploads[address] = b""
            return self._say(202, b"", [("Location", address), ("Range", "0-0")])
        if self.command == "GET":
            return self._say(204, b"", [("Range", f"0-{max(0, len(server.uploads.get(path, b'')) - 1)}")])
        data = server.uploads[path] = server.uploads.get(path, b"") + self.body
        if self.command == "PATCH":
            return self._say(202, b"", [("Location", path), ("Range", f"0-{len(data) - 1}")])
        server.blobs[query["digest"][0]] = server.uploads.pop(path)
        return self._say(201, b"", [("Docker-Content-Digest", query["digest"][0])])

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _serve


@pytest.fixture
def token_server() -> Iterator[TokenServer]:
    """An imitation registry with its token service; every request needs a token."""
    with TokenServer() as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        yield server
        server.shutdown()
