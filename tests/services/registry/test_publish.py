"""Publishing to a real registry, and what lies there afterwards."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from starfreight.console import Console
from starfreight.errors import GateError, InputError, ServiceError
from starfreight.files import sha256_bytes
from starfreight.package import Package
from starfreight.packager.hashed_file import QuantizedFile
from starfreight.packager.layout import Evidence, ImageLayout, attach
from starfreight.packager.layout.write_package import PackageContents, write_package
from starfreight.packager.registry.package_record import RECORD, PackageRecord
from starfreight.packager.registry.push import publish
from starfreight.quantization import Quantization
from starfreight.registry import TagReference, parse_reference
from starfreight.registry.provider import Provider
from starfreight.registry.publishing import PublishingClient

DOCKER = "application/vnd.docker.distribution.manifest.v2+json"
OCI = "application/vnd.oci.image.manifest.v1+json"
STATEMENT = "application/vnd.in-toto+json"


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
    published = publish(
        package_folder,
        f"{registry.host}/{repository}:1.0",
        insecure=True,
        console=console,
        formats=("ollama", "modelpack", "docker"),
    )
    package, layout = Package.load(package_folder), ImageLayout(package_folder)
    expected = {}
    for variant in package.variants:
        names = [f"1.0-{variant.tag}"] + (["1.0"] if variant.quantization == package.default else [])
        expected |= {name + each.suffix: each.manifest for name in names for each in variant.manifests}
    assert set(expected) == {
        tag + suffix for tag in ("1.0", "1.0-q4_K_M", "1.0-q8_0") for suffix in ("", "-oci", "-docker")
    }
    assert {tag.tag: tag.digest for tag in published.tags} == {
        tag: each.digest for tag, each in expected.items()
    }
    for tag, manifest in expected.items():
        data = raw_manifest(skopeo, f"{registry.host}/{repository}:{tag}")
        assert sha256_bytes(data) == manifest.digest
        assert json.loads(data)["mediaType"] == (OCI if tag.endswith(("-oci", "-docker")) else DOCKER)
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
        *(x.manifest.digest for x in package.default_variant.manifests[1:2]),
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
    assert faulty.count("GET", "/blobs/") == 1, "the one that Ollama would ask for"


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
        for each in variant.manifests[:2]:
            tag = each.manifest.digest.replace(":", "-")
            index = requests.get(
                f"{base}/manifests/{tag}",
                headers={"Accept": "application/vnd.oci.image.index.v1+json"},
                timeout=10,
            ).json()
            assert {each["artifactType"] for each in index["manifests"]} == {STATEMENT, RECORD}
            (entry,) = [each for each in index["manifests"] if each["artifactType"] == STATEMENT]
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
    package = Package.load(package_folder)
    subjects = {each.subject for each in package.attachments}
    record = PackageRecord(package, ImageLayout(package_folder))
    attached = [*package.attachments, *(each for each, _ in record.attachments(subjects))]
    for subject in subjects:
        entries = [{"digest": each.manifest.digest} for each in attached if each.subject == subject]
        index = json.dumps({"manifests": entries}).encode()
        faulty.faults.append(fault("GET", f"/referrers/{subject}", status=200, body=index, times=9))
    publish(package_folder, f"{faulty.host}/{repository}:1.0", insecure=True, console=console)
    assert faulty.count("GET", "/referrers/") > 0
    assert faulty.count("PUT", "/manifests/sha256-") == 0


@pytest.mark.parametrize(
    "body", [b'{"manifests":[]}', b"", b"<html>no such page</html>", b"[]", b"null", b"{}"]
)
def test_a_list_of_referrers_that_is_empty_everywhere_is_none(
    body: bytes, faulty: Any, fault: Any, package_folder: Path, repository: str, console: Console
) -> None:
    faulty.faults.append(fault("GET", "/referrers/", status=200, body=body, times=100))
    publish(package_folder, f"{faulty.host}/{repository}:1.0", insecure=True, console=console)
    assert faulty.count("PUT", "/manifests/sha256-") == 4


def test_an_attachment_that_readers_do_not_find_ends_with_4(
    faulty: Any, fault: Any, package_folder: Path, repository: str, console: Console,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("starfreight.packager.registry.look_back._PATIENCE", (0.0,))
    index = json.dumps({"manifests": [{"digest": "sha256:" + "1" * 64}]}).encode()
    faulty.faults.append(fault("GET", "/referrers/", status=200, body=index, times=1000))
    with pytest.raises(ServiceError, match="Readers do not find 8 of the attached statements") as caught:
        publish(package_folder, f"{faulty.host}/{repository}:1.0", insecure=True, console=console)
    assert caught.value.exit_code == 4


def test_a_truncated_copy_in_the_registry_ends_with_4(
    registry: Any, package_folder: Path, repository: str, console: Console
) -> None:
    reference = f"{registry.host}/{repository}:1.0"
    publish(package_folder, reference, insecure=True, console=console)
    gguf = Package.load(package_folder).default_variant.gguf
    os.truncate(registry.blob(gguf.digest), 1000)
    for tag in ("1.0", "1.1"):
        with pytest.raises(ServiceError, match="holds 1,000 bytes of it"):
            publish(package_folder, f"{registry.host}/{repository}:{tag}", insecure=True, console=console)
    registry.blob(gguf.digest).unlink()


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
    assert len({each["digest"] for each in index["manifests"] if each["artifactType"] == STATEMENT}) == 2


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
    assert published.attachments == before.attachments + 1
    assert published.bytes_sent < len(signature.data) + 50_000  # And package.json, with all manifests.
    index = requests.get(
        f"{registry.url}/v2/{repository}/manifests/{subject.digest.replace(':', '-')}",
        headers={"Accept": "application/vnd.oci.image.index.v1+json"},
        timeout=10,
    ).json()
    (entry,) = [each for each in index["manifests"] if each["artifactType"] not in (STATEMENT, RECORD)]
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


def repack(folder: Path, to: Path, make_contents: Callable[..., PackageContents], **changes: Any) -> Path:
    """Another package of the same name."""
    write_package(to, make_contents(**changes), Console(quiet=True))
    return to


def test_tags_of_an_earlier_larger_release_are_named_and_left_alone(
    registry: Any, package_folder: Path, repository: str, console: Console, tmp_path: Path,
    make_contents: Callable[..., PackageContents],
) -> None:  # fmt: skip
    reference = f"{registry.host}/{repository}:1.0"
    formats = ("ollama", "modelpack", "docker")
    publish(package_folder, reference, insecure=True, console=console, formats=formats)
    publish(package_folder, reference + ".1", insecure=True, console=console)
    small = repack(package_folder, tmp_path / "small", make_contents, ggufs={Quantization.Q4_K_M: b"GGUF 2"})
    published = publish(small, reference, insecure=True, console=console)
    assert published.left_tags == (
        "1.0-docker", "1.0-q4_K_M-docker", "1.0-q8_0", "1.0-q8_0-docker", "1.0-q8_0-oci",
    )  # fmt: skip
    assert "Tags of an earlier release" in published.as_text()
    assert published.as_dict()["left_tags"] == list(published.left_tags)
    moved = publish(small, reference, insecure=True, console=console, formats=formats, prune_tags="move")
    assert moved.pruned_tags == ("1.0-q8_0", "1.0-q8_0-docker", "1.0-q8_0-oci")
    default = {each.suffix: each.manifest.digest for each in Package.load(small).default_variant.manifests}
    for suffix, accept in (("", DOCKER), ("-oci", OCI), ("-docker", OCI)):
        url = f"{registry.url}/v2/{repository}/manifests/1.0-q8_0{suffix}"
        answer = requests.get(url, headers={"Accept": accept}, timeout=10)
        assert sha256_bytes(answer.content) == default[suffix]
    # The other version stays as it was.
    assert publish(package_folder, reference + ".1", insecure=True, console=console).bytes_sent == 0


def test_no_tag_is_moved_if_one_of_them_cannot_be(
    registry: Any, package_folder: Path, repository: str, console: Console, tmp_path: Path,
    make_contents: Callable[..., PackageContents],
) -> None:  # fmt: skip
    target = TagReference(registry.host, repository, "1.0")
    publish(package_folder, str(target), insecure=True, console=console)
    client = PublishingClient(target, insecure=True)
    before = client.get_manifest("1.0-q8_0", DOCKER)
    client.put_manifest("1.0-q8_0-docker", DOCKER, before or b"")
    small = repack(package_folder, tmp_path / "small", make_contents, ggufs={Quantization.Q4_K_M: b"GGUF 4"})
    with pytest.raises(ServiceError, match="no manifest of its format"):
        publish(small, str(target), insecure=True, console=console, prune_tags="move")
    assert client.get_manifest("1.0-q8_0", DOCKER) == before


def test_a_registry_that_deletes_no_tags_is_named_with_the_way_out(
    registry: Any, package_folder: Path, repository: str, console: Console, tmp_path: Path,
    make_contents: Callable[..., PackageContents],
) -> None:  # fmt: skip
    reference = f"{registry.host}/{repository}:1.0"
    publish(package_folder, reference, insecure=True, console=console)
    small = repack(package_folder, tmp_path / "small", make_contents, ggufs={Quantization.Q4_K_M: b"GGUF 3"})
    with pytest.raises(ServiceError, match="stays as it is: the registry deletes no tags") as caught:
        publish(small, reference, insecure=True, console=console, prune_tags="remove")
    assert "--prune-tags move" in str(caught.value.fix)


def test_a_registry_with_deletion_loses_the_old_tags_and_nothing_else(
    deleting_registry: Any, package_folder: Path, repository: str, console: Console, tmp_path: Path,
    make_contents: Callable[..., PackageContents],
) -> None:  # fmt: skip
    reference = f"{deleting_registry.host}/{repository}:1.0"
    publish(package_folder, reference, insecure=True, console=console)
    small = repack(package_folder, tmp_path / "small", make_contents, ggufs={Quantization.Q4_K_M: b"GGUF 4"})
    published = publish(small, reference, insecure=True, console=console, prune_tags="remove")
    assert published.pruned_tags == ("1.0-q8_0", "1.0-q8_0-oci")
    url = f"{deleting_registry.url}/v2/{repository}/manifests/"
    assert requests.get(url + "1.0-q8_0", headers={"Accept": DOCKER}, timeout=10).status_code == 404
    assert requests.get(url + "1.0-q4_K_M", headers={"Accept": DOCKER}, timeout=10).status_code == 200
    # Two pruned tags of one manifest go together.
    formats = ("ollama", "modelpack", "docker")
    publish(small, reference, insecure=True, console=console, formats=formats)
    published = publish(small, reference, insecure=True, console=console, prune_tags="remove")
    assert published.pruned_tags == ("1.0-docker", "1.0-q4_K_M-docker")
    # A manifest with other tags stays.
    publish(package_folder, reference, insecure=True, console=console)
    publish(package_folder, reference + ".1", insecure=True, console=console)
    with pytest.raises(ServiceError, match=r"1\.0\.1-q8_0 names the same one"):
        publish(small, reference, insecure=True, console=console, prune_tags="remove")
    assert requests.get(url + "1.0.1-q8_0", headers={"Accept": DOCKER}, timeout=10).status_code == 200


@pytest.mark.parametrize("path", ["project/repo/group/name", "name", "my.group/name"])
def test_a_path_that_ollama_cannot_pull_gets_modelpack_alone(
    path: str, registry: Any, package_folder: Path, console: Console
) -> None:
    published = publish(package_folder, f"{registry.host}/{path}:1.0", insecure=True, console=console)
    assert {tag.tag for tag in published.tags} == {"1.0-oci", "1.0-q4_K_M-oci", "1.0-q8_0-oci"}
    assert published.probe is not None
    assert not published.probe.pulls
    assert "Ollama cannot pull it from there" in published.as_text()
    assert f"pull {registry.host}/{path}:1.0-oci" in published.as_text()
    with pytest.raises(InputError, match="Ollama cannot pull from there, because") as caught:
        publish(
            package_folder, f"{registry.host}/{path}:1.0", insecure=True, console=console, formats=("ollama",)
        )
    assert caught.value.exit_code == 2


def test_an_earlier_package_is_published_as_it_is(registry: Any, console: Console, tmp_path: Path) -> None:
    golden = Path(__file__).parents[2] / "packager/golden/package-v1"
    folder = shutil.copytree(golden, tmp_path / "p")
    published = publish(folder, f"{registry.host}/team/golden:1.0", insecure=True, console=console)
    package = Package.load(folder)
    assert {tag.digest for tag in published.tags} == {
        each.manifest.digest for variant in package.variants for each in variant.manifests
    }
    with pytest.raises(InputError, match="no manifests in the format docker: an earlier version built it"):
        publish(
            folder, f"{registry.host}/team/golden:1.0", insecure=True, console=console, formats=("docker",)
        )


@pytest.mark.parametrize("status", [415, 400])
def test_a_registry_without_docker_s_manifests_is_named_with_the_way_out(
    status: int, faulty: Any, fault: Any, package_folder: Path, repository: str, console: Console
) -> None:
    ollama = [variant.manifests[0].manifest.digest for variant in Package.load(package_folder).variants]
    reference = f"{faulty.host}/{repository}:1.0"
    refusal = fault("PUT", "/manifests/(" + "|".join(ollama) + ")", status=status, times=1000)
    faulty.faults.append(refusal)
    with pytest.raises(ServiceError, match="refuses Docker's manifests, the only ones that Ollama") as caught:
        publish(package_folder, reference, insecure=True, console=console)
    assert "--format modelpack" in str(caught.value.fix)
    assert faulty.count("PUT", "/manifests/1.0") == 0
    publish(package_folder, reference, insecure=True, console=console, formats=("modelpack",))
    assert faulty.count("PUT", "/manifests/1.0-oci") == 1


def test_a_file_is_hashed_while_it_is_sent_and_a_damaged_one_never_arrives(
    registry: Any, repository: str, console: Console, tmp_path: Path,
    make_contents: Callable[..., PackageContents],
) -> None:  # fmt: skip
    weights = b"GGUF" + os.urandom(9 << 20)
    folder = repack(tmp_path, tmp_path / "p", make_contents, ggufs={Quantization.Q8_0: weights})
    gguf = Package.load(folder).default_variant.gguf
    path = ImageLayout(folder).blob_path(gguf.digest)
    with path.open("r+b") as stream:
        stream.seek(-1, os.SEEK_END)
        stream.write(bytes([weights[-1] ^ 1]))
    with pytest.raises(GateError, match="has another digest on disk") as caught:
        publish(folder, f"{registry.host}/{repository}:1.0", insecure=True, console=console)
    assert caught.value.where == str(path)
    assert not registry.blob(gguf.digest).exists()
    path.write_bytes(weights)
    publish(folder, f"{registry.host}/{repository}:1.0", insecure=True, console=console)
    assert registry.blob(gguf.digest).read_bytes() == weights


@pytest.mark.parametrize("path", ["evil.example/coder", "evil.example:443/x", "a.b/c.d/e", "name"])
def test_the_first_part_of_a_path_is_never_the_host(path: str) -> None:
    provider = Provider(TagReference("registry.example.org", path, "1.0"), insecure=False)
    assert provider.url("tags/list") == f"https://registry.example.org/v2/{path}/tags/list"


def test_a_registry_that_deletes_a_manifest_with_all_its_tags_gets_the_others_back(
    deleting_registry: Any, package_folder: Path, repository: str, console: Console,
    tmp_path: Path, make_contents: Callable[..., PackageContents], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    reference = f"{deleting_registry.host}/{repository}:1.0"
    publish(package_folder, reference, insecure=True, console=console)
    publish(package_folder, reference + ".1", insecure=True, console=console)
    small = repack(package_folder, tmp_path / "small", make_contents, ggufs={Quantization.Q4_K_M: b"GGUF 5"})

    def delete(client: PublishingClient, tag: str) -> bool:
        digest = client.manifest_digest(tag, f"{DOCKER}, {OCI}")
        return digest is not None and delete_manifest(client, digest)

    delete_manifest = PublishingClient.delete_manifest
    monkeypatch.setattr(PublishingClient, "delete_manifest", delete)
    published = publish(small, reference, insecure=True, console=console, prune_tags="remove")
    assert published.pruned_tags == ("1.0-q8_0", "1.0-q8_0-oci")
    url = f"{deleting_registry.url}/v2/{repository}/manifests/"
    assert requests.get(url + "1.0-q8_0", headers={"Accept": DOCKER}, timeout=10).status_code == 404
    assert requests.get(url + "1.0.1-q8_0", headers={"Accept": DOCKER}, timeout=10).status_code == 200
