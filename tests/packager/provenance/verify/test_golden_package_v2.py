"""The signed golden package of record version 2 verifies for ever, and only as it is."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from command_result import run_command

from starfreight.console import Console
from starfreight.package import Package
from starfreight.packager.build.build_package import build_package

GOLDEN = Path(__file__).parents[3] / "golden"
PACKAGE = GOLDEN / "packages-v2/golden-fim-de8303b786"
KEY = GOLDEN / "packages-v2/golden.pub"


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy."""
    return Path(shutil.copytree(PACKAGE, tmp_path / "package"))


def test_it_verifies_as_it_did(package: Path) -> None:
    done = run_command("package", "verify", package, "--key", KEY, "--json")
    assert done.exit_code == 0, done.output
    found, earlier = json.loads(done.stdout), json.loads(Path(f"{PACKAGE}.verify.json").read_bytes())
    assert found["signed"] and found["verified"] and Package.load(package).version == 2
    for name in ("name", "digests", "files", "bytes", "signatures", "signers", "evaluations", "quality"):
        assert found[name] == earlier[name], name
    # Later versions may make more checks.
    results = {each["check"]: each["result"] for each in found["checks"]}
    assert {each["check"]: each["result"] for each in earlier["checks"]}.items() <= results.items()


def test_every_part_of_its_record_has_to_be_there(package: Path) -> None:
    record = Package.load(package)
    assert record.training_data is not None and record.bom is not None
    for part in (record.training_data.manifest, record.bom, record.provenance):
        blob = package / "blobs/sha256" / part.digest.removeprefix("sha256:")
        data = blob.read_bytes()
        blob.chmod(0o644)
        blob.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
        assert run_command("package", "verify", package, "--key", KEY).exit_code == 3
        blob.write_bytes(data)
    assert run_command("package", "verify", package, "--key", KEY).exit_code == 0


def test_its_run_finds_it_already_built(package: Path, tmp_path: Path, console: Console) -> None:
    run = shutil.copytree(GOLDEN / "finished-runs" / PACKAGE.name, tmp_path / "run")
    before = (package / "package.json").read_bytes()
    build_package(run, package, GOLDEN / "inputs" / "base", console)
    assert (package / "package.json").read_bytes() == before
