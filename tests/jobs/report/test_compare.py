"""Runs are compared on what differed between them and on what came of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from starfreight.cli import main


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory, make_job: Callable[..., Path]) -> Path:
    """The folder of two trained variants and one that was only prepared."""
    folder = tmp_path_factory.mktemp("sweep")
    recipe = make_job(folder, sweep={"training.rank": [2, 8]}, training={"steps": 6})
    assert main(["jobs", "run", str(recipe), "--runs", str(folder / "runs"), "--quiet"]) == 0
    return folder / "runs"


@pytest.fixture
def compared(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs the command, which has to succeed, and gives what it prints."""

    def run(*arguments: str) -> str:
        assert main(["jobs", "compare", *arguments]) == 0
        return capsys.readouterr().out

    return run


def test_the_table_shows_what_differed_and_the_best_run_comes_first(
    sweep: Path, compared: Callable[..., str]
) -> None:
    runs = sorted(str(path) for path in sweep.iterdir())
    found = json.loads(compared(*runs, "--json"))["runs"]
    assert sorted(row["differs"]["training.rank"] for row in found) == [2, 8]
    assert all(set(row["differs"]) == {"training.rank"} for row in found)
    losses = [row["held_out_loss"] for row in found]
    assert losses == sorted(losses)
    assert all(row["same_held_out"] and row["loss_before"] > row["held_out_loss"] for row in found)
    text = compared(*runs)
    assert "training.rank" in text.splitlines()[0]
    assert text.splitlines()[1].startswith(found[0]["run"])


def test_the_page_has_both_pictures_inside_and_asks_no_server(
    sweep: Path, tmp_path: Path, compared: Callable[..., str]
) -> None:
    page = tmp_path / "compared.html"
    compared(*map(str, sweep.iterdir()), "--html", str(page))
    text = page.read_text()
    assert text.count("data:image/png;base64,") == 2
    assert "http" not in text.replace("http-equiv", "")


@pytest.mark.parametrize("names", [[], ["nothing"], ["nothing", "neither"]])
def test_fewer_than_two_runs_cannot_be_compared(tmp_path: Path, names: list[str]) -> None:
    assert main(["jobs", "compare", *(str(tmp_path / name) for name in names)]) == 2
