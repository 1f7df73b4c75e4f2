"""``doctor REF``: who can pull, and why the others cannot, asked from live registries."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from listeners import Listener
from ollama_client import public_key
from servers import Server

from starfreight.cli import cli
from starfreight.console import Console
from starfreight.errors import InputError, ServiceError
from starfreight.files import canonical_json
from starfreight.package import Package
from starfreight.packager.doctor import Diagnosis, diagnose
from starfreight.packager.doctor.interface import Verdict
from starfreight.packager.doctor.table import CLIENTS
from starfreight.packager.registry.push import publish
from starfreight.packager.serve.access import KeyAccess
from starfreight.packager.serve.read_only_registry import serve_packages
from starfreight.registry import parse_reference
from starfreight.registry.media_types import OCI_MANIFEST
from starfreight.registry.publishing import PublishingClient

FORMATS = ("ollama", "modelpack", "docker")


def by_client(diagnosis: Diagnosis) -> dict[str, Verdict]:
    return {verdict.client: verdict for verdict in diagnosis.verdicts}


@pytest.fixture
def reference(registry: Server, repository: str, package_folder: Path, console: Console) -> str:
    name = f"{registry.host}/{repository}:1.0"
    publish(package_folder, name, insecure=True, console=console, formats=FORMATS)
    return name


def test_every_oci_client_pulls_from_a_plain_registry_and_ollama_does_not(
    reference: str, console: Console
) -> None:
    found = by_client(diagnose(reference, insecure=True, console=console))
    assert {name for name, verdict in found.items() if not verdict.pulls} == {"Ollama", "llama.cpp"}
    assert "no Location header" in str(found["Ollama"].problem)
    assert "gateway" in str(found["Ollama"].fix)
    assert "Docker Hub only" in str(found["llama.cpp"].problem)
    assert found["ORAS"].command == f"oras pull --plain-http {reference}-oci"
    assert any("containerd" in note for note in found["Kubernetes image volumes"].notes)


@pytest.mark.parametrize("length", ["9" * 5000, "-1", "1e3", "\u00b2", "0x10"])
def test_a_length_that_is_no_number_is_no_length(
    length: str, faulty: Any, fault: Any, reference: str, registry: Server, console: Console
) -> None:
    faulty.faults.append(fault("HEAD", "/blobs/", status=200, headers={"Content-Length": length}, times=99))
    behind = reference.replace(registry.host, faulty.host)
    found = by_client(diagnose(behind, insecure=True, console=console))
    assert not any(found[name].pulls for name in ("ORAS", "Ollama"))


def test_ollama_pulls_through_a_gateway(
    gateway: Server, registry: Server, reference: str, console: Console
) -> None:
    behind = reference.replace(registry.host, gateway.host)
    found = by_client(diagnose(f"{behind}-oci", insecure=True, console=console))
    assert found["Ollama"].pulls
    assert found["Ollama"].command == f"ollama pull --insecure {behind}"


def test_a_served_package_is_for_all(package_folder: Path, console: Console) -> None:
    from starfreight.packager.serve.read_only_registry import serve_packages

    with serve_packages([package_folder]) as served:
        reference = f"{served.host}/starfreight/tiny-coder:latest"
        found = by_client(diagnose(reference, insecure=True, console=console))
    assert {name for name, verdict in found.items() if not verdict.pulls} == {"llama.cpp"}


def test_an_earlier_packages_faults_are_named(
    registry: Server, repository: str, package_folder: Path, console: Console
) -> None:
    """As version 0.1.0 wrote ModelPack: no titles, licenses in a folder, README.md before the model."""
    reference = f"{registry.host}/{repository}:0.9"
    publish(package_folder, reference, insecure=True, console=console)
    (modelpack,) = [
        each for each in Package.load(package_folder).default_variant.manifests if each.format == "modelpack"
    ]
    document = json.loads((package_folder / "blobs/sha256" / modelpack.manifest.digest[7:]).read_bytes())
    names = {"0-": "model.gguf", "LICENSE": "licenses/MIT", "README": "README.md"}
    for layer in document["layers"]:
        name = layer["annotations"]["org.cncf.model.filepath"]
        old = next((new for start, new in names.items() if name.startswith(start)), name)
        layer["annotations"] = {"org.cncf.model.filepath": old}
    writer = PublishingClient(parse_reference(reference), insecure=True)
    writer.put_manifest("0.9-oci", OCI_MANIFEST, canonical_json(document))
    found = by_client(diagnose(reference, insecure=True, console=console))
    assert "README.md as the model" in str(found["RamaLama"].problem)
    assert "oras writes nothing" in str(found["ORAS"].problem)
    assert "license layer not found" in str(found["Harbor's page"].problem)
    assert found["podman artifact"].notes == ("files without a title are written under their digests",)
    assert found["modctl and KitOps"].pulls
    assert found["Docker Model Runner"].pulls


def test_a_lost_or_damaged_model_is_named(
    registry: Server, reference: str, package_folder: Path, console: Console
) -> None:
    blob = registry.blob(Package.load(package_folder).default_variant.gguf.digest)
    data = blob.read_bytes()
    blob.write_bytes(b"HTML" + data[4:])
    assert "not a GGUF" in str(by_client(diagnose(reference, insecure=True, console=console))["ORAS"].problem)
    blob.write_bytes(data[:-1])
    assert "bytes" in str(by_client(diagnose(reference, insecure=True, console=console))["ORAS"].problem)
    blob.unlink()
    found = by_client(diagnose(reference, insecure=True, console=console))
    assert not any(verdict.pulls for name, verdict in found.items() if name != "Harbor's page")


def test_missing_formats_name_the_command_that_publishes_them(
    registry: Server, repository: str, package_folder: Path, console: Console
) -> None:
    reference = f"{registry.host}/{repository}:1.0"
    publish(package_folder, reference, insecure=True, console=console, formats=("ollama",))
    found = by_client(diagnose(reference, insecure=True, console=console))
    assert "--format modelpack" in str(found["ORAS"].fix)


def test_a_private_registry_is_a_diagnosis(locked_registry: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(locked_registry.certificate))
    quiet = Console(quiet=True)
    found = by_client(diagnose(f"{locked_registry.host}/team/x:1.0", insecure=False, console=quiet))
    assert not any(verdict.pulls for verdict in found.values())
    assert "credentials" in str(found["ORAS"].problem)
    assert "Ollama" in str(found["Ollama"].problem) or "private" in str(found["Ollama"].problem)


def test_a_gateway_for_listed_keys_is_a_diagnosis(
    package_folder: Path, console: Console, tmp_path: Path
) -> None:
    keys = tmp_path / "keys"
    keys.write_text(f"{public_key(Ed25519PrivateKey.generate())} alice\n")
    access = KeyAccess(keys)
    with serve_packages([(package_folder, "team/x:1.0")], access=access, log=lambda line: None) as server:
        reference = f"{server.host}/team/x:1.0"
        found = by_client(diagnose(reference, insecure=True, console=console))
    assert not any(verdict.pulls for verdict in found.values())
    assert "listed" in str(found["Ollama"].problem)
    assert "id_ed25519.pub" in str(found["Ollama"].fix)
    assert found["Ollama"].command == f"ollama pull --insecure {reference}"


def test_each_client_of_the_docs_is_checked_by_its_name() -> None:
    table = (Path(__file__).parents[3] / "docs" / "doctor.md").read_text().partition("| `--check` |")[2]
    rows = table.partition("\n\n")[0].splitlines()[2:]
    documented = [name for row in rows for name in re.findall(r"`([^`]+)`", row.split("|")[1])]
    names = [name for client in CLIENTS for name in client.checks]
    assert set(names) <= set(documented)
    unknown = CliRunner().invoke(cli, ["doctor", "r.example/a/b:1", "--check", "and"], standalone_mode=False)
    assert f"choose from {', '.join(names)}" in str(unknown.exception)


def test_no_tag_and_no_registry(registry: Server, console: Console) -> None:
    with pytest.raises(InputError, match="no such tag") as missing:
        diagnose(f"{registry.host}/team/nobody:1.0", insecure=True, console=console)
    assert f"package list --insecure {registry.host}" in str(missing.value.fix)
    with pytest.raises(InputError):
        diagnose("coder", insecure=True, console=console)


@pytest.mark.parametrize("body", [b"", b"{}", b'{"manifests": [1]}', b"[" * 50_000])
def test_a_server_of_nonsense_is_no_traceback(
    listen: Callable[[str], Listener], console: Console, body: bytes
) -> None:
    server = listen("127.0.0.1")
    server.answer = lambda path, authorization: (200, {"Location": path}, body)
    found = diagnose(f"{server.host}/team/x:1.0", insecure=True, console=console)
    assert not any(verdict.pulls for verdict in found.verdicts)
    server.answer = lambda path, authorization: (404, {}, body)
    with pytest.raises(ServiceError, match="not a registry"):
        diagnose(f"{server.host}/team/x:1.0", insecure=True, console=console)


def test_the_command_exits_by_what_was_asked_for(reference: str) -> None:
    def run(*arguments: str) -> Any:
        return CliRunner().invoke(cli, ["doctor", *arguments], standalone_mode=False)

    table = run(reference, "--insecure")
    assert table.return_value == 0
    assert "because" in table.output
    assert run(reference, "--insecure", "--check", "oras").return_value == 0
    refused = run(reference, "--insecure", "--check", "Ollama", "--json")
    assert refused.return_value == 3
    assert json.loads(refused.output)["clients"][0]["pulls"] is False
    assert run(reference, "--insecure", "--check", "oras", "--check", "podman").return_value == 0
