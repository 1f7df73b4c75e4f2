"""``package inspect`` shows a reviewer every part of a package, of a damaged one too."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from command_result import run_command

from starfreight.package import Package
from starfreight.packager.provenance.signing.local_key import generate_key

FINISHED = Path(__file__).parents[2] / "golden/finished-packages"


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of a package that an earlier version wrote."""
    return Path(shutil.copytree(FINISHED / "golden-fim-de8303b786", tmp_path / "package"))


@pytest.fixture
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """A key pair."""
    monkeypatch.setenv("STARFREIGHT_KEY_PASSWORD", "correct horse")
    found = tmp_path / "acme.key", tmp_path / "acme.pub"
    generate_key(*found, b"correct horse")
    return found


def inspect(package: Path, *options: str | Path) -> tuple[dict[str, Any], str]:
    """The data and the text of ``package inspect``."""
    text = run_command("package", "inspect", package, *options)
    data = run_command("package", "inspect", package, *options, "--json")
    assert text.exit_code == data.exit_code == 0, text.output + data.output
    return json.loads(data.stdout), text.stdout


def test_template_data_licenses_and_provenance_are_shown(package: Path) -> None:
    data, text = inspect(package)
    assert "<fim_suffix>" in data["template"] and "<fim_suffix>" in text
    assert data["parameters"]["num_ctx"] == 256 and "num_ctx  256" in text
    (source,) = data["training_data"]["sources"]
    assert source["licenses"] == {"MIT": {"samples": 8, "bytes": None}} and "licenses MIT (8)" in text
    assert data["build"]["builder"] in text and data["build"]["method"] == "qlora"
    assert len(data["build"]["base_files"]) == 5
    assert data["license"] == "MIT" and data["withdrawn"] is False and data["problems"] == []
    assert data["signatures"]["bundles"] == 0 and "UNSIGNED" in text
    assert data["evaluations"] == [] and "nobody has measured" in text


def test_signers_are_claims_until_they_are_checked(package: Path, keys: tuple[Path, Path]) -> None:
    assert run_command("package", "sign", package, "--key", keys[0]).exit_code == 0
    data, text = inspect(package)
    (claim,) = data["signatures"]["claimed"]
    assert data["signatures"]["signed"] is None and data["signatures"]["signers"] == []
    assert "https://slsa.dev/provenance/v1" in claim["predicate_types"] and claim["manifests"] > 1
    assert "NOT CHECKED" in text and f"{claim['signer']}: provenance" in text
    data, text = inspect(package, "--key", keys[1])
    assert data["signatures"]["signed"] and "checked: signed by the key acme.pub" in text


def test_another_key_has_not_signed(package: Path, keys: tuple[Path, Path], tmp_path: Path) -> None:
    assert run_command("package", "sign", package, "--key", keys[0]).exit_code == 0
    generate_key(tmp_path / "other.key", tmp_path / "other.pub", b"correct horse")
    data, text = inspect(package, "--key", tmp_path / "other.pub")
    assert data["signatures"]["signed"] is False and data["signatures"]["signers"] == []
    assert "NOT SIGNED by a trusted signer" in text


def test_a_withdrawn_package_is_marked_before_anything_else(package: Path, keys: tuple[Path, Path]) -> None:
    withdraw = ("package", "withdraw", package, "--key", keys[0], "--reason", "Leaks test data.")
    assert run_command(*withdraw, "--superseded-by", "ghcr.io/acme/coder:1.1").exit_code == 0
    data, text = inspect(package)
    assert data["withdrawn"] is True and data["withdrawals"][0]["reason"] == "Leaks test data."
    assert text.splitlines()[1].startswith("  WITHDRAWN:") and "use ghcr.io/acme/coder:1.1 instead" in text


@pytest.mark.parametrize("part", ["template", "settings", "provenance", "model_card"])
def test_a_damaged_part_is_named_and_the_others_are_shown(package: Path, part: str) -> None:
    digest = getattr(Package.load(package), part).digest
    blob = package / "blobs/sha256" / digest.removeprefix("sha256:")
    blob.chmod(0o644)
    blob.write_bytes(b"x" * blob.stat().st_size)
    data, text = inspect(package)
    assert data["problems"] and "\nProblems\n" in text
    assert data["variants"] and "Q8_0" in text
    assert ("<fim_suffix>" in text) == (part in ("provenance", "model_card"))


def test_what_is_no_package_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for place in (tmp_path, tmp_path / "file", tmp_path / "missing"):
        refused = run_command("package", "inspect", place)
        assert refused.exit_code == 2 and "Traceback" not in refused.output, refused.output
    assert run_command("package", "inspect", tmp_path, "--issuer", "https://x.test").exit_code == 2
