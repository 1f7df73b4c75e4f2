"""Whatever stops a job, the same command again ends with the same bytes."""

from __future__ import annotations

import html
import json
import random
import signal
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from starfreight.jobs.train import checkpoints
from starfreight.jobs.train.completions import Completions
from starfreight.run import Run

STEPS = 12
Start = Callable[[Path], Any]
Digest = Callable[[Path], str]


@pytest.fixture(scope="module")
def uninterrupted(
    tmp_path_factory: pytest.TempPathFactory,
    make_job: Callable[..., Path],
    prepare: Callable[[Path], Path],
    start_job: Start,
) -> Path:
    """The folder of a run that nothing stopped."""
    run = prepare(make_job(tmp_path_factory.mktemp("uninterrupted")))
    assert start_job(run).wait() == 0
    return run


@pytest.fixture
def run(write_job: Callable[..., Path], prepare: Callable[[Path], Path]) -> Path:
    """A run of the same recipe that has not begun."""
    return prepare(write_job())


def test_a_finished_run_shows_completions_of_held_out_places(uninterrupted: Path) -> None:
    found = Completions.load(uninterrupted)
    assert found is not None and 1 <= len(found.places) <= 3
    page = html.unescape((uninterrupted / "report.html").read_text())
    assert all(f"<mark>{each.expected}</mark>" in page for each in found.places)


def test_a_finished_run_has_its_record_its_figures_and_its_picture(
    uninterrupted: Path, training_rows: Callable[[Path], list[dict[str, Any]]]
) -> None:
    outcome = Run.load(uninterrupted).outcome
    assert outcome is not None
    assert outcome.before is not None
    assert outcome.after is not None
    assert outcome.steps == STEPS
    assert outcome.tokens == STEPS * 2 * 2 * 64
    assert outcome.after.loss < outcome.before.loss
    assert [row["step"] for row in training_rows(uninterrupted)] == list(range(1, STEPS + 1))
    assert (uninterrupted / "plots/loss.png").read_bytes().startswith(b"\x89PNG")
    kept = sorted(path.name for path in (uninterrupted / "checkpoints").iterdir())
    assert kept == ["best", "checkpoint-12", "checkpoint-9"]


def test_the_adapter_can_be_read_by_everyone_and_tells_nothing_of_this_machine(uninterrupted: Path) -> None:
    folder = uninterrupted / "adapter"
    assert {path.name for path in folder.iterdir()} == {"adapter_config.json", "adapter_model.safetensors"}
    assert all(stat.S_IMODE(path.stat().st_mode) == 0o644 for path in folder.iterdir())
    text = (folder / "adapter_config.json").read_text()
    config = json.loads(text)
    assert config["base_model_name_or_path"] == "starcoder2"
    assert config["target_modules"] == sorted(config["target_modules"])
    assert "/" not in text
    for name in ("run.json", "data/manifest.json"):
        assert str(uninterrupted.parent) not in (uninterrupted / name).read_text()


def test_a_run_that_was_asked_to_stop_goes_on_to_the_same_bytes(
    run: Path,
    uninterrupted: Path,
    start_job: Start,
    adapter_digest: Digest,
    training_rows: Callable[[Path], list[dict[str, Any]]],
) -> None:
    job = start_job(run)
    job.wait_for_step(4)
    job.process.terminate()
    assert job.wait() == 75
    assert Run.load(run).status == "stopped"
    last = checkpoints.last_good(run / "checkpoints")
    assert last is not None
    done = checkpoints.step_of(last)
    assert 4 <= done < STEPS
    # Nothing that was trained is lost.
    assert training_rows(run)[-1]["step"] == done

    assert start_job(run).wait() == 0
    assert adapter_digest(run) == adapter_digest(uninterrupted)
    rows = training_rows(run)
    assert [row["step"] for row in rows] == list(range(1, STEPS + 1))
    assert [row["loss"] for row in rows] == [row["loss"] for row in training_rows(uninterrupted)]


def test_a_run_that_is_killed_again_and_again_ends_with_the_same_bytes(
    run: Path,
    uninterrupted: Path,
    start_job: Start,
    adapter_digest: Digest,
    training_rows: Callable[[Path], list[dict[str, Any]]],
) -> None:
    rng = random.Random(20)
    for step in sorted(rng.sample(range(1, STEPS), 3)):
        job = start_job(run)
        job.wait_for_step(step)
        time.sleep(rng.random() * 0.05)
        job.process.kill()
        assert job.wait() == -signal.SIGKILL
        assert Run.load(run).status == "running"
    assert start_job(run).wait() == 0
    assert adapter_digest(run) == adapter_digest(uninterrupted)
    assert [row["step"] for row in training_rows(run)] == list(range(1, STEPS + 1))


def test_a_damaged_checkpoint_is_not_used_and_the_one_before_it_is(
    run: Path, uninterrupted: Path, start_job: Start, adapter_digest: Digest
) -> None:
    job = start_job(run)
    job.wait_for_step(8)
    job.process.kill()
    job.wait()
    folder = run / "checkpoints"
    damaged = folder / "checkpoint-6/optimizer.pt"
    data = bytearray(damaged.read_bytes())
    data[len(data) // 2] ^= 1
    damaged.write_bytes(data)
    last = checkpoints.last_good(folder)
    assert last == folder / "checkpoint-3"
    assert not damaged.exists()

    assert start_job(run).wait() == 0
    assert adapter_digest(run) == adapter_digest(uninterrupted)


def test_a_stop_after_the_last_step_and_a_damaged_adapter_cost_no_training(
    run: Path,
    uninterrupted: Path,
    start_job: Start,
    adapter_digest: Digest,
    training_rows: Callable[[Path], list[dict[str, Any]]],
) -> None:
    job = start_job(run)
    job.wait_for_step(STEPS)
    job.process.terminate()
    assert job.wait() in {0, 75}
    assert start_job(run).wait() == 0
    assert adapter_digest(run) == adapter_digest(uninterrupted)

    rows = training_rows(run)
    weights = run / "adapter/adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    assert not Run.load(run).is_done(run)
    assert start_job(run).wait() == 0
    assert adapter_digest(run) == adapter_digest(uninterrupted)
    assert training_rows(run) == rows


def test_a_time_limit_stops_a_run_with_its_checkpoint_written_and_never_before_a_step(
    write_job: Callable[..., Path], prepare: Callable[[Path], Path], start_job: Start
) -> None:
    run = prepare(write_job(training={"steps": 2000}, run={"time_limit": "1s", "threads": 1}))
    reached = 0
    for _ in range(2):
        assert start_job(run).wait() == 75
        assert Run.load(run).status == "stopped"
        last = checkpoints.last_good(run / "checkpoints")
        assert last is not None
        assert checkpoints.step_of(last) > reached
        reached = checkpoints.step_of(last)


def test_what_is_no_whole_checkpoint_does_not_count(tmp_path: Path) -> None:
    assert checkpoints.last_good(tmp_path) is None
    for step in (2, 10, 9, 8):
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        (folder / "weights").write_bytes(b"x")
        (folder / "weights").chmod(0o600)
        (folder / "training_args.bin").write_bytes(b"a pickle")
        checkpoints.seal(folder)
        assert {path.name for path in folder.iterdir()} == {"weights", "digests.json"}
        assert stat.S_IMODE((folder / "weights").stat().st_mode) == 0o644
    (tmp_path / "checkpoint-11").mkdir()
    (tmp_path / "checkpoint-12").mkdir()
    (tmp_path / "checkpoint-12/digests.json").write_text('{"weights": "sha256:0"}')
    assert checkpoints.last_good(tmp_path) == tmp_path / "checkpoint-10"
    (tmp_path / "checkpoint-10/more").write_bytes(b"")
    assert checkpoints.last_good(tmp_path) == tmp_path / "checkpoint-9"
    (tmp_path / "checkpoint-9/weights").write_bytes(b"y")
    assert checkpoints.last_good(tmp_path) == tmp_path / "checkpoint-8"
    (tmp_path / "checkpoint-8/weights").unlink()
    assert checkpoints.last_good(tmp_path) == tmp_path / "checkpoint-2"
    (tmp_path / "checkpoint-2/digests.json").write_text("{")
    assert checkpoints.last_good(tmp_path) is None
    assert list(tmp_path.iterdir()) == []
