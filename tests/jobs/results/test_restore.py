"""Taking a run into a pod: a result of somebody else's replaces nothing on the volume."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from starfreight.console import Console
from starfreight.errors import GateError, InputError
from starfreight.files import sha256_bytes
from starfreight.jobs.results.restore import restore
from starfreight.results.address import Place, parse_place
from starfreight.results.index import ResultFile, ResultIndex
from starfreight.results.table import open_store

RECORD = {"status": "stopped", "counted": 3, "sum": 6, "options": {}, "numbers": "n", "pause": 0}


@pytest.fixture
def place(registry: Any, plain_environment: None, tmp_path: Path) -> Place:
    """A repository of its own for each test."""
    return parse_place(f"oci://{registry.host}/restore/{tmp_path.name.replace('_', '-').lower()}")


def send(place: Place, folder: Path, name: str, job: str) -> None:
    """Sends a run of the toy kind under the name of a job."""
    folder.mkdir()
    data = json.dumps(RECORD).encode()
    (folder / "toy.json").write_bytes(data)
    file = ResultFile(path="toy.json", digest=sha256_bytes(data), size=len(data))
    index = ResultIndex(kind="run", name=name, job=job, files=(file,))
    open_store(place, write=True).put(index, folder, [job], lambda amount, what=None: None)


def test_prepared_inputs_are_replaced(toy_kind: Any, place: Place, tmp_path: Path) -> None:
    send(place, tmp_path / "there", "count-toy", "job")
    volume = tmp_path / "volume"
    (volume / "count-toy").mkdir(parents=True)
    (volume / "count-toy/data_manifest.json").write_text("{}")
    assert restore(place, "job", toy_kind, volume, Console()) == volume / "count-toy"
    assert [path.name for path in (volume / "count-toy").iterdir()] == ["toy.json"]


@pytest.mark.parametrize(
    ("name", "file"), [("packages", "one/package.json"), ("tiny-0123456789", "run.json")]
)
def test_packages_and_runs_of_other_kinds_stay(
    name: str, file: str, toy_kind: Any, place: Place, tmp_path: Path
) -> None:
    send(place, tmp_path / "there", name, "job")
    kept = tmp_path / "volume" / name / file
    kept.parent.mkdir(parents=True)
    kept.write_text("{}")
    with pytest.raises((GateError, InputError)):
        restore(place, "job", toy_kind, tmp_path / "volume", Console())
    assert kept.exists()
    assert [path.name for path in (tmp_path / "volume").iterdir()] == [name]
