"""Stock clients pull through the gateway."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from ollama_client import NO_LOCATION, OllamaClient, OllamaError
from servers import PASSWORD, Server


def test_ollama_pulls_from_a_private_registry_with_a_certificate_of_its_own(
    gateway: Any, model: Any, tmp_path: Path
) -> None:
    client = OllamaClient(gateway.host, authority=gateway.authority, least_part=100_000)
    assert client.pull("team/coder:1.0", tmp_path) == json.loads(model.manifest)
    asked = [each for each in client.asked if "/blobs/" in each.url]
    assert all("Authorization" not in each.headers for each in asked)
    assert sum(each.status == 206 for each in asked) >= 10


def test_ollama_cannot_pull_from_the_registry_itself(
    locked_registry: Server, model: Any, tmp_path: Path
) -> None:
    client = OllamaClient(locked_registry.host, authority=locked_registry.certificate)
    with pytest.raises(OllamaError):
        client.pull("team/coder:1.0", tmp_path)
    assert NO_LOCATION == "http: no Location header in response"


def test_a_tag_that_is_not_there_is_ollamas_file_does_not_exist(gateway: Any, tmp_path: Path) -> None:
    with pytest.raises(OllamaError, match="file does not exist"):
        OllamaClient(gateway.host, authority=gateway.authority).pull("team/coder:2.0", tmp_path)
    # The tag of a ModelPack, which Ollama asks for as a Docker manifest.
    with pytest.raises(OllamaError, match="file does not exist"):
        OllamaClient(gateway.host, authority=gateway.authority).pull("team/coder:1.0-oci", tmp_path)


def test_skopeo_copies_both_kinds_of_manifests(
    gateway: Any, require_service: Callable[[str], str], tmp_path: Path
) -> None:
    certificates = tmp_path / "certificates"
    certificates.mkdir()
    (certificates / "ca.crt").write_bytes(gateway.authority.read_bytes())
    for tag in ("1.0", "1.0-oci"):
        done = subprocess.run(
            [require_service("skopeo"), "--insecure-policy", "inspect", "--raw", "--no-creds",
             "--cert-dir", str(certificates), f"docker://{gateway.host}/team/coder:{tag}"],
            capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert "layers" in json.loads(done.stdout)
    done = subprocess.run(
        [require_service("skopeo"), "--insecure-policy", "copy", "--src-no-creds", "--src-cert-dir",
         str(certificates), f"docker://{gateway.host}/team/coder:1.0-oci", f"dir:{tmp_path / 'copy'}"],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_blobs_come_whole_in_ranges_and_as_heads(gateway: Any, model: Any) -> None:
    path = f"/v2/team/coder/blobs/{model.layer}"
    head = gateway.get(path, "HEAD")
    assert (head.status_code, head.headers["Content-Length"]) == (200, "1048576")
    assert "Location" not in head.headers and not head.content
    whole = gateway.get(path)
    assert whole.headers["Location"] == f"{gateway.url}{path}"
    part = gateway.get(path, headers={"Range": "bytes=1000-1999"})
    assert part.status_code == 206 and part.content == whole.content[1000:2000]
    assert gateway.get(path, headers={"Range": "bytes=-10"}).content == whole.content[-10:]
    assert gateway.get(path, headers={"Range": "bytes=9999999-"}).status_code == 416


def test_the_password_is_in_no_log_nor_argument_nor_readable_file(gateway: Any) -> None:
    import base64

    gateway.get("/v2/team/coder/manifests/1.0")
    encoded = base64.b64encode(f"pilot:{PASSWORD}".encode()).decode()
    for text in (gateway.log, (Path("/proc") / str(gateway.process.pid) / "cmdline").read_text()):
        assert PASSWORD not in text and encoded not in text


def test_a_wrong_password_of_the_gateway_is_not_the_clients_401(
    start_gateway: Callable[..., Any], locked: dict[str, Any], model: Any
) -> None:
    credential = {"username": "pilot", "password": {"environment": "WRONG"}}
    gateway = start_gateway({"registry": {**locked, "credential": credential}}, WRONG="wrong")
    answer = gateway.get("/v2/team/coder/manifests/1.0")
    # With 401, Ollama would sign in at a realm that is not there.
    assert answer.status_code == 502 and "refused the gateway" in answer.text


def test_the_registrys_certificate_is_checked(
    start_gateway: Callable[..., Any],
    locked: dict[str, Any],
    certificates: tuple[Path, Path, Path],
    model: Any,
    eventually: Callable[..., None],
) -> None:
    gateway = start_gateway({"registry": {**locked, "ca": str(certificates[0])}})
    assert gateway.get("/v2/team/coder/manifests/1.0").status_code == 502
    eventually(lambda: "certificate verify error" in gateway.log)


def test_ctrl_c_stops_it_and_leaves_nothing(
    start_gateway: Callable[..., Any], locked: dict[str, Any], model: Any
) -> None:
    import signal
    import tempfile

    before = set(Path(tempfile.gettempdir()).glob("starfreight-gateway-*"))
    gateway = start_gateway({"registry": locked})
    assert gateway.get("/v2/").status_code == 200
    gateway.process.send_signal(signal.SIGINT)
    assert gateway.process.wait(20) == 0, "Ctrl-C is the usual end of a server."
    with pytest.raises(requests.ConnectionError):
        gateway.get("/v2/")
    assert set(Path(tempfile.gettempdir()).glob("starfreight-gateway-*")) <= before


def test_a_port_that_is_in_use_is_an_error_and_not_somebody_elses_answer(
    run_cli: Callable[..., subprocess.CompletedProcess[str]], registry: Server, tmp_path: Path
) -> None:
    settings = {"host": registry.host, "listen": registry.host, "registry": {"url": registry.url},
                "repositories": ["team/*"]}  # fmt: skip
    (tmp_path / "gateway.yaml").write_text(json.dumps(settings))
    done = run_cli("gateway", "run", "gateway.yaml", "--on", "local", "--json")
    assert done.returncode == 4
    error = json.loads(done.stdout)["error"]
    assert "Address already in use" in error["what"] and error["where"] == registry.host
