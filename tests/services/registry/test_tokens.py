"""Token authentication, as GHCR and Docker Hub want it: docker-registry with a token service of ours."""

from __future__ import annotations

import base64
import json
import secrets
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from starfreight.console import Console
from starfreight.errors import ServiceError
from starfreight.package import Package
from starfreight.packager.registry.push import publish

USERNAME, PASSWORD = "pilot", "token password"


def encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class TokenService(ThreadingHTTPServer):
    """Signs what the distribution's token specification describes, for those who know the password."""

    daemon_threads = True

    def __init__(self, openssl: str, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.openssl, self.key, self.certificate = openssl, folder / "token.key", folder / "token.pem"
        self.scopes: list[str] = []
        subprocess.run(
            [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", self.key,
             "-out", self.certificate, "-subj", "/CN=token", "-days", "2"],
            check=True, capture_output=True,
        )  # fmt: skip

    @property
    def realm(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/token"

    def token(self, scope: str) -> str:
        kind, name, actions = scope.split(":") if scope else ("", "", "")
        access = [{"type": kind, "name": name, "actions": actions.split(",")}] if scope else []
        chain = "".join(self.certificate.read_text().splitlines()[1:-1])
        now = int(time.time())
        claims = {
            "iss": "test", "sub": USERNAME, "aud": "registry", "nbf": now - 10, "iat": now,
            "exp": now + 300, "jti": secrets.token_hex(8), "access": access,
        }  # fmt: skip
        header = {"typ": "JWT", "alg": "RS256", "x5c": [chain]}
        signed = ".".join(encode(json.dumps(part).encode()) for part in (header, claims))
        command = [self.openssl, "dgst", "-sha256", "-sign", str(self.key)]
        signature = subprocess.run(command, input=signed.encode(), check=True, capture_output=True).stdout
        return f"{signed}.{encode(signature)}"


class _Handler(BaseHTTPRequestHandler):
    server: TokenService

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        wanted = "Basic " + base64.b64encode(f"{USERNAME}:{PASSWORD}".encode()).decode()
        allowed = self.headers.get("Authorization") == wanted
        scope = parse_qs(urlsplit(self.path).query).get("scope", [""])[0]
        self.server.scopes.append(scope)
        body = json.dumps({"token": self.server.token(scope)} if allowed else {}).encode()
        self.send_response(200 if allowed else 401)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture(scope="module")
def token_service(
    require_service: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TokenService]:
    with TokenService(require_service("openssl"), tmp_path_factory.mktemp("token")) as service:
        threading.Thread(target=service.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        yield service
        service.shutdown()


@pytest.fixture(scope="module")
def token_registry(token_service: TokenService, start_registry: Callable[..., Any]) -> Any:
    settings = (
        f"realm: '{token_service.realm}', service: registry, issuer: test, "
        f"rootcertbundle: {token_service.certificate}"
    )
    return start_registry(auth=f"auth: {{token: {{{settings}}}}}\n")


@pytest.fixture(autouse=True)
def fresh(token_service: TokenService, monkeypatch: pytest.MonkeyPatch) -> None:
    """No scopes yet; the user has named the token service, which speaks plain http on a port of its own."""
    token_service.scopes.clear()
    monkeypatch.setenv("STARFREIGHT_REGISTRY_REALM", urlsplit(token_service.realm).netloc)


def test_a_token_is_fetched_once_for_reading_and_once_for_writing(
    token_registry: Any, token_service: TokenService, package_folder: Path, repository: str, console: Console,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("STARFREIGHT_REGISTRY_USERNAME", USERNAME)
    monkeypatch.setenv("STARFREIGHT_REGISTRY_PASSWORD", PASSWORD)
    published = publish(
        package_folder, f"{token_registry.host}/{repository}:1.0", insecure=True, console=console
    )
    assert published.bytes_sent > 0
    scopes = [scope.rpartition(":")[2] for scope in token_service.scopes]
    assert scopes == ["pull,push"]


def test_a_token_that_runs_out_during_an_upload_is_fetched_again_and_the_upload_sent_whole(
    faulty: Any, fault: Any, registry: Any, token_service: TokenService, package_folder: Path,
    repository: str, console: Console, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("STARFREIGHT_REGISTRY_USERNAME", USERNAME)
    monkeypatch.setenv("STARFREIGHT_REGISTRY_PASSWORD", PASSWORD)
    gguf = Package.load(package_folder).default_variant.gguf
    challenge = (
        f'Bearer realm="{token_service.realm}",service="registry",scope="repository:{repository}:push"'
    )
    path = f"digest=.*{gguf.digest.removeprefix('sha256:')}"
    faulty.faults.append(fault("PUT", path, status=401, headers={"WWW-Authenticate": challenge}))
    publish(package_folder, f"{faulty.host}/{repository}:1.0", insecure=True, console=console)
    assert token_service.scopes == [f"repository:{repository}:pull,push"]
    assert faulty.count("PUT", path) == 2
    assert registry.blob(gguf.digest).stat().st_size == gguf.size


def test_a_wrong_password_at_the_token_service_is_refused_with_what_to_set(
    token_registry: Any,
    package_folder: Path,
    repository: str,
    console: Console,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("STARFREIGHT_REGISTRY_USERNAME", USERNAME)
    monkeypatch.setenv("STARFREIGHT_REGISTRY_PASSWORD", "wrong-secret")
    with pytest.raises(ServiceError, match="401") as caught:
        publish(package_folder, f"{token_registry.host}/{repository}:1.0", insecure=True, console=console)
    assert "STARFREIGHT_REGISTRY_PASSWORD" in str(caught.value)
    assert "wrong-secret" not in str(caught.value)
