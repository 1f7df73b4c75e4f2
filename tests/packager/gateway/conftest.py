"""A real nginx, run by ``starfreight gateway run``, in front of real registries with a small model."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests
from servers import PASSWORD, USERNAME, Server

DOCKER = "application/vnd.docker.distribution.manifest.v2+json"
OCI = "application/vnd.oci.image.manifest.v1+json"
WEIGHTS = bytes(range(256)) * 4096
"""A megabyte that stands for a GGUF file."""
CONFIG = b'{"model_format":"gguf","model_family":"starcoder2"}'


def digest_of(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


@dataclass
class Model:
    """What was pushed under one name."""

    repository: str
    manifest: bytes
    layer: str = field(default=digest_of(WEIGHTS))


def push_model(server: Server, repository: str, tag: str = "1.0") -> Model:
    """Push a model for Ollama under a tag, and a ModelPack of the same file under ``TAG-oci``."""
    auth = (server.username, server.password) if server.username else None
    options: dict[str, Any] = {
        "auth": auth,
        "verify": str(server.certificate) if server.certificate else True,
    }
    base = f"{server.url}/v2/{repository}"
    for data in (WEIGHTS, CONFIG):
        place = requests.post(f"{base}/blobs/uploads/", **options).headers["Location"]
        done = requests.put(place, params={"digest": digest_of(data)}, data=data, **options)
        assert done.status_code == 201, done.text

    def descriptor(data: bytes, kind: str, **more: Any) -> dict[str, Any]:
        return {"mediaType": kind, "digest": digest_of(data), "size": len(data), **more}

    docker = json.dumps({
        "schemaVersion": 2, "mediaType": DOCKER,
        "config": descriptor(CONFIG, "application/vnd.docker.container.image.v1+json"),
        "layers": [descriptor(WEIGHTS, "application/vnd.ollama.image.model")],
    }).encode()  # fmt: skip
    title = {"org.opencontainers.image.title": "model.gguf", "org.cncf.model.filepath": "model.gguf"}
    pack = json.dumps({
        "schemaVersion": 2, "mediaType": OCI, "artifactType": "application/vnd.cncf.model.manifest.v1+json",
        "config": descriptor(CONFIG, "application/vnd.cncf.model.config.v1+json"),
        "layers": [descriptor(WEIGHTS, "application/vnd.cncf.model.weight.v1.raw", annotations=title)],
    }).encode()  # fmt: skip
    for data, kind, name in ((docker, DOCKER, tag), (pack, OCI, f"{tag}-oci")):
        done = requests.put(f"{base}/manifests/{name}", data=data, headers={"Content-Type": kind}, **options)
        assert done.status_code == 201, done.text
    return Model(repository, docker)


@dataclass
class Gateway:
    """A running gateway."""

    host: str
    folder: Path
    process: subprocess.Popen[str]
    authority: Path | None

    @property
    def url(self) -> str:
        return f"{'https' if self.authority else 'http'}://{self.host}"

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    @property
    def audit(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / "audit.jsonl").read_text().splitlines()]

    def get(self, path: str, method: str = "GET", **options: Any) -> requests.Response:
        verify = str(self.authority) if self.authority else True
        return requests.request(
            method, self.url + path, verify=verify, timeout=20, allow_redirects=False, **options
        )


@pytest.fixture(autouse=True)
def plain(plain_environment: None) -> None:
    """No credentials and no proxies but those a test sets."""


@pytest.fixture(scope="module")
def start_gateway(
    require_service: Callable[[str], str],
    free_port: Callable[[], int],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[..., Gateway]]:
    """Starts ``starfreight gateway run`` with settings, and waits for its result."""
    require_service("nginx")
    running: list[subprocess.Popen[str]] = []

    def start(settings: dict[str, Any], authority: Path | None = None, keys: str | None = None,
              **environment: str) -> Gateway:  # fmt: skip
        folder = tmp_path_factory.mktemp("gateway")
        port = free_port()
        if keys is not None:
            (folder / "keys").write_text(keys)
            users = {"authorized_keys": "keys", "audit_log": "audit.jsonl"}
            settings = {**settings, "users": {**users, **settings.get("users", {})}}
        settings = {
            "host": f"127.0.0.1:{port}",
            "listen": f"127.0.0.1:{port}",
            "repositories": ["team/*"],
            **settings,
        }
        (folder / "gateway.yaml").write_text(json.dumps(settings))
        log = (folder / "log").open("a")
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "starfreight", "gateway", "run", "gateway.yaml", "--json"],
            cwd=folder, stdout=subprocess.PIPE, stderr=log, text=True, env={**os.environ, **environment},
        )  # fmt: skip
        running.append(process)
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if line == "}\n":
                break
        said = json.loads("".join(lines))
        assert said.get("origin"), (said, (folder / "log").read_text())
        return Gateway(settings["host"], folder, process, authority)

    yield start
    for process in running:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGINT)
    for process in running:
        process.wait(20)


@pytest.fixture(scope="session")
def push() -> Callable[..., Model]:
    """:func:`push_model`, for the tests."""
    return push_model


@pytest.fixture(scope="module")
def certificates(certificate_authority: Callable[[], tuple[Path, Path, Path]]) -> tuple[Path, Path, Path]:
    """CA, certificate and key of the gateways."""
    return certificate_authority()


@pytest.fixture(scope="module")
def model(locked_registry: Server) -> Model:
    """A model in an allowed repository; others are in repositories that are not."""
    for repository in ("other/coder", "team/lab/deep", "secret"):
        push_model(locked_registry, repository)
    return push_model(locked_registry, "team/coder")


@pytest.fixture(scope="module")
def locked(locked_registry: Server, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The ``registry`` of a gateway file, for the registry with htpasswd and TLS."""
    password = tmp_path_factory.mktemp("secret") / "password"
    password.write_text(PASSWORD + "\n")
    return {
        "url": locked_registry.url, "certificate_name": "localhost", "ca": str(locked_registry.certificate),
        "credential": {"username": USERNAME, "password": {"file": str(password)}},
    }  # fmt: skip


@pytest.fixture(scope="module")
def gateway(
    start_gateway: Callable[..., Gateway],
    locked: dict[str, Any],
    certificates: tuple[Path, Path, Path],
    model: Model,
) -> Gateway:
    """A gateway for everybody, with TLS, to the registry with htpasswd and TLS."""
    authority, certificate, key = certificates
    tls = {"certificate": str(certificate), "key": str(key)}
    return start_gateway({"registry": locked, "tls": tls}, authority)


@pytest.fixture
def eventually() -> Callable[[Callable[[], bool]], None]:
    """Waits until something holds."""

    def wait(holds: Callable[[], bool], seconds: float = 10) -> None:
        end = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < end
            time.sleep(0.05)

    return wait
