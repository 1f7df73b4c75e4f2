"""The image ``gateway``: small, unprivileged, and stock Ollama pulls through it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import docker
import pytest
import requests
import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from ollama_client import OllamaClient, OllamaError, public_key
from servers import Server

from starfreight.image import BuiltImage

ALICE = Ed25519PrivateKey.from_private_bytes(b"a" * 32)
DOCKER_TYPE = "application/vnd.docker.distribution.manifest.v2+json"
WEIGHTS = os.urandom(300_000)


@pytest.fixture
def pushed(registry: Server) -> bytes:
    """The manifest of a model in the registry."""
    import hashlib

    base = f"{registry.url}/v2/team/boxed"
    descriptors = []
    for data, kind in ((b"{}", "application/vnd.docker.container.image.v1+json"),
                       (WEIGHTS, "application/vnd.ollama.image.model")):  # fmt: skip
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        place = requests.post(f"{base}/blobs/uploads/", timeout=20).headers["Location"]
        assert requests.put(place, params={"digest": digest}, data=data, timeout=20).status_code == 201
        descriptors.append({"mediaType": kind, "digest": digest, "size": len(data)})
    manifest = json.dumps({
        "schemaVersion": 2, "mediaType": DOCKER_TYPE, "config": descriptors[0], "layers": descriptors[1:],
    }).encode()  # fmt: skip
    answer = requests.put(
        f"{base}/manifests/1.0", data=manifest, headers={"Content-Type": DOCKER_TYPE}, timeout=20
    )
    assert answer.status_code == 201
    return manifest


def test_the_image_holds_no_more_than_a_server_needs(
    engine: docker.DockerClient, gateway_image: BuiltImage
) -> None:
    image = engine.images.get(gateway_image.id)
    assert image.attrs["Config"]["User"] == "65532:65532"
    program = (
        "from importlib.util import find_spec; print([name for name in ('numpy', 'pip', 'torch') "
        "if find_spec(name)], find_spec('cryptography') is not None)"
    )
    command = ["python", "-P", "-c", program]
    said = engine.containers.run(gateway_image.id, command, remove=True, read_only=True, network_mode="none")
    assert said.decode().strip() == "[] True"


def test_ollama_pulls_through_the_container_and_a_revoked_key_does_not(
    gateway_image: BuiltImage, registry: Server, pushed: bytes, free_port: Callable[[], int], tmp_path: Path
) -> None:
    port = free_port()
    folder = tmp_path / "gateway"
    (folder / "log").mkdir(parents=True)
    keys = folder / "keys"
    keys.write_text(f"{public_key(ALICE)} alice\n")
    settings = {
        "host": f"127.0.0.1:{port}", "listen": f"127.0.0.1:{port}", "registry": {"url": registry.url},
        "repositories": ["team/*"], "users": {"authorized_keys": "keys", "audit_log": "log/audit.jsonl"},
    }  # fmt: skip
    (folder / "gateway.yaml").write_text(yaml.safe_dump(settings))
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "starfreight", "gateway", "run", str(folder / "gateway.yaml"),
         "--on", "docker", "--image", gateway_image.id],
        stdout=subprocess.PIPE, stderr=(folder / "stderr").open("a"), text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        assert "The gateway answers" in process.stdout.readline(), (folder / "stderr").read_text()
        client = OllamaClient(settings["host"], insecure=True, key=ALICE, least_part=100_000)
        assert client.pull("team/boxed:1.0", tmp_path / "a") == json.loads(pushed)
        audit = [json.loads(line) for line in (folder / "log" / "audit.jsonl").read_text().splitlines()]
        assert {each["who"] for each in audit if each["granted"]} == {"alice"}
        replaced = folder / "keys.new"
        replaced.write_text("# nobody\n")
        replaced.rename(keys)
        with pytest.raises(OllamaError, match="401"):
            OllamaClient(settings["host"], insecure=True, key=ALICE).pull("team/boxed:1.0", tmp_path / "b")
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    shutil.rmtree(folder)


def test_no_container_is_left(engine: docker.DockerClient, gateway_image: BuiltImage) -> None:
    found = engine.containers.list(
        all=True, filters={"label": "dev.starfreight.gateway", "ancestor": gateway_image.id}
    )
    assert found == []
