"""The registry itself turns on the gateway: redirects, headers and answers that would do harm."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from ollama_client import public_key

BLOB = "/v2/team/coder/blobs/sha256:" + "ab" * 32


class Hostile(ThreadingHTTPServer):
    """Answers as a test says, and remembers what was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.status = 200
        self.headers: dict[str, str] = {}
        self.asked: list[tuple[str, dict[str, str]]] = []


class Handler(BaseHTTPRequestHandler):
    server: Hostile

    def do_GET(self) -> None:
        self.server.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
        self.send_response(self.server.status)
        body = b"" if self.server.status in (204, 304) else b"body"
        for name, value in {"Content-Length": str(len(body)), **self.server.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    do_HEAD = do_GET

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def hostile() -> Iterator[Hostile]:
    with Hostile() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture(scope="module")
def gateway(start_gateway: Callable[..., Any], hostile: Hostile) -> Any:
    keys = f"{public_key(Ed25519PrivateKey.generate())} somebody\n"
    port = hostile.server_address[1]
    settings = {
        "url": f"http://127.0.0.1:{port}",
        "credential": {"username": "u", "password": {"environment": "PASS"}},
    }
    start_gateway({"registry": settings}, None, keys, PASS="s3cret")  # Its internal locations are the aim.
    return start_gateway({"registry": settings}, PASS="s3cret")


@pytest.fixture
def answers(hostile: Hostile) -> Iterator[Callable[..., None]]:
    """Sets the registry's next answers."""

    def answer(status: int, **headers: str) -> None:
        hostile.status = status
        hostile.headers = {name.replace("_", "-"): value for name, value in headers.items()}

    hostile.asked.clear()
    yield answer
    answer(200)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_to_storage_reaches_the_client_as_ollama_needs_it(
    gateway: Any, answers: Callable[..., None], status: int
) -> None:
    storage = "https://storage.example/bucket/ab?X-Amz-Credential=AK&X-Amz-Signature=cd&X-Amz-Date=2026"
    answers(status, Location=storage)
    answer = gateway.get(BLOB)
    assert (answer.status_code, answer.headers["Location"]) == (307, storage)
    assert gateway.get(BLOB, "HEAD").status_code == 307


@pytest.mark.parametrize(
    "location",
    [
        "https://u:s3cret@storage.example/ab",
        "https://s3cret@storage.example/ab",
        "/v2/_catalog",
        "//evil.example/",
        "https://storage.example/ab?token=s3cret",
        "https://storage.example/ab?a=b&access_token=s3cret",
        "https://storage.example/ab?Authorization=Basic",
        "https://127.0.0.1/v2/x",
        "http://127.0.0.1:1/v2/x",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "https://storage.example\\@evil.example/",
        "",
        "https:///x",
        'https://storage.example/"x',
        "ftp://storage.example/x",
        "https://storage.example/a b",
    ],
)
def test_a_redirect_with_a_credential_or_to_an_odd_place_is_not_passed_on(
    gateway: Any, answers: Callable[..., None], location: str
) -> None:
    answers(307, Location=location)
    answer = gateway.get(BLOB)
    assert answer.status_code == 502 and "Location" not in answer.headers
    assert "s3cret" not in answer.text and "s3cret" not in str(answer.headers)


@pytest.mark.parametrize("place", ["/_users", "/_token", "/_access", "@failed", "/token", "/v2/"])
def test_a_registry_cannot_reach_into_nginx(gateway: Any, answers: Callable[..., None], place: str) -> None:
    answers(200, X_Accel_Redirect=place, X_Accel_Buffering="yes", X_Accel_Limit_Rate="1")
    answer = gateway.get("/v2/team/coder/manifests/1.0")
    assert (answer.status_code, answer.text) == (200, "body")


def test_headers_of_the_registry_that_concern_the_gateway_alone_stay_here(
    gateway: Any, answers: Callable[..., None]
) -> None:
    answers(
        200, Set_Cookie="session=s3cret", Authorization="Basic s3cret", Www_Authenticate='Basic realm="x"',
        Location="https://evil.example/", Refresh="0; url=https://evil.example/", Link="<https://evil.example/>",
        X_Token="s3cret", Docker_Content_Digest="sha256:" + "ab" * 32,
    )  # fmt: skip
    answer = gateway.get(BLOB)
    assert "s3cret" not in str(answer.headers) and "evil" not in str(answer.headers)
    assert answer.headers["Location"] == gateway.url + BLOB
    assert answer.headers["Docker-Content-Digest"].startswith("sha256:")


def test_only_what_the_gateway_means_to_send_reaches_the_registry(
    gateway: Any, hostile: Hostile, answers: Callable[..., None]
) -> None:
    sent = {
        "Authorization": "Bearer x",
        "Cookie": "a=b",
        "X-Forwarded-For": "1.2.3.4",
        "X-Anything": "y",
        "Range": "bytes=0-1",
        "If-None-Match": "z",
        "Referer": "https://evil.example/",
        "Accept": "text/html",
        "Connection": "X-Anything",
    }
    gateway.get(BLOB, headers=sent)
    ((path, headers),) = hostile.asked
    assert path == BLOB
    assert headers == {
        "host": f"127.0.0.1:{hostile.server_address[1]}",
        "authorization": "Basic dTpzM2NyZXQ=",
        "range": "bytes=0-1",
        "user-agent": "starfreight-gateway",
    } | {name: value for name, value in headers.items() if name == "connection" and value != "X-Anything"}


@pytest.mark.parametrize("status", [400, 402, 409, 413, 418, 429, 451, 500, 501, 503, 504, 511])
def test_a_fault_of_the_registry_is_a_502_of_ours_or_its_own_status(
    gateway: Any, answers: Callable[..., None], status: int
) -> None:
    answers(status)
    answer = gateway.get(BLOB)
    assert answer.status_code in (502, status) and "Location" not in answer.headers


def test_a_registry_that_is_down_is_a_502(
    gateway: Any, start_gateway: Callable[..., Any], free_port: Callable[[], int]
) -> None:
    down = start_gateway({"registry": {"url": f"http://127.0.0.1:{free_port()}"}})
    assert down.get(BLOB).status_code == 502
