"""Publishing to a real registry, and what lies there afterwards."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from starfreight.console import Console
from starfreight.errors import GateError
from starfreight.files import sha256_bytes
from starfreight.package import Package
from starfreight.packager.hashed_file import QuantizedFile
from starfreight.packager.layout import Evidence, ImageLayout, attach
from starfreight.packager.layout.write_package import PackageContents, write_package
from starfreight.packager.registry import publish
from starfreight.quantization import Quantization
from starfreight.registry import parse_reference
from starfreight.registry.provider import Provider

DOCKER = "application/vnd.docker.distribution.manifest.v2+json"
OCI = "application/vnd.oci.image.manifest.v1+json"


def raw_manifest(program: str, reference: str) -> bytes:
    command = [program, "inspect", "--raw", "--tls-verify=false", f"docker://{reference}"]
    return subprocess.run(command, check=True, capture_output=True).stdout


def test_every_tag_is_there_and_skopeo_reads_the_bytes_of_the_package(
    registry: Any,
    package_folder: Path,
    repository: str,
    console: Console,
    require_service: Callable[[str], str],
) -> None:
    skopeo = require_service("skopeo")
    published = publish(package_folder, f"{registry.host}/{repository}:1.0", insecure=True, console=console)
    package, layout = Package.load(package_folder), ImageLayout(package_folder)
    expected = {}
    for variant in package.variants:
        names = [f"1.0-{variant.tag}"] + (["1.0"] if variant.quantization == package.default else [])
        expected |= {name + each.suffix: each.manifest for name in names for each in variant.manifests}
    assert set(expected) == {
        "1.0", "1.0-oci", "1.0-q4_K_M", "1.0-q4_K_M-oci", "1.0-q8_0", "1.0-q8_0-oci",
    }  # fmt: skip
    assert {tag.tag: tag.digest for tag in published.tags} == {
        tag: each.digest for tag, each in expected.items()
    }
    for tag, manifest in expected.items():
        data = raw_manifest(skopeo, f"{registry.host}/{repository}:{tag}")
        assert sha256_bytes(data) == manifest.digest
        assert json.loads(data)["mediaType"] == (OCI if tag.endswith("-oci") else DOCKER)
        for layer in json.loads(data)["layers"]:
            blob = layout.blob_path(layer["digest"])
            assert registry.blob(layer["digest"]).read_bytes() == blob.read_bytes()


def test_both_formats_name_one_model_blob(
    registry: Any, package_folder: Path, repository: str, console: Console
) -> None:
    publish(package_folder, f"{registry.host}/{repository}:1.0", insecure=True, console=console)
    weights = set()
    for tag, accept in (("1.0", DOCKER), ("1.0-oci", OCI)):
        url = f"{registry.url}/v2/{repository}/manifests/{tag}"
        weights.add(requests.get(url, headers={"Accept": accept}, timeout=10).json()["layers"][0]["digest"])
    assert weights == {Package.load(package_folder).default_variant.gguf.digest}


def test_skopeo_copies_the_published_model_to_another_place(
    registry: Any, package_folder: Path, repository: str, console: Console, tmp_path: Path,
    require_service: Callable[[str], str],
) -> None:  # fmt: skip
    publish(package_folder, f"{registry.host}/{repository}:1.0", insecure=True, console=console)
    command = [
        require_service("skopeo"), "copy", "--src-tls-verify=false", "--preserve-digests",
        f"docker://{registry.host}/{repository}:1.0-oci", f"oci:{tmp_path / 'copy'}:1.0",
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    package = Package.load(package_folder)
    digests = [
        package.default_variant.gguf.digest,
        *(x.manifest.digest for x in package.default_variant.manifests[1:]),
    ]
    for digest in digests:
        copied = ImageLayout(tmp_path / "copy").blob_path(digest)
        assert copied.read_bytes() == ImageLayout(package_folder).blob_path(digest).read_bytes()


def test_publishing_again_sends_nothing(
    faulty: Any, package_folder: Path, repository: str, console: Console
) -> None:
    reference = f"{faulty.host}/{repository}:1.0"
    first = publish(package_folder, reference, insecure=True, console=console)
    assert first.bytes_sent > 0
    assert faulty.count("PUT") > 0
    faulty.seen.clear()
    second = publish(package_folder, reference, insecure=True, console=console)
    assert second.bytes_sent == 0
    assert second.tags == first.tags
    assert {each.split()[0] for each in faulty.seen} == {"HEAD", "GET"}
    assert faulty.count("GET", "/blobs/") == 0


def test_another_tag_of_the_same_package_sends_manifests_only(
    faulty: Any, package_folder: Path, repository: str, console: Console
) -> None:
    publish(package_folder, f"{faulty.host}/{repository}:1.0", insecure=True, console=console)
    faulty.seen.clear()
    published = publish(package_folder, f"{faulty.host}/{repository}:1.1", insecure=True, console=console)
    assert published.bytes_sent == 0
    assert faulty.count("POST") == 0
    assert faulty.count("PUT") == faulty.count("PUT", "/manifests/1.1") == 6


def test_blobs_of_another_repository_are_mounted_and_not_sent(
    faulty: Any, package_folder: Path, repository: str, console: Console
) -> None:
    publish(package_folder, f"{faulty.host}/{repository}:1.0", insecure=True, console=console)
    faulty.seen.clear()
    published = publish(
        package_folder,
        f"{faulty.host}/{repository}-two:1.0",
        insecure=True,
        console=console,
        mount_from=(repository,),
    )
    assert published.bytes_sent == 0
    assert faulty.count("POST", "mount=sha256") > 5
    assert faulty.count("PUT", "/blobs/") == 0


def test_the_provenance_is_listed_where_the_registry_keeps_no_list(
    registry: Any, package_folder: Path, repository: str, console: Console
) -> None:
    publish(package_folder, f"{registry.host}/{repository}:1.0", insecure=True, console=console)
    package = Package.load(package_folder)
    base = f"{registry.url}/v2/{repository}"
    for variant in package.variants:
        for each in variant.manifests:
            tag = each.manifest.digest.replace(":", "-")
            index = requests.get(
                f"{base}/manifests/{tag}",
                headers={"Accept": "application/vnd.oci.image.index.v1+json"},
                timeout=10,
            ).json()
            (entry,) = index["manifests"]
            assert entry["artifactType"] == "application/vnd.in-toto+json"
            assert entry["annotations"]["in-toto.io/predicate-type"] == "https://slsa.dev/provenance/v1"
            attached = requests.get(
                f"{base}/manifests/{entry['digest']}", headers={"Accept": OCI}, timeout=10
            ).json()
            assert attached["subject"]["digest"] == each.manifest.digest
            (layer,) = attached["layers"]
            statement = requests.get(f"{base}/blobs/{layer['digest']}", timeout=10).content
            assert sha256_bytes(statement) == package.provenance.digest


def test_a_registry_that_keeps_the_list_itself_is_left_to_it(
    faulty: Any, fault: Any, package_folder: Path, repository: str, console: Console
) -> None:
    for attachment in Package.load(package_folder).attachments:
        acknowledged = {"OCI-Subject": attachment.subject}
        faulty.faults.append(fault("PUT", attachment.manifest.digest, status=201, headers=acknowledged))
    publish(package_folder, f"{faulty.host}/{repository}:1.0", insecure=True, console=console)
    assert all(fault.times == 0 for fault in faulty.faults)
    assert faulty.count("GET", "/referrers/") == 0
    assert faulty.count("PUT", "/manifests/sha256-") == 0


def test_a_registry_that_has_the_list_already_is_left_to_it(
    faulty: Any, fault: Any, package_folder: Path, repository: str, console: Console
) -> None:
    faulty.faults.append(fault("GET", "/referrers/", status=200, body=b'{"manifests":[]}', times=100))
    publish(package_folder, f"{faulty.host}/{repository}:1.0", insecure=True, console=console)
    assert faulty.count("PUT", "/manifests/sha256-") == 0


def test_a_registry_that_does_not_tell_digests_is_read_instead(
    faulty: Any, fault: Any, package_folder: Path, repository: str, console: Console
) -> None:
    reference = f"{faulty.host}/{repository}:1.0"
    publish(package_folder, reference, insecure=True, console=console)
    faulty.seen.clear()
    faulty.faults.append(fault("HEAD", "/manifests/", status=200, times=1000))
    publish(package_folder, reference, insecure=True, console=console)
    assert faulty.count("PUT") == 0


def test_a_second_attachment_joins_the_list_and_the_first_stays(
    registry: Any, package_folder: Path, repository: str, console: Console, tmp_path: Path,
    make_contents: Callable[..., PackageContents],
) -> None:  # fmt: skip
    reference = f"{registry.host}/{repository}:1.0"
    publish(package_folder, reference, insecure=True, console=console)
    package = Package.load(package_folder)
    weights = {
        variant.quantization: ImageLayout(package_folder).blob_path(variant.gguf.digest).read_bytes()
        for variant in package.variants
    }
    # Ollama's manifests do not hold the time; the statement's attachments do.
    again = write_package(tmp_path / "again", make_contents(weights, created="2026-01-03T00:00:00Z"), console)
    assert again.variants[0].manifests[0] == package.variants[0].manifests[0]
    publish(tmp_path / "again", reference, insecure=True, console=console)
    tag = package.variants[0].manifests[0].manifest.digest.replace(":", "-")
    index = requests.get(
        f"{registry.url}/v2/{repository}/manifests/{tag}",
        headers={"Accept": "application/vnd.oci.image.index.v1+json"},
        timeout=10,
    ).json()
    assert len({entry["digest"] for entry in index["manifests"]}) == 2


def test_evidence_attached_to_a_package_is_published_and_listed(
    registry: Any, package_folder: Path, repository: str, console: Console
) -> None:
    reference = f"{registry.host}/{repository}:1.0"
    before = publish(package_folder, reference, insecure=True, console=console)
    old = Package.load(package_folder)
    subject = old.default_variant.manifests[1].manifest
    signature = Evidence(
        subject=subject,
        data=b'{"payload":"..."}',
        media_type="application/vnd.dsse.envelope.v1+json",
        artifact_type="application/vnd.dsse.envelope.v1+json",
        annotations={"org.example.signer": "somebody"},
    )
    package = attach(package_folder, [signature], console)
    published = publish(package_folder, reference, insecure=True, console=console)
    assert published.tags == before.tags
    assert published.attachments == before.attachments + 1 == len(package.attachments)
    assert published.bytes_sent == len(signature.data)
    index = requests.get(
        f"{registry.url}/v2/{repository}/manifests/{subject.digest.replace(':', '-')}",
        headers={"Accept": "application/vnd.oci.image.index.v1+json"},
        timeout=10,
    ).json()
    _, entry = index["manifests"]
    assert entry["digest"] == package.attachments[-1].manifest.digest
    assert entry["artifactType"] == signature.artifact_type
    assert entry["annotations"] == signature.annotations
    url = f"{registry.url}/v2/{repository}"
    manifest = requests.get(f"{url}/manifests/{entry['digest']}", headers={"Accept": OCI}, timeout=10).json()
    assert manifest["subject"]["digest"] == subject.digest
    blob = requests.get(f"{url}/blobs/{manifest['layers'][0]['digest']}", timeout=10)
    assert blob.content == signature.data


def test_a_damaged_blob_is_refused_before_a_tag_moves(
    registry: Any, package_folder: Path, repository: str, console: Console
) -> None:
    package = Package.load(package_folder)
    blob = ImageLayout(package_folder).blob_path(package.default_variant.gguf.digest)
    data = bytearray(blob.read_bytes())
    data[1000] ^= 1
    blob.write_bytes(data)
    with pytest.raises(GateError, match="another digest") as caught:
        publish(package_folder, f"{registry.host}/{repository}:1.0", insecure=True, console=console)
    assert caught.value.where == str(blob)
    tags = requests.get(f"{registry.url}/v2/{repository}/tags/list", timeout=10).json().get("tags")
    assert not tags


def test_a_blob_that_is_missing_on_disk_is_noticed_before_anything_is_sent(
    package_folder: Path, console: Console
) -> None:
    card = ImageLayout(package_folder).blob_path(Package.load(package_folder).model_card.digest)
    card.unlink()
    with pytest.raises(GateError, match="is missing") as caught:
        publish(package_folder, "registry.invalid/team/coder:1.0", insecure=False, console=console)
    assert caught.value.where == str(card)


def test_docker_hub_is_asked_where_it_answers() -> None:
    provider = Provider(parse_reference("docker.io/acme/coder:1.0"), insecure=False)
    assert provider.url("tags/list") == "https://registry-1.docker.io/v2/acme/coder/tags/list"


def test_a_layer_over_ten_gigabytes_is_refused_for_github_before_anything_is_sent(
    tmp_path: Path, console: Console, make_contents: Callable[..., PackageContents]
) -> None:
    sparse = tmp_path / "large.gguf"
    with sparse.open("wb") as stream:
        stream.truncate(10_000_000_001)
    file = QuantizedFile(sparse, "sha256:" + "3" * 64, 10_000_000_001, Quantization.Q8_0)
    write_package(tmp_path / "p", make_contents(files=(file,), default=Quantization.Q8_0), console)
    with pytest.raises(GateError, match=r"accepts layers up to 10\.0 GB"):
        publish(tmp_path / "p", "ghcr.io/acme/coder:1.0", insecure=False, console=console)
