"""``package export`` writes the record of a package as files with names."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
from pathlib import Path

import pytest
from command_result import run_command

from starfreight.console import Console
from starfreight.errors import GateError
from starfreight.image_layout.reader import ImageLayout
from starfreight.package import DataList, Package, TrainingDataFiles
from starfreight.packager.provenance.signing.local_key import generate_key
from starfreight.packager.record.files import record_files
from starfreight.packager.record.write_record import write_record

FINISHED = Path(__file__).parents[2] / "golden/finished-packages"


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of a package that an earlier version wrote."""
    return Path(shutil.copytree(FINISHED / "golden-fim-de8303b786", tmp_path / "package"))


def tree(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def test_a_record_has_every_part_under_its_name_and_checksum(package: Path, tmp_path: Path) -> None:
    assert run_command("package", "export", package, tmp_path / "out").exit_code == 0
    files, record = tree(tmp_path / "out/record"), Package.load(package)
    layout = ImageLayout(package)
    assert files["provenance.intoto.json"] == layout.read(record.provenance)
    assert files["licenses/LICENSE"] == layout.read(record.licenses[0].text)
    for variant in record.variants:
        for each in variant.manifests:
            assert files[f"manifests/{variant.tag}{each.suffix}.json"] == layout.read(each.manifest)
        assert variant.gguf.digest.removeprefix("sha256:") in files["README.md"].decode()
    sums = dict(reversed(line.split("  ")) for line in files["SHA256SUMS"].decode().splitlines())
    assert set(sums) == set(files) - {"SHA256SUMS"}
    assert all(hashlib.sha256(files[name]).hexdigest() == digest for name, digest in sums.items())
    assert all(f"`{name}`" in files["README.md"].decode() for name in set(files) - {"README.md"})
    text = files["README.md"].decode()
    assert "not signed" in text and "signatures/" not in text and "signer.pub" not in text


@pytest.mark.parametrize("part", ["model_card", "provenance", "attachment"])
def test_no_model_is_written_if_the_record_is_damaged(part: str, package: Path, tmp_path: Path) -> None:
    record, layout = Package.load(package), ImageLayout(package)
    blob = record.attachments[0].manifest if part == "attachment" else getattr(record, part)
    layout.blob_path(blob.digest).unlink()
    result = run_command("package", "export", package, tmp_path / "out")
    assert result.exit_code == 3 and f"{blob.digest[7:]} is missing" in result.stderr
    assert not tree(tmp_path / "out")


def test_signatures_and_a_withdrawal_are_in_it_and_equal_packages_give_equal_records(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, console: Console
) -> None:
    monkeypatch.setenv("STARFREIGHT_KEY_PASSWORD", "correct horse")
    generate_key(tmp_path / "acme.key", tmp_path / "acme.pub", b"correct horse")
    export = ("package", "export", package, tmp_path / "out")
    assert run_command(*export).exit_code == 0
    key = ("--key", tmp_path / "acme.key")
    assert run_command("package", "sign", package, *key).exit_code == 0
    assert run_command("package", "withdraw", package, *key, "--reason", "Leaks | data.").exit_code == 0
    assert run_command(*export).exit_code == 0
    files = tree(tmp_path / "out/record")
    assert {"signatures/provenance-1.sigstore.json", "signatures/withdrawal-1.sigstore.json"} < set(files)
    bundle = json.loads(files["signatures/provenance-1.sigstore.json"])
    assert bundle["mediaType"].startswith("application/vnd.dev.sigstore.bundle")
    text = files["README.md"].decode()
    assert "**WITHDRAWN.**" in text and "not signed" not in text
    # Every file that a command of it names is there.
    named = set(re.findall(r"(?:signatures|manifests)/[\w.-]+", text))
    assert "signatures/provenance-1.sigstore.json" in named and named <= set(files)
    subjects = json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"]))["subject"]
    manifest = re.findall(r"gh attestation verify (\S+)", text)[0]
    digest = hashlib.sha256(files[manifest]).hexdigest()
    assert digest in {each["digest"]["sha256"] for each in subjects}
    copied = Path(shutil.copytree(package, tmp_path / "copied"))
    write_record(copied, Package.load(copied), tmp_path / "again")
    assert tree(tmp_path / "again") == files


def test_only_the_record_needs_no_models_and_an_empty_directory(package: Path, tmp_path: Path) -> None:
    for variant in Package.load(package).variants:
        (package / "blobs/sha256" / variant.gguf.digest.removeprefix("sha256:")).unlink()
    export = ("package", "export", package, "--only-record")
    assert run_command(*export, tmp_path / "record").exit_code == 0
    (tmp_path / "record" / "stale").write_text("x")
    assert run_command(*export, tmp_path / "record").exit_code == 0
    assert not (tmp_path / "record" / "stale").exists()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/letter").write_text("x")
    refused = run_command(*export, tmp_path / "mine")
    assert refused.exit_code == 2 and (tmp_path / "mine/letter").exists()
    (tmp_path / "link").symlink_to(tmp_path / "mine")
    assert run_command(*export, tmp_path / "link").exit_code == 2
    assert run_command(*export, tmp_path / "new", "--variant", "Q8_0").exit_code == 2
    assert run_command("package", "export", "ghcr.io/acme/coder:1.0", tmp_path / "new").exit_code == 2


def test_a_damaged_part_leaves_the_earlier_record(package: Path, tmp_path: Path, console: Console) -> None:
    record = Package.load(package)
    write_record(package, record, tmp_path / "record")
    before = tree(tmp_path / "record")
    blob = package / "blobs/sha256" / record.provenance.digest.removeprefix("sha256:")
    blob.chmod(0o644)
    blob.write_bytes(b"x" * blob.stat().st_size)
    with pytest.raises(GateError):
        write_record(package, record, tmp_path / "record")
    assert tree(tmp_path / "record") == before
    assert not list(tmp_path.glob(".partial-*"))


def test_no_file_of_a_hostile_package_takes_the_place_of_another(package: Path) -> None:
    record = Package.load(package)
    lists = (DataList(path="manifest.json", file=record.provenance),)
    data = TrainingDataFiles(manifest=record.model_card, lists=lists)
    changed = record.model_copy(update={"training_data": data})
    with pytest.raises(GateError, match="one name"):
        record_files(changed, ImageLayout(package))
