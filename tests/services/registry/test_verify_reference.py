"""A release is verified in its registry: each byte read once, no model stored, nothing left behind."""

from __future__ import annotations

import json
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from starfreight.cli import main
from starfreight.console import Console
from starfreight.errors import GateError, InputError, ServiceError
from starfreight.package import Package
from starfreight.packager.layout import Evidence, attach, verify_layout
from starfreight.packager.provenance.verify.verdict import Verdict
from starfreight.packager.provenance.verify.verify_package import verify_package
from starfreight.packager.registry import pull_files
from starfreight.packager.registry.open_package import Opened, open_package
from starfreight.packager.registry.push import publish

FINISHED = Path(__file__).parents[2] / "golden/finished-packages"
MERGED = FINISHED / "golden-fim-de8303b786"

Verify = Callable[..., Verdict]


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory for temporary files; it has to be empty afterwards."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def release(
    registry: Any, repository: str, tmp_path: Path, console: Console
) -> Callable[..., tuple[Path, Package]]:
    """Publishes a copy of a package at ``:1.0``."""

    def run(source: Path = MERGED, **options: Any) -> tuple[Path, Package]:
        folder = tmp_path / "release"
        if not folder.exists():
            shutil.copytree(source, folder)
        publish(folder, f"{registry.host}/{repository}:1.0", insecure=True, console=console, **options)
        return folder, Package.load(folder)

    return run


@pytest.fixture
def verify(registry: Any, repository: str, console: Console, temporary: Path) -> Verify:
    def run(name: str = ":1.0", host: str = "") -> Verdict:
        reference = f"{host or registry.host}/{repository}{name}"
        try:
            return verify_package(reference, console, insecure=True)
        finally:
            assert not list(temporary.iterdir())

    return run


def refusals(verdict: Verdict) -> str:
    return " ".join(each.what for each in verdict.refusals)


def blob_path(digest: str) -> str:
    return f"/blobs/{digest}"


def test_any_tag_and_digest_verifies_the_whole_release(release: Any, verify: Verify) -> None:
    _, package = release()
    names = [":1.0", ":1.0-oci", f":1.0-{package.variants[-1].tag}"]
    names += [f"@{each.manifest.digest}" for each in package.variants[-1].manifests[:2]]
    for name in names:
        verdict = verify(name)
        assert not verdict.refused, refusals(verdict)
        assert verdict.digests()[package.variants[0].tag] == package.variants[0].manifests[0].manifest.digest
        assert verdict.asked in verdict.digests().values()


def test_the_command_takes_a_reference(
    release: Any, registry: Any, repository: str, capsys: pytest.CaptureFixture[str], temporary: Path
) -> None:
    folder, _ = release()
    command = ["package", "verify", "--insecure", "--json", f"oci://{registry.host}/{repository}:1.0"]
    assert main(command) == 0
    remote = json.loads(capsys.readouterr().out)
    assert main(["package", "verify", "--json", str(folder)]) == 0
    local = json.loads(capsys.readouterr().out)
    assert remote.pop("manifest") in remote["digests"].values() and local.pop("manifest") is None
    assert str(temporary) not in json.dumps(remote)
    for data in (remote, local):
        del data["package"]
        for finding in (finding for check in data["checks"] for finding in check["findings"]):
            del finding["where"]
    assert remote == local


def test_each_blob_is_read_once_and_no_model_is_stored(
    release: Any, faulty: Any, verify: Verify, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, package = release()
    models = {variant.gguf.digest for variant in package.variants}
    blocks: list[int] = []
    from starfreight.packager.registry import read_models as module

    def watched(opened: Opened, console: Console) -> Any:
        found = module_read(opened, console)
        for path in temporary.rglob("*"):
            if path.is_file() and "sha256:" + path.name in models:
                blocks.append(path.stat().st_blocks * 512)
        return found

    module_read = module.read_models
    monkeypatch.setattr(module, "read_models", watched)
    monkeypatch.setattr(module, "_CHUNK", 4096)
    verdict = verify(host=faulty.host)
    assert not verdict.refused
    for digest in models:
        assert faulty.count("GET", blob_path(digest)) == 1
    assert faulty.count("GET", blob_path(package.provenance.digest)) == 1
    sizes = [variant.gguf.size for variant in package.variants]
    assert len(blocks) == len(models) and sum(blocks) < sum(sizes)


def test_a_model_that_changed_in_the_registry_is_refused(
    release: Any, faulty: Any, fault: Any, verify: Verify
) -> None:
    _, package = release()
    for number, variant in enumerate(package.variants):
        for place in (0, variant.gguf.size // 2, variant.gguf.size - 1):
            faulty.faults = [fault("GET", blob_path(variant.gguf.digest), corrupt_at=place)]
            verdict = verify(host=faulty.host)
            assert verdict.refused, (number, place)
            assert f"sends other bytes than the blob {variant.gguf.digest}" in refusals(verdict)
            assert verdict.results[-1].level == "not made"
    assert not verify(host=faulty.host).refused


@pytest.mark.parametrize("part", ["statement", "card", "manifests"])
def test_any_other_file_that_changed_in_the_registry_is_refused(
    part: str, release: Any, faulty: Any, fault: Any, verify: Verify
) -> None:
    _, package = release()
    digest = {
        "statement": package.provenance.digest,
        "card": package.model_card.digest,
        "manifests": package.variants[0].manifests[0].manifest.digest,
    }[part]
    faulty.faults = [fault("GET", f"/(blobs|manifests)/{digest}", corrupt_at=9, times=9)]
    name = ":1.0" if part != "manifests" else f"@{digest}"
    with pytest.raises(GateError):
        verify(name, host=faulty.host)


@pytest.mark.usefixtures("impatient")
def test_a_connection_that_breaks_continues_where_it_broke(
    release: Any, faulty: Any, fault: Any, verify: Verify, monkeypatch: pytest.MonkeyPatch
) -> None:
    from starfreight.packager.registry import remote_blobs

    monkeypatch.setattr(remote_blobs, "_PROGRESS", 1000)
    _, package = release()
    model = package.variants[0].gguf
    # More breaks than one request may have, each after some progress.
    faulty.faults = [fault("GET", blob_path(model.digest), cut_answer_after=5000, times=8)]
    assert not verify(host=faulty.host).refused
    assert faulty.count("GET", blob_path(model.digest)) == 9


@pytest.mark.usefixtures("impatient")
def test_a_registry_that_goes_away_is_one_error(
    release: Any, faulty: Any, fault: Any, verify: Verify
) -> None:
    _, package = release()
    faulty.faults = [fault("GET", blob_path(package.variants[0].gguf.digest), status=503, times=99)]
    with pytest.raises(ServiceError):
        verify(host=faulty.host)


def test_ctrl_c_leaves_nothing_behind(
    release: Any, faulty: Any, fault: Any, verify: Verify, monkeypatch: pytest.MonkeyPatch
) -> None:
    import _thread

    _, package = release()
    slow = fault("GET", blob_path(package.variants[0].gguf.digest), delay=2)
    faulty.faults = [slow]

    def interrupt() -> None:
        while not faulty.count("GET", blob_path(package.variants[0].gguf.digest)):
            time.sleep(0.01)
        _thread.interrupt_main()

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        verify(host=faulty.host)


def test_a_signature_that_was_taken_out_of_the_registrys_list_is_missed(
    release: Any, registry: Any, repository: str, verify: Verify, console: Console, tmp_path: Path
) -> None:
    """Clients find signatures by that list only; the record of the package remembers them."""
    from starfreight.registry import TagReference
    from starfreight.registry.manifests import canonical_json
    from starfreight.registry.media_types import OCI_INDEX
    from starfreight.registry.publishing import PublishingClient

    folder = Path(shutil.copytree(MERGED, tmp_path / "release"))
    subject = Package.load(folder).default_variant.manifests[0].manifest
    evidence = Evidence(
        subject=subject,
        data=b"{}",
        media_type="application/vnd.dev.sigstore.bundle.v0.3+json",
        artifact_type="application/vnd.dev.sigstore.bundle.v0.3+json",
        annotations={},
    )
    package = attach(folder, [evidence], console)
    release()
    assert not verify().refused
    target = TagReference(registry.host, repository, "1.0")
    client = PublishingClient(target, insecure=True)
    client.connect()
    tag = subject.digest.replace(":", "-")
    index = json.loads(client.get_manifest(tag, OCI_INDEX) or b"{}")
    taken = package.attachments[-1].manifest.digest
    index["manifests"] = [each for each in index["manifests"] if each["digest"] != taken]
    client.put_manifest(tag, OCI_INDEX, canonical_json(index))
    verdict = verify()
    assert verdict.refused
    assert "does not list 1 of the package's attachments, 1 of them signatures" in refusals(verdict)


def test_a_model_of_somebody_else_at_the_tag_has_no_record(
    registry: Any, repository: str, verify: Verify, release: Any
) -> None:
    release()
    with pytest.raises(InputError):
        verify(":2.0")
    with pytest.raises(InputError):
        verify("@sha256:" + "0" * 64)


def test_a_release_opens_without_its_models(
    release: Any, registry: Any, repository: str, console: Console, temporary: Path
) -> None:
    folder, package = release()
    with open_package(f"{registry.host}/{repository}:1.0", console, insecure=True) as opened:
        assert opened.package == package and opened.asked is not None
        assert opened.placeholders == {variant.gguf.digest for variant in package.variants}
        for path in sorted((folder / "blobs/sha256").iterdir()):
            here = opened.folder / "blobs/sha256" / path.name
            if "sha256:" + path.name in opened.placeholders:
                assert here.stat().st_size == path.stat().st_size and here.stat().st_blocks == 0
            else:
                assert here.read_bytes() == path.read_bytes()
        assert verify_layout(opened.folder, console, placeholders=opened.placeholders).files > 10
        with pytest.raises(GateError):
            verify_layout(opened.folder, console)
    assert not list(temporary.iterdir())
    with open_package(str(folder), console) as opened:
        assert opened.folder == folder and opened.reference is None and not opened.placeholders


def test_an_error_inside_the_block_removes_the_release(
    release: Any, registry: Any, repository: str, console: Console, temporary: Path
) -> None:
    release()
    with (
        pytest.raises(PermissionError),
        open_package(f"{registry.host}/{repository}:1.0", console, insecure=True),
    ):
        raise PermissionError(13, "of the caller, not of the temporary directory")
    assert not list(temporary.iterdir())


def test_a_release_with_too_much_beside_its_models_is_not_fetched(
    release: Any, faulty: Any, repository: str, console: Console, temporary: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    from starfreight.packager.registry import open_package as module

    _, package = release()
    monkeypatch.setattr(module, "_LARGEST", 10_000)
    with (
        pytest.raises(GateError, match="beside its models"),
        open_package(f"{faulty.host}/{repository}:1.0", console, insecure=True),
    ):
        pass
    assert not faulty.count("GET", blob_path(package.model_card.digest))
    assert not list(temporary.iterdir())


def test_more_attachments_than_anybody_needs_are_refused(
    release: Any, registry: Any, repository: str, console: Console, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    from starfreight.registry import TagReference
    from starfreight.registry.manifests import build_attachment, descriptor_for
    from starfreight.registry.media_types import OCI_MANIFEST
    from starfreight.registry.publishing import PublishingClient
    from starfreight.registry.referrers import attach_all

    _, package = release()
    client = PublishingClient(TagReference(registry.host, repository, "1.0"), insecure=True)
    client.connect()
    subject = package.default_variant.manifests[0].manifest
    blob = package.model_card
    several = []
    from starfreight.package import Attachment

    for number in range(4):
        built = build_attachment(subject, blob, "text/plain", {"number": str(number)})
        manifest = descriptor_for(OCI_MANIFEST, built.manifest)
        attachment = Attachment(subject=subject.digest, artifact_type="text/plain", manifest=manifest)
        several.append((attachment, built.manifest))
    attach_all(client, several)
    monkeypatch.setattr(pull_files, "_MOST_EVIDENCE", 3)
    with (
        pytest.raises(GateError, match="More than 3 manifests are attached"),
        open_package(f"{registry.host}/{repository}:1.0", console, insecure=True),
    ):
        pass
