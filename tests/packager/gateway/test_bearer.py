"""A registry with bearer tokens behind the gateway, and users in front of it as well."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from ollama_client import OllamaClient, OllamaError, public_key
from servers import PASSWORD, USERNAME, Server

ALICE = Ed25519PrivateKey.from_private_bytes(b"a" * 32)


def encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class TokenServer(ThreadingHTTPServer):
    """Issues the tokens of a registry to one account, as Harbor and GitLab do."""

    daemon_threads = True

    def __init__(self, certificate: Path, key: Path) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        lines = certificate.read_text().split("-----")[2]
        self.chain = ["".join(lines.split())]
        found = load_pem_private_key(key.read_bytes(), None)
        assert isinstance(found, ec.EllipticCurvePrivateKey)
        self.key = found
        self.asked: list[str] = []
        self.works = True

    def token(self, scope: str) -> str:
        kind, name, actions = scope.split(":")
        now = int(time.time())
        claims = {
            "iss": "tests",
            "aud": "registry of tests",
            "sub": USERNAME,
            "exp": now + 300,
            "nbf": now - 9,
            "iat": now,
            "jti": str(time.time_ns()),
            "access": [{"type": kind, "name": name, "actions": actions.split(",")}],
        }
        head = {"typ": "JWT", "alg": "ES256", "x5c": self.chain}
        text = f"{encode(json.dumps(head).encode())}.{encode(json.dumps(claims).encode())}"
        r, s = decode_dss_signature(self.key.sign(text.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{text}.{encode(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


class Handler(BaseHTTPRequestHandler):
    server: TokenServer

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        expected = "Basic " + base64.b64encode(f"{USERNAME}:{PASSWORD}".encode()).decode()
        fields = parse_qs(urlsplit(self.path).query)
        good = self.headers.get("Authorization") == expected and fields["service"] == ["registry of tests"]
        self.send_response(200 if good and self.server.works else 401)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        if good and self.server.works:
            self.wfile.write(json.dumps({"token": self.server.token(fields["scope"][0])}).encode())

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def token_server(certificates: tuple[Path, Path, Path]) -> Iterator[TokenServer]:
    with TokenServer(*certificates[1:]) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture(scope="module")
def registry_settings(
    start_registry: Callable[..., Server], certificates: tuple[Path, Path, Path], token_server: TokenServer,
    push: Callable[..., Any],
) -> dict[str, Any]:  # fmt: skip
    open_door = start_registry()
    push(open_door, "team/coder")
    port = token_server.server_address[1]
    closed = start_registry(
        auth=f"auth: {{token: {{realm: 'http://127.0.0.1:{port}/token', service: registry of tests, "
        f"issuer: tests, rootcertbundle: {certificates[0]}}}}}\n",
        storage=open_door.storage,
    )
    return {
        "url": closed.url,
        "credential": {
            "username": USERNAME, "password": {"environment": "GATEWAY_PASSWORD"},
            "token_server": {"url": f"http://127.0.0.1:{port}/token", "service": "registry of tests"},
        },
    }  # fmt: skip


@pytest.fixture(scope="module")
def gateway(start_gateway: Callable[..., Any], registry_settings: dict[str, Any]) -> Any:
    if not Path("/usr/lib/nginx/modules/ngx_http_js_module.so").exists():
        assert os.environ.get("CI") != "true", "nginx has no njs, and on CI it has to have it"
        pytest.skip("nginx has no njs")
    return start_gateway({"registry": registry_settings}, GATEWAY_PASSWORD=PASSWORD)


@pytest.fixture(scope="module")
def gateway_with_users(
    start_gateway: Callable[..., Any], registry_settings: dict[str, Any], gateway: Any
) -> Any:
    keys = f"{public_key(ALICE)} alice\n"
    return start_gateway({"registry": registry_settings}, None, keys, GATEWAY_PASSWORD=PASSWORD)


def test_ollama_pulls_and_the_token_is_asked_for_once(
    gateway: Any, token_server: TokenServer, tmp_path: Path
) -> None:
    token_server.asked.clear()
    client = OllamaClient(gateway.host, insecure=True, least_part=100_000)
    client.pull("team/coder:1.0", tmp_path)
    assert len(token_server.asked) == 1
    assert token_server.asked[0].endswith("service=registry%20of%20tests&scope=repository:team/coder:pull")


def test_other_repositories_and_endpoints_never_reach_the_token_server(
    gateway: Any, token_server: TokenServer
) -> None:
    token_server.asked.clear()
    for path in (
        "/v2/secret/manifests/1.0",
        "/v2/_catalog",
        "/v2/team/coder/tags/list",
        "/_token?scope=a",
        "/_access",
    ):
        assert gateway.get(path).status_code == 404
    assert token_server.asked == []


def test_no_token_of_the_registry_reaches_a_client(gateway: Any) -> None:
    answer = gateway.get("/v2/team/coder/manifests/1.0")
    assert answer.status_code == 200
    assert "X-Token" not in answer.headers and "Authorization" not in answer.headers
    assert gateway.get("/v2/team/coder/manifests/none").status_code == 404


def test_with_users_both_have_to_agree(gateway_with_users: Any, tmp_path: Path) -> None:
    gateway = gateway_with_users
    OllamaClient(gateway.host, insecure=True, key=ALICE, least_part=200_000).pull(
        "team/coder:1.0", tmp_path / "a"
    )
    assert {each["event"] for each in gateway.audit if each["granted"]} == {
        "token",
        "manifest",
        "blob",
        "part",
    }
    with pytest.raises(OllamaError, match=r"401: .*may not pull"):
        OllamaClient(gateway.host, insecure=True).pull("team/coder:1.0", tmp_path / "b")


def test_a_token_server_that_refuses_is_not_the_clients_fault(
    start_gateway: Callable[..., Any],
    registry_settings: dict[str, Any],
    gateway: Any,
    eventually: Callable[..., None],
) -> None:
    wrong = start_gateway({"registry": registry_settings}, GATEWAY_PASSWORD="wrong")
    answer = wrong.get("/v2/team/coder/manifests/1.0")
    assert answer.status_code == 502 and "WWW-Authenticate" not in answer.headers
    eventually(lambda: "gave no token: status 401" in wrong.log)


def test_the_tokens_that_nginx_caches_are_private(gateway: Any) -> None:
    gateway.get("/v2/team/coder/manifests/1.0")
    said = subprocess.run(
        ["pgrep", "-P", str(gateway.process.pid)], capture_output=True, text=True
    ).stdout.split()
    (folder,) = {
        Path(line.rpartition(" ")[2]).parent
        for pid in said
        for line in [Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ").strip()]
        if "nginx.conf" in line
    }
    cached = [path for path in (folder / "run" / "tokens").rglob("*") if path.is_file()]
    assert cached and all(path.stat().st_mode & 0o077 == 0 for path in cached)
    credential = folder / "credential.conf"
    assert credential.stat().st_mode & 0o777 == 0o600
    assert PASSWORD not in (folder / "nginx.conf").read_text()
