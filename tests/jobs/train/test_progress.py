"""Progress of a training from figures that others can write."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from starfreight.jobs.train.progress import progress_of
from starfreight.run import METRICS_FILE, Run

GOLDEN = Path(__file__).parents[2] / "golden" / "finished-runs" / "golden-fim-de8303b786"
ROWS: list[dict[str, Any]] = [
    {"step": 1, "loss": 3.0, "tokens_per_second": 100.0},
    {"step": 1, "held_out_loss": 2.5},
    {"step": 2, "loss": 2.0, "tokens_per_second": 300.0},
]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run that was stopped after two steps."""
    folder = tmp_path / "run"
    shutil.copytree(GOLDEN, folder)
    Run.load(folder).model_copy(update={"status": "stopped", "outcome": None}).save(folder)
    write_rows(folder, *map(json.dumps, ROWS))
    return folder


def write_rows(run: Path, *rows: str) -> None:
    (run / METRICS_FILE).write_text("".join(row + "\n" for row in rows))


def shown(run: Path, *, active: bool = False) -> dict[str, str]:
    return dict(progress_of(run, Run.load(run)).figures(active=active).rows)


def test_the_figures_of_an_interrupted_run(run: Path) -> None:
    found = progress_of(run, Run.load(run))
    assert (found.step, found.loss, found.held_out_loss, found.tokens_per_second) == (2, 2.0, 2.5, 150.0)
    assert shown(run)["held out"] == "2.500 nats per token, after step 1"


@pytest.mark.parametrize(
    "row",
    [
        '{"step": 3, "loss": "x"}',
        '{"step": 3, "loss": null, "held_out_loss": [1]}',
        '{"step": 3, "loss": true}',
        '{"step": 3, "loss": NaN, "held_out_loss": -Infinity}',
        '{"step": 3, "loss": 1' + "0" * 400 + "}",
        '{"step": 1' + "0" * 400 + ', "loss": 1}',
        '{"step": -3, "loss": 1}',
    ],
)
def test_a_row_without_figures_changes_nothing(row: str, run: Path) -> None:
    before = progress_of(run, Run.load(run))
    write_rows(run, *map(json.dumps, ROWS), row)
    assert progress_of(run, Run.load(run)) == before


@pytest.mark.parametrize("rate", ['"1"', "0", "-1", "1e-320", "1e999", "NaN", "1" + "0" * 400, "[]"])
def test_a_rate_that_is_no_rate_is_left_out(rate: str, run: Path) -> None:
    write_rows(run, *map(json.dumps, ROWS), f'{{"step": 3, "loss": 1, "tokens_per_second": {rate}}}')
    found = progress_of(run, Run.load(run))
    assert (found.step, found.tokens_per_second) == (3, 150.0)
    assert "left" in shown(run, active=True) or found.steps is None


def test_a_total_beyond_all_numbers_is_no_total(run: Path) -> None:
    path = run / "data" / "blocks.json"
    if not path.exists():
        pytest.fail("the golden run has lost its record of the blocks")
    record = json.loads(path.read_text()) | {"train": 10**400}
    path.write_text(json.dumps(record))
    assert progress_of(run, Run.load(run)).steps is None


def test_a_finished_run_has_one_held_out_loss_in_status_and_list(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(GOLDEN, folder)
    write_rows(folder, *map(json.dumps, ROWS))
    record = Run.load(folder)
    assert record.outcome is not None and record.outcome.after is not None
    from starfreight.jobs.train.kind import TRAIN

    status, listed = TRAIN.progress(folder, active=False), TRAIN.headline(folder)
    assert status.data["held_out_loss"] == listed.data["held_out_loss_after"] == record.outcome.after.loss
    assert dict(status.rows)["held out"] == f"{record.outcome.after.loss:.3f} nats per token, after training"


def test_an_interrupted_run_names_the_checkpoint_it_resumes_from(run: Path) -> None:
    shutil.rmtree(run / "checkpoints", ignore_errors=True)
    assert shown(run)["kept"] == "no checkpoint yet"
    for name in ("checkpoint-900", "checkpoint-1500", "checkpoint-2000", "best", "checkpoint-x"):
        (run / "checkpoints" / name).mkdir(parents=True)
    for name in ("checkpoint-900", "checkpoint-1500", "best", "checkpoint-x"):
        (run / "checkpoints" / name / "digests.json").write_text("{}")
    assert shown(run)["kept"] == "the checkpoint of step 1,500"
    assert "kept" not in shown(run, active=True)
