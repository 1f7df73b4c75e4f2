"""Signing at publishing, and in a registry: tags stay, models are not fetched, nothing is signed twice."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from servers import Server

from starfreight.cli import main
from starfreight.console import Console
from starfreight.package import Package
from starfreight.packager.build.build_package import build_package
from starfreight.packager.evaluation.attach import set_rules
from starfreight.packager.provenance.signing.bundle import MEDIA_TYPE
from starfreight.packager.provenance.signing.local_key import LocalKey, generate_key
from starfreight.packager.provenance.signing.sign_package import MoreSignatures, sign_package
from starfreight.packager.provenance.signing.simple_signing import SIMPLE_SIGNING
from starfreight.packager.registry.open_package import open_package
from starfreight.packager.registry.publish_evidence import publish_evidence
from starfreight.packager.registry.pull_package import pull_package
from starfreight.packager.registry.push import publish
from starfreight.recipe.evaluate import QualityRule

GOLDEN = Path(__file__).parents[2] / "golden"
PASSWORD = "correct horse"
OCI = "application/vnd.oci.image.manifest.v1+json"
pytestmark = pytest.mark.usefixtures("plain_environment")


@pytest.fixture
def folder(tmp_path: Path, console: Console) -> Path:
    """A package of this version, with a bill of materials."""
    run = shutil.copytree(GOLDEN / "finished-runs/golden-sweep-rank-4-44cf01916d", tmp_path / "run")
    build_package(run, tmp_path / "package", GOLDEN / "inputs/base", console)
    return tmp_path / "package"


@pytest.fixture
def key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    generate_key(tmp_path / "acme.key", tmp_path / "acme.pub", PASSWORD.encode())
    monkeypatch.setenv("STARFREIGHT_KEY_PASSWORD", PASSWORD)
    return tmp_path / "acme.key"


@pytest.fixture
def reference(registry: Server, repository: str) -> str:
    return f"{registry.host}/{repository}:1.0"


def referrers(registry: Server, repository: str, digest: str) -> list[dict[str, Any]]:
    """The index at the tag of a registry without a list of its own."""
    url = f"{registry.url}/v2/{repository}/manifests/{digest.replace(':', '-')}"
    index = requests.get(url, headers={"Accept": "application/vnd.oci.image.index.v1+json"}, timeout=30)
    found: list[dict[str, Any]] = index.json()["manifests"]
    return found


def manifest(registry: Server, repository: str, tag: str) -> requests.Response:
    url = f"{registry.url}/v2/{repository}/manifests/{tag}"
    return requests.get(url, headers={"Accept": OCI}, timeout=30)


def test_publish_signs_and_the_lists_of_referrers_name_the_kind(
    folder: Path, key: Path, reference: str, registry: Server, repository: str
) -> None:
    sign = ["--sign", "--key", str(key)]
    assert main(["publish", str(folder), reference, "--insecure", *sign]) == 0
    package = Package.load(folder)
    for each in package.default_variant.manifests[:2]:
        listed = referrers(registry, repository, each.manifest.digest)
        bundles = [entry for entry in listed if entry["artifactType"] == MEDIA_TYPE]
        kinds = [entry["annotations"]["dev.sigstore.bundle.predicateType"] for entry in bundles]
        assert kinds == ["https://slsa.dev/provenance/v1", "https://cyclonedx.org/bom"]
    verify = ["package", "verify", reference, "--insecure", "--key", str(key.with_suffix(".pub"))]
    assert main(verify) == 0


def test_options_of_signing_belong_together(folder: Path, key: Path) -> None:
    for options in (["--sign"], ["--key", str(key)], ["--legacy"], ["--sign", "--legacy"]):
        assert main(["publish", str(folder), "127.0.0.1:9/a/b:1", "--insecure", *options]) == 2
    assert main(["package", "sign", str(folder)]) == 2


def test_a_wrong_password_is_found_before_anything_is_sent(
    folder: Path, key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STARFREIGHT_KEY_PASSWORD", "wrong")
    sign = ["--insecure", "--sign", "--key", str(key)]
    assert main(["publish", str(folder), "127.0.0.1:9/acme/coder:1.0", *sign]) == 2


def test_a_package_that_misses_its_rules_is_not_signed(
    folder: Path, key: Path, reference: str, console: Console
) -> None:
    set_rules(folder, [QualityRule(suite="fim", figure="exact_match", at_least=0.1)], console)
    before = Package.load(folder)
    assert main(["publish", str(folder), reference, "--insecure", "--sign", "--key", str(key)]) == 3
    assert Package.load(folder) == before


def test_a_release_is_signed_in_its_registry(
    folder: Path, key: Path, reference: str, registry: Server, repository: str, console: Console,
    tmp_path: Path, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    published = publish(folder, reference, insecure=True, console=console)
    sign = ["package", "sign", reference, "--insecure", "--key", str(key), "--legacy", "--json"]
    verify = ["package", "verify", reference, "--insecure", "--key", str(key.with_suffix(".pub"))]
    assert main(verify) == 3
    capsys.readouterr()
    assert main(sign) == 0
    first = json.loads(capsys.readouterr().out)
    assert first["added"] > 0 and first["signer"] == "acme.key"
    assert main(verify) == 0
    capsys.readouterr()
    assert main(sign) == 0
    assert json.loads(capsys.readouterr().out)["added"] == 0
    for tag in published.tags:
        assert manifest(registry, repository, tag.digest).status_code == 200
        headers = manifest(registry, repository, tag.tag).headers
        if tag.format != "ollama":
            assert headers["Docker-Content-Digest"] == tag.digest
    pulled = pull_package(reference, tmp_path / "pulled", insecure=True, console=console)
    assert pulled.package.extends(Package.load(folder))
    assert main(["package", "verify", str(tmp_path / "pulled"), *verify[4:]]) == 0
    for tag in {tag.digest for tag in published.tags}:
        signed = manifest(registry, repository, f"{tag.replace(':', '-')}.sig").json()
        assert [layer["mediaType"] for layer in signed["layers"]] == [SIMPLE_SIGNING]
        blob = f"{registry.url}/v2/{repository}/blobs/{signed['layers'][0]['digest']}"
        critical = requests.get(blob, timeout=30).json()["critical"]
        assert critical["image"]["docker-manifest-digest"] == tag
        assert critical["identity"]["docker-reference"] == f"{registry.host}/{repository}"


def test_evidence_of_a_directory_is_not_pushed(folder: Path, console: Console) -> None:
    from starfreight.errors import InputError

    with open_package(str(folder), console) as opened, pytest.raises(InputError, match="not in a registry"):
        publish_evidence(opened, console)


def test_a_signature_of_another_key_joins_those_at_the_tag(
    folder: Path, key: Path, reference: str, registry: Server, repository: str, console: Console,
    tmp_path: Path, make_second: Callable[[], LocalKey],
) -> None:  # fmt: skip
    more = MoreSignatures(legacy=True, repository="host/a/b")
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    sign_package(folder, LocalKey.load(key, PASSWORD.encode()), console, more=more)
    sign_package(copy, make_second(), console, more=more)
    publish(folder, reference, insecure=True, console=console)
    publish(copy, reference, insecure=True, console=console)
    publish(copy, reference, insecure=True, console=console)
    digest = Package.load(folder).default_variant.manifests[0].manifest.digest
    tag = f"{digest.replace(':', '-')}.sig"
    signed = manifest(registry, repository, tag).json()
    assert len(signed["layers"]) == 2
    config = requests.get(f"{registry.url}/v2/{repository}/blobs/{signed['config']['digest']}", timeout=30)
    assert config.json()["rootfs"]["diff_ids"] == [layer["digest"] for layer in signed["layers"]]
    signed["layers"][0]["mediaType"] = "text/plain"
    url = f"{registry.url}/v2/{repository}/manifests/{tag}"
    requests.put(url, data=json.dumps(signed), headers={"Content-Type": OCI}, timeout=30).raise_for_status()
    assert main(["publish", str(folder), reference, "--insecure"]) == 4


@pytest.fixture
def make_second(tmp_path: Path) -> Callable[[], LocalKey]:
    def make() -> LocalKey:
        generate_key(tmp_path / "other.key", tmp_path / "other.pub", b"x")
        return LocalKey.load(tmp_path / "other.key", b"x")

    return make
