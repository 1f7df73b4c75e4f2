"""The copy of a run that is sent while the job goes on."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

from starfreight.errors import InputError
from starfreight.files import sha256_bytes
from starfreight.jobs.kinds.table import find_kind
from starfreight.jobs.results.stage import stage, state_of
from starfreight.jobs.train.checkpoints import seal
from starfreight.results.address import parse_place
from starfreight.results.table import open_store

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "finished-runs" / "golden-fim-de8303b786"
TRAIN = find_kind("train")


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run in the middle of its training, with what a directory of a job may hold besides."""
    folder = Path(shutil.copytree(GOLDEN, tmp_path / GOLDEN.name))
    record = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps(record | {"status": "running"}))
    for step in (3, 6):
        checkpoint(folder, step)
    (folder / "checkpoints/checkpoint-9").mkdir()  # Not sealed yet.
    (folder / "checkpoints/checkpoint-9/weights").write_bytes(b"half")
    for name in ("data/blocks.bin", "data/blocks.json", "tensorboard/events", ".lock", ".partial-1/x"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")
    (folder / "inputs.json").write_text('{"base": "/home/eve"}')
    (folder / "job.json").write_text("{}")
    return folder


def checkpoint(run: Path, step: int) -> Path:
    folder = run / "checkpoints" / f"checkpoint-{step}"
    folder.mkdir(parents=True)
    (folder / "weights").write_bytes(b"weights of step %d" % step)
    seal(folder)
    return folder


def test_it_holds_the_newest_sealed_checkpoint_and_nothing_of_the_machine(run: Path, tmp_path: Path) -> None:
    (tmp_path / "stage").mkdir()
    index = stage(TRAIN, run, "job", tmp_path / "stage")
    resume = {file.path for file in index.files if file.resume}
    assert resume == {"checkpoints/checkpoint-6/weights", "checkpoints/checkpoint-6/digests.json"}
    others = {file.path for file in index.files if not file.resume}
    assert {"run.json", "metrics.jsonl", "data/manifest.json", "before.json"} <= others
    unwanted = ("inputs.json", "job.json", "data/blocks.bin", "data/blocks.json", "tensorboard/events")
    assert not others & {*unwanted, ".lock", ".partial-1/x"}
    assert index.without_resume().files == tuple(file for file in index.files if not file.resume)
    for file in index.files:
        assert sha256_bytes((tmp_path / "stage" / file.path).read_bytes()) == file.digest


def test_a_checkpoint_that_is_deleted_later_is_still_there_and_a_file_that_grows_is_not(
    run: Path, tmp_path: Path
) -> None:
    (tmp_path / "stage").mkdir()
    index = stage(TRAIN, run, "job", tmp_path / "stage")
    shutil.rmtree(run / "checkpoints")
    with (run / "metrics.jsonl").open("a") as metrics:
        metrics.write('{"step": 99}\n')
    for file in index.files:
        assert sha256_bytes((tmp_path / "stage" / file.path).read_bytes()) == file.digest


def test_a_new_checkpoint_is_seen_when_it_is_sealed(run: Path) -> None:
    before = state_of(TRAIN, run)
    shutil.rmtree(run / "checkpoints/checkpoint-9")
    assert state_of(TRAIN, run) == before
    checkpoint(run, 9)
    assert state_of(TRAIN, run) != before


def test_a_finished_run_has_no_checkpoint(run: Path, tmp_path: Path) -> None:
    shutil.copy(GOLDEN / "run.json", run / "run.json")
    (tmp_path / "stage").mkdir()
    assert not [file for file in stage(TRAIN, run, "job", tmp_path / "stage").files if file.resume]


def test_a_link_in_the_run_is_not_followed(run: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("mine")
    (run / "stolen").symlink_to(tmp_path / "secret")
    (tmp_path / "stage").mkdir()
    with pytest.raises(InputError, match="symbolic link"):
        stage(TRAIN, run, "job", tmp_path / "stage")


def test_without_the_library_of_a_store_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("obstore", "obstore.fsspec"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(InputError, match="not installed") as error:
        open_store(parse_place("s3://bucket/runs"))
    assert "object-storage" in str(error.value.fix)
