"""GitHub's own verifier accepts a signed package in a real registry, without a network, and nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from private_ca import PrivateCa
from servers import Server

from starfreight.console import Console
from starfreight.package import Package
from starfreight.packager.build.build_package import build_package
from starfreight.packager.provenance.signing.bundle import MEDIA_TYPE
from starfreight.packager.provenance.signing.certificate import CertificateSigner, read_certificate
from starfreight.packager.provenance.signing.local_key import LocalKey, generate_key
from starfreight.packager.provenance.signing.sign_package import MoreSignatures, sign_package
from starfreight.packager.provenance.signing.signed_statement import BOM_PREDICATE
from starfreight.packager.provenance.signing.timestamp_authority import TimestampAuthority
from starfreight.packager.registry.push import publish

FINISHED = Path(__file__).parents[2] / "golden/finished-packages"
GH = Path(sysconfig.get_path("scripts"), "gh")
OWNER = ["--owner", "acme"]
Verify = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    first = min(path for path in FINISHED.iterdir() if path.is_dir())
    return Path(shutil.copytree(first, tmp_path / "package"))


@pytest.fixture
def verify(private_ca: PrivateCa, tmp_path: Path) -> Verify:
    """Runs gh on a manifest of a registry."""

    def run(
        reference: str, *options: str, predicate: str = "https://slsa.dev/provenance/v1"
    ) -> subprocess.CompletedProcess[str]:
        command = [str(GH), "attestation", "verify", f"oci://{reference}", "--bundle-from-oci"]
        command += ["--custom-trusted-root", str(private_ca.trusted_root)]
        command += ["--predicate-type", predicate, *options]
        environment = {**os.environ, "GH_TOKEN": "none", "GH_CONFIG_DIR": str(tmp_path / "gh")}
        return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)

    return run


def signer(ca: PrivateCa) -> CertificateSigner:
    key = LocalKey.load(ca.key, None)
    return CertificateSigner(key, read_certificate(ca.certificate), TimestampAuthority(ca.timestamps))


@pytest.mark.usefixtures("plain_environment")
def test_gh_accepts_each_manifest_and_no_other_owner(
    folder: Path, registry: Server, private_ca: PrivateCa, verify: Verify, console: Console, tmp_path: Path
) -> None:
    password = b"correct horse"
    generate_key(tmp_path / "a.key", tmp_path / "a.pub", password)
    sign_package(folder, LocalKey.load(tmp_path / "a.key", password), console)
    sign_package(folder, signer(private_ca), console)
    repository = f"{registry.host}/acme/gh-signed"
    publish(folder, f"{repository}:1.0", insecure=True, console=console)
    package = Package.load(folder)
    for variant in package.variants:
        for each in variant.manifests:
            reference = f"{repository}@{each.manifest.digest}"
            workflow = ["--signer-workflow", "acme/coder/.github/workflows/train.yml"]
            for options in (OWNER, ["--repo", "acme/coder"], [*OWNER, *workflow]):
                done = verify(reference, *options)
                assert done.returncode == 0, done.stderr
    other = [*OWNER, "--signer-workflow", "acme/coder/.github/workflows/other.yml"]
    for options in (["--owner", "mallory"], ["--repo", "acme/other"], other):
        assert verify(reference, *options).returncode == 1


@pytest.mark.usefixtures("plain_environment")
def test_gh_refuses_a_package_that_is_not_signed_or_signed_with_a_key_alone(
    folder: Path, registry: Server, verify: Verify, console: Console, tmp_path: Path
) -> None:
    repository = f"{registry.host}/acme/gh-unsigned"
    manifest = Package.load(folder).default_variant.manifests[0].manifest
    publish(folder, f"{repository}:1.0", insecure=True, console=console)
    assert verify(f"{repository}@{manifest.digest}", *OWNER).returncode == 1
    generate_key(tmp_path / "a.key", tmp_path / "a.pub", b"x")
    sign_package(folder, LocalKey.load(tmp_path / "a.key", b"x"), console)
    publish(folder, f"{repository}:1.0", insecure=True, console=console)
    done = verify(f"{repository}@{manifest.digest}", *OWNER)
    assert done.returncode == 1 and "leaf cert not found" in done.stderr


@pytest.mark.usefixtures("plain_environment")
def test_gh_refuses_the_bundle_of_another_manifest(
    folder: Path, registry: Server, private_ca: PrivateCa, verify: Verify, console: Console, tmp_path: Path
) -> None:
    sign_package(folder, signer(private_ca), console)
    publish(folder, f"{registry.host}/acme/gh-other:1.0", insecure=True, console=console)
    others = [path for path in sorted(FINISHED.iterdir()) if path.is_dir()][1:]
    other = Path(shutil.copytree(others[0], tmp_path / "other"))
    publish(other, f"{registry.host}/acme/gh-other:2.0", insecure=True, console=console)
    manifest: Any = Package.load(other).default_variant.manifests[0].manifest
    assert verify(f"{registry.host}/acme/gh-other@{manifest.digest}", *OWNER).returncode == 1


@pytest.mark.usefixtures("plain_environment")
def test_gh_accepts_the_bill_of_materials_and_misses_a_stripped_referrer(
    registry: Server, private_ca: PrivateCa, verify: Verify, console: Console, tmp_path: Path
) -> None:
    golden = FINISHED.parent
    run = shutil.copytree(golden / "finished-runs/golden-fim-de8303b786", tmp_path / "run")
    folder = tmp_path / "whole"
    build_package(run, folder, golden / "inputs/base", console)
    signed, _ = sign_package(folder, signer(private_ca), console, more=MoreSignatures(model_signing=True))
    repository = f"{registry.host}/acme/gh-whole"
    publish(folder, f"{repository}:1.0", insecure=True, console=console)
    for each in signed.default_variant.manifests[:2]:
        reference = f"{repository}@{each.manifest.digest}"
        for predicate in ("https://slsa.dev/provenance/v1", BOM_PREDICATE):
            done = verify(reference, *OWNER, predicate=predicate)
            assert done.returncode == 0, done.stderr
            assert verify(reference, "--owner", "mallory", predicate=predicate).returncode == 1
        assert verify(reference, *OWNER, predicate="https://example.org/other").returncode == 1
    digest = signed.default_variant.manifests[0].manifest.digest
    wrong = digest[:-1] + ("0" if digest[-1] != "0" else "1")
    assert verify(f"{repository}@{wrong}", *OWNER).returncode == 1
    strip(registry, "acme/gh-whole", digest, keep=BOM_PREDICATE)
    reference = f"{repository}@{digest}"
    assert verify(reference, *OWNER, predicate=BOM_PREDICATE).returncode == 0
    assert verify(reference, *OWNER).returncode == 1
    strip(registry, "acme/gh-whole", digest)
    done = verify(reference, *OWNER, predicate=BOM_PREDICATE)
    assert done.returncode == 1 and "no attestations found" in done.stderr


def strip(registry: Server, repository: str, digest: str, keep: str | None = None) -> None:
    """Removes signatures from the list of referrers, but one kind."""
    url = f"{registry.url}/v2/{repository}/manifests/{digest.replace(':', '-')}"
    kind = "application/vnd.oci.image.index.v1+json"
    index = requests.get(url, headers={"Accept": kind}, timeout=30).json()
    index["manifests"] = [
        each
        for each in index["manifests"]
        if each["artifactType"] != MEDIA_TYPE
        or each["annotations"]["dev.sigstore.bundle.predicateType"] == keep
    ]
    requests.put(url, json=index, headers={"Content-Type": kind}, timeout=30).raise_for_status()
