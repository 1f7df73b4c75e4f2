"""A whole package back from a registry, as it was published."""

from __future__ import annotations

import contextlib
import io
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from starfreight.console import Console
from starfreight.errors import GateError, InputError, ServiceError
from starfreight.package import Attachment, Descriptor, Package
from starfreight.packager.layout import Evidence, ImageLayout, attach, verify_layout
from starfreight.packager.layout.write_package import write_package
from starfreight.packager.registry.open_package import open_package
from starfreight.packager.registry.package_record import PackageRecord
from starfreight.packager.registry.pull_package import Pulled, pull_package
from starfreight.packager.registry.push import publish
from starfreight.registry import TagReference
from starfreight.registry.manifests import build_attachment, descriptor_for
from starfreight.registry.publishing import PublishingClient
from starfreight.registry.referrers import attach as attach_remote
from starfreight.registry.referrers import attach_all

Pull = Callable[..., Pulled]


@pytest.fixture
def pull(registry: Any, repository: str, tmp_path: Path, console: Console) -> Pull:
    def run(name: str = ":1.0", folder: Path = tmp_path / "pulled", host: str = "") -> Pulled:
        reference = f"{host or registry.host}/{repository}{name}"
        return pull_package(reference, folder, insecure=True, console=console)

    return run


@pytest.fixture
def publish_again(
    registry: Any, package_folder: Path, repository: str, console: Console
) -> Callable[..., None]:
    def run(**options: Any) -> None:
        publish(
            package_folder, f"{registry.host}/{repository}:1.0", insecure=True, console=console, **options
        )

    return run


def signature(package: Package, data: bytes = b'{"payload": "signed"}') -> Evidence:
    return Evidence(
        subject=package.default_variant.manifests[0].manifest,
        data=data,
        media_type="application/vnd.dsse.envelope.v1+json",
        artifact_type="application/vnd.dsse.envelope.v1+json",
        annotations={},
    )


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


@pytest.mark.parametrize("formats", [None, ("modelpack",), ("ollama", "modelpack", "docker")])
def test_a_package_comes_back_byte_for_byte_whatever_formats_were_published(
    formats: tuple[str, ...] | None, publish_again: Callable[..., None], pull: Pull, package_folder: Path,
    tmp_path: Path, console: Console,
) -> None:  # fmt: skip
    attach(package_folder, [signature(Package.load(package_folder))], console)
    publish_again(formats=formats)
    pulled = pull(":1.0" if formats != ("modelpack",) else ":1.0-oci")
    assert files(tmp_path / "pulled") == files(package_folder)
    assert verify_layout(tmp_path / "pulled", console).files == pulled.report.files
    assert {each.name for each in tmp_path.glob(".partial-*")} == set()


@pytest.mark.parametrize("name", [":1.0-oci", ":1.0-q8_0", ":1.0-q4_K_M-oci", "@"])
def test_any_tag_or_digest_leads_to_the_package(
    name: str, publish_again: Callable[..., None], pull: Pull, package_folder: Path, tmp_path: Path
) -> None:
    publish_again()
    digest = Package.load(package_folder).variants[1].manifests[0].manifest.digest
    pull(f"@{digest}" if name == "@" else name)
    assert files(tmp_path / "pulled") == files(package_folder)


def test_evidence_added_and_published_later_is_there(
    publish_again: Callable[..., None], pull: Pull, package_folder: Path, tmp_path: Path, console: Console
) -> None:
    publish_again()
    attach(package_folder, [signature(Package.load(package_folder))], console)
    publish_again()
    pull()
    assert files(tmp_path / "pulled") == files(package_folder)


def push_evidence(
    client: PublishingClient,
    package: Package,
    data: bytes,
    rewrite: Callable[[bytes], bytes] = lambda manifest: manifest,
) -> None:
    """Attach evidence in the registry alone."""
    evidence = signature(package, data)
    blob = descriptor_for(evidence.media_type, data)
    built = build_attachment(evidence.subject, blob, evidence.artifact_type, evidence.annotations)
    config = descriptor_for(built.config_media_type, built.config)
    source = _Memory({blob.digest: data, config.digest: built.config})
    for each in (blob, config):
        client.upload(source, each, lambda amount, what=None: None)
    manifest = rewrite(built.manifest)
    attachment = Attachment(
        subject=evidence.subject.digest,
        artifact_type=evidence.artifact_type,
        manifest=descriptor_for(built.media_type, manifest),
    )
    attach_remote(client, attachment, manifest)


class _Memory:
    def __init__(self, data: dict[str, bytes]) -> None:
        self._data = data

    def open(self, descriptor: Descriptor) -> Any:
        return contextlib.closing(io.BytesIO(self._data[descriptor.digest]))

    def where(self, descriptor: Descriptor) -> str:
        return "memory"


def test_evidence_attached_in_the_registry_is_added_and_foreign_forms_are_left_there(
    publish_again: Callable[..., None], pull: Pull, registry: Any, repository: str, package_folder: Path,
    tmp_path: Path, console: Console,
) -> None:  # fmt: skip
    publish_again()
    package = Package.load(package_folder)
    client = PublishingClient(TagReference(registry.host, repository, "1.0"), insecure=True)
    push_evidence(client, package, b'{"payload": "theirs"}')
    push_evidence(
        client,
        package,
        b"{}2",
        rewrite=lambda data: data.replace(b'"schemaVersion":2', b'"schemaVersion": 2'),
    )
    pulled = pull()
    assert pulled.added == 1
    extended = Package.load(tmp_path / "pulled")
    assert extended.extends(package)
    assert len(extended.attachments) == len(package.attachments) + 1
    verify_layout(tmp_path / "pulled", console)


def test_a_pulled_package_can_be_pulled_again_and_keeps_its_own_evidence(
    publish_again: Callable[..., None], pull: Pull, package_folder: Path, tmp_path: Path, console: Console
) -> None:
    publish_again()
    pull()
    attach(tmp_path / "pulled", [signature(Package.load(package_folder))], console)
    mine = files(tmp_path / "pulled")
    pull()
    assert files(tmp_path / "pulled") == mine


def test_an_interrupted_pull_continues_and_heals_a_damaged_blob(
    publish_again: Callable[..., None], pull: Pull, faulty: Any, fault: Any, package_folder: Path,
    tmp_path: Path, impatient: None,
) -> None:  # fmt: skip
    publish_again()
    largest = max((each.gguf for each in Package.load(package_folder).variants), key=lambda gguf: gguf.size)
    faulty.faults.append(fault("GET", f"/blobs/{largest.digest}", cut_answer_after=5000, times=99))
    with pytest.raises(ServiceError):
        pull(host=faulty.host)
    assert not (tmp_path / "pulled/package.json").exists()
    some = next((tmp_path / "pulled/blobs/sha256").iterdir())
    some.write_bytes(b"x" * some.stat().st_size)
    faulty.faults.clear()
    pull(host=faulty.host)
    assert files(tmp_path / "pulled") == files(package_folder)


def test_a_corrupt_byte_in_the_registry_is_never_in_the_package(
    publish_again: Callable[..., None], pull: Pull, registry: Any, package_folder: Path, tmp_path: Path
) -> None:
    publish_again()
    stored = registry.blob(Package.load(package_folder).default_variant.gguf.digest)
    right = stored.read_bytes()
    try:
        stored.write_bytes(right[:-1] + b"?")
        with pytest.raises(GateError, match="another digest"):
            pull()
    finally:
        stored.write_bytes(right)
    assert not (tmp_path / "pulled/package.json").exists()


def test_a_record_that_does_not_fit_its_files_leaves_no_package(
    publish_again: Callable[..., None], pull: Pull, package_folder: Path, registry: Any, repository: str,
    tmp_path: Path, console: Console,
) -> None:  # fmt: skip
    publish_again()
    package = Package.load(package_folder)
    evil = package.model_copy(update={"run": "other-0123456789", "created": "2099-01-01T00:00:00Z"})
    client = PublishingClient(TagReference(registry.host, repository, "1.0"), insecure=True)
    record = PackageRecord(evil, ImageLayout(package_folder))
    for blob in record.blobs:
        client.upload(record, blob, lambda amount, what=None: None)
    attach_all(client, record.attachments([package.default_variant.manifests[0].manifest.digest]))
    with pytest.raises(GateError, match="has changed"):
        pull()
    assert not (tmp_path / "pulled/package.json").exists()
    assert not (tmp_path / "pulled/index.json").exists()
    shutil.copytree(package_folder, tmp_path / "mine")
    with pytest.raises(InputError, match="another package"):
        pull(folder=tmp_path / "mine")
    assert files(tmp_path / "mine") == files(package_folder)


def test_two_packages_with_one_manifest_are_told_apart_by_their_tags(
    registry: Any, repository: str, pull: Pull, make_contents: Callable[..., Any], tmp_path: Path,
    console: Console, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    days = {"1.0": "2026-01-02T03:04:05Z", "1.1": "2026-01-03T03:04:05Z"}
    for version, created in days.items():
        write_package(tmp_path / version, make_contents(created=created), console)
        publish(tmp_path / version, f"{registry.host}/{repository}:{version}", insecure=True, console=console)
    first, second = (Package.load(tmp_path / version) for version in days)
    shared = first.default_variant.manifests[0].manifest.digest
    assert shared == second.default_variant.manifests[0].manifest.digest and first != second
    for version in days:
        for suffix in ("", "-oci"):
            pulled = pull(f":{version}{suffix}", tmp_path / f"pulled-{version}{suffix}")
            assert pulled.package == Package.load(tmp_path / version)
            assert files(pulled.folder) == files(tmp_path / version)
    with open_package(f"{registry.host}/{repository}:1.0", Console(), insecure=True) as opened:
        assert opened.package.created == days["1.0"]
    assert "very same manifest" not in capsys.readouterr().err
    # The digest alone does not tell them apart.
    by_digest = f"{registry.host}/{repository}@{shared}"
    pulled = pull_package(by_digest, tmp_path / "by-digest", insecure=True, console=Console())
    assert pulled.package.created == days["1.1"]
    noted = " ".join(capsys.readouterr().err.split())
    assert "2 packages" in noted and "very same manifest" in noted and shared in noted


def test_a_directory_with_another_package_or_other_files_is_left_alone(
    publish_again: Callable[..., None], pull: Pull, make_contents: Callable[..., Any], tmp_path: Path,
    console: Console,
) -> None:  # fmt: skip
    publish_again()
    write_package(tmp_path / "other", make_contents(), console)
    before = files(tmp_path / "other")
    with pytest.raises(InputError, match="another package"):
        pull(folder=tmp_path / "other")
    assert files(tmp_path / "other") == before
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes/mine.txt").write_text("mine")
    with pytest.raises(InputError, match="something other"):
        pull(folder=tmp_path / "notes")


def test_a_model_without_a_record_is_named_with_the_remedy(
    registry: Any, repository: str, pull: Pull, package_folder: Path
) -> None:
    package, layout = Package.load(package_folder), ImageLayout(package_folder)
    client = PublishingClient(TagReference(registry.host, repository, "1.0"), insecure=True)
    descriptor = package.default_variant.manifests[0].manifest
    manifest = layout.manifest(descriptor)
    for blob in (manifest.config, *manifest.layers):
        client.upload(layout, blob, lambda amount, what=None: None)
    client.put_manifest("1.0", descriptor.media_type, layout.read(descriptor))
    with pytest.raises(GateError, match=r"No package\.json is attached") as caught:
        pull()
    assert "package install" in str(caught.value.fix)


def test_a_package_of_an_earlier_version_makes_the_round_trip(
    registry: Any, repository: str, pull: Pull, tmp_path: Path, console: Console
) -> None:
    golden = Path(__file__).parents[2] / "packager/golden/package-v1"
    shutil.copytree(golden, tmp_path / "golden")
    publish(tmp_path / "golden", f"{registry.host}/{repository}:1.0", insecure=True, console=console)
    pull()
    assert files(tmp_path / "pulled") == files(golden)
