"""Fixtures: real servers, each on a free port of this machine with its storage in a temporary folder."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

USERNAME = "pilot"
PASSWORD = "correct horse battery staple"


@dataclass(frozen=True)
class Server:
    """A running server."""

    host: str
    """Address and port."""
    storage: Path
    certificate: Path | None = None
    """The CA that signed the server's certificate."""
    username: str = ""
    password: str = ""

    @property
    def url(self) -> str:
        return f"{'https' if self.certificate else 'http'}://{self.host}"

    def blob(self, digest: str) -> Path:
        """Where docker-registry keeps a blob's bytes."""
        name = digest.removeprefix("sha256:")
        return self.storage / "docker/registry/v2/blobs/sha256" / name[:2] / name / "data"


@pytest.fixture
def plain_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No credentials and no proxies but those a test sets."""
    for name in (
        "STARFREIGHT_REGISTRY_USERNAME", "STARFREIGHT_REGISTRY_PASSWORD", "STARFREIGHT_REGISTRY_HOST",
        "STARFREIGHT_REGISTRY_REALM", "http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY",
        "all_proxy", "ALL_PROXY", "no_proxy", "NO_PROXY", "REGISTRY_AUTH_FILE",
    ):  # fmt: skip
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "no-docker-config"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "no-session"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "no-settings"))


@pytest.fixture(scope="session")
def free_port() -> Callable[[], int]:
    """Finds a port that nothing listens on."""

    def find() -> int:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return int(probe.getsockname()[1])

    return find


@pytest.fixture(scope="session")
def start_server() -> Iterator[Callable[[list[str], int, Path], subprocess.Popen[bytes]]]:
    """Starts a server, waits until its port answers, and stops it when all tests are done."""
    running: list[subprocess.Popen[bytes]] = []

    def start(command: list[str], port: int, log: Path) -> subprocess.Popen[bytes]:
        with log.open("wb") as stream:
            process = subprocess.Popen(command, stdout=stream, stderr=subprocess.STDOUT)
        running.append(process)
        for _ in range(200):
            if process.poll() is not None:
                break
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return process
            time.sleep(0.05)
        raise RuntimeError(f"{command[0]} does not answer: {log.read_text()[-2000:]}")

    yield start
    for process in running:
        process.terminate()
    for process in running:
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()


@pytest.fixture(scope="session")
def start_registry(
    require_service: Callable[[str], str],
    tmp_path_factory: pytest.TempPathFactory,
    free_port: Callable[[], int],
    start_server: Callable[[list[str], int, Path], subprocess.Popen[bytes]],
) -> Callable[..., Server]:
    """Starts Debian's docker-registry, with more of its configuration when given."""
    program = require_service("docker-registry")

    def start(
        http: str = "", auth: str = "", certificate: Path | None = None, storage: Path | None = None
    ) -> Server:
        folder = tmp_path_factory.mktemp("registry")
        port = free_port()
        config = folder / "config.yml"
        config.write_text(
            "version: 0.1\n"
            "log: {level: warn, accesslog: {disabled: true}}\n"
            f"storage: {{filesystem: {{rootdirectory: {storage or folder / 'storage'}}}}}\n"
            f"http: {{addr: '127.0.0.1:{port}', secret: secret{http}}}\n{auth}"
        )
        start_server([program, "serve", str(config)], port, folder / "log")
        credentials = (USERNAME, PASSWORD) if auth else ("", "")
        return Server(f"127.0.0.1:{port}", storage or folder / "storage", certificate, *credentials)

    return start


@pytest.fixture(scope="session")
def registry(start_registry: Callable[..., Server]) -> Server:
    """A registry over plain http that lets everybody in."""
    return start_registry()


@pytest.fixture(scope="session")
def certificate_authority(
    require_service: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[], tuple[Path, Path, Path]]:
    """Makes a CA of our own, and a certificate of it for 127.0.0.1; gives CA, certificate and key."""
    program = require_service("openssl")

    def make() -> tuple[Path, Path, Path]:
        folder = tmp_path_factory.mktemp("tls")

        def openssl(*arguments: str) -> None:
            subprocess.run([program, *arguments], check=True, cwd=folder, capture_output=True)

        curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
        openssl(
            "req",
            "-x509",
            *curve,
            "-keyout",
            "ca.key",
            "-out",
            "ca.pem",
            "-subj",
            "/CN=Test CA",
            "-days",
            "2",
        )
        openssl("req", *curve, "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=127.0.0.1")
        (folder / "san").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost")
        openssl(
            "x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
            "-out", "server.pem", "-days", "2", "-extfile", "san",
        )  # fmt: skip
        return folder / "ca.pem", folder / "server.pem", folder / "server.key"

    return make


@pytest.fixture(scope="session")
def locked_registry(
    require_service: Callable[[str], str],
    start_registry: Callable[..., Server],
    certificate_authority: Callable[[], tuple[Path, Path, Path]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Server:
    """A registry over https, with a certificate of a CA of our own, that wants user name and password."""
    authority, certificate, key = certificate_authority()
    passwords = tmp_path_factory.mktemp("htpasswd") / "htpasswd"
    command = [require_service("htpasswd"), "-Bbn", USERNAME, PASSWORD]
    passwords.write_bytes(subprocess.run(command, check=True, capture_output=True).stdout)
    return start_registry(
        http=f", tls: {{certificate: {certificate}, key: {key}}}",
        auth=f"auth: {{htpasswd: {{realm: test, path: {passwords}}}}}\n",
        certificate=authority,
    )
