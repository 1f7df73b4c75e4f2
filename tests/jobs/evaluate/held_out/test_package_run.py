"""The run of a package: found by its id, and only with the data of the package's provenance."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from starfreight.jobs.evaluate.held_out import run_of_package
from starfreight.run import RUN_FILE, Run

GOLDEN = Path(__file__).parents[3] / "golden"


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package of version 0.1.0 beside its run."""
    for kind in ("packages", "runs"):
        (source,) = (GOLDEN / f"finished-{kind}").glob("golden-fim-??????????")
        shutil.copytree(source, tmp_path / kind / source.name)
    return tmp_path / "packages" / source.name


def test_the_run_of_a_package_is_beside_it(package: Path, tmp_path: Path) -> None:
    assert run_of_package(package) == tmp_path / "runs" / package.name
    renamed = package.rename(package.with_name("renamed"))
    assert run_of_package(renamed) == tmp_path / "runs" / package.name


def test_another_directory_of_runs_can_be_named(package: Path, tmp_path: Path) -> None:
    (tmp_path / "runs").rename(tmp_path / "elsewhere")
    assert run_of_package(package) is None
    assert run_of_package(package, tmp_path / "elsewhere") == tmp_path / "elsewhere" / package.name


@pytest.mark.parametrize("key", ["id", "data_manifest"])
def test_a_run_of_another_id_or_of_other_data_is_not_taken(package: Path, tmp_path: Path, key: str) -> None:
    path = tmp_path / "runs" / package.name / RUN_FILE
    record = json.loads(path.read_text())
    if key == "id":
        record["id"] = "another-0123456789"
    else:
        record["data_manifest"]["digest"] = "sha256:" + "0" * 64
    path.write_text(json.dumps(record))
    assert run_of_package(package) is None


def test_a_damaged_run_is_not_taken(package: Path, tmp_path: Path) -> None:
    (tmp_path / "runs" / package.name / RUN_FILE).write_text("{")
    assert run_of_package(package) is None


def test_a_package_cannot_lead_to_another_directory(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = package / "package.json"
    record = json.loads(path.read_text())
    record["run"] = "../elsewhere"
    path.write_text(json.dumps(record))
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / RUN_FILE).write_text("{}")
    opened: list[Path] = []
    monkeypatch.setattr(Run, "load", opened.append)
    assert run_of_package(package) is None
    assert not opened
