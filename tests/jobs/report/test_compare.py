"""Runs are compared on what differed between them and on what came of it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from small_jobs import ALL_ALIKE

from starfreight.cli import main
from starfreight.jobs.report.compare import compare, differing, table
from starfreight.jobs.report.compared_data import RunData


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


def test_the_page_has_both_charts_inside_and_asks_no_server(
    sweep: Path, tmp_path: Path, compared: Callable[..., str]
) -> None:
    page = tmp_path / "compared.html"
    compared(*map(str, sweep.iterdir()), "--html", str(page))
    text = page.read_text()
    assert text.count('<svg class="lines"') == 2
    for title in ("Held-out loss", "Training loss, smoothed"):
        assert f"<figcaption>{title}" in text
    assert "http" not in text.replace("http-equiv", "")


@pytest.mark.parametrize(
    ("changes", "data", "comparable"),
    [
        ({"training": {"rank": 2}}, "same data", True),
        ({"training": {"batch_size": 1}}, "same data", True),
        ({"training": {"seed": 7}}, "same data", True),
        ({"training": {"seed": 7, "batch_size": 1}}, "same data", True),
        ({"training": {"sequence_length": 128}}, "held-out data cut otherwise", False),
        ({"data": {"weight": 0.5}}, "other training data", True),
        ({"data": {"license": "Apache-2.0"}}, "same data", True),
        ({"data": {"held_out": 0.5}}, "other held-out data", False),
        ({"data": {"fim": {"rate": 0.5}}}, "other held-out data", False),
        ({"data": {"exclude": ["basket_0.py"]}}, "other training data", True),
    ],
    ids=str,
)
def test_a_run_is_compared_by_its_texts_and_their_cuts(
    changes: dict[str, Any], data: str, comparable: bool, write_job: Callable[..., Path],
    prepare: Callable[[Path], Path], compared: Callable[..., str],
) -> None:  # fmt: skip
    source = {"source": "./code", "license": "MIT", "held_out": 0.25, "filters": ALL_ALIKE}
    first = prepare(write_job(data=source))
    other = prepare(write_job(data=source | changes.get("data", {}), training=changes.get("training", {})))
    assert first != other
    rows = {row["run"]: row for row in json.loads(compared(str(first), str(other), "--json"))["runs"]}
    assert rows[first.name]["data"] == "same data" and rows[first.name]["same_held_out"]
    assert (rows[other.name]["data"], rows[other.name]["same_held_out"]) == (data, comparable)
    head, *lines = compared(str(first), str(other)).splitlines()
    assert (" data " in head) == (data != "same data")
    assert data == "same data" or sum(data in line for line in lines) == 1


def test_measured_tokens_tell_of_another_cut_unless_the_seed_does() -> None:
    first = RunData(b"manifest", "train", "held out", (64, 2, "vocabulary"), seed=42, tokens=100)
    other = replace(first, tokens=90)
    assert other.relation_to(first) == "held-out data cut otherwise"
    assert replace(other, seed=7).relation_to(first) == "same data"
    assert replace(first, tokens=None).relation_to(first) == "same data"
    assert replace(first, cut=(64, 2, "another")).relation_to(first) == "held-out data cut otherwise"


def test_a_run_without_its_manifest_is_on_other_data_unless_its_record_says_the_same(
    write_job: Callable[..., Path], prepare: Callable[[Path], Path], compared: Callable[..., str]
) -> None:
    first, same = prepare(write_job()), prepare(write_job(training={"rank": 2}))
    other = prepare(write_job(data={"source": "./code", "license": "MIT", "filters": ALL_ALIKE}))
    for run in (same, other):
        (run / "data/manifest.json").unlink()
    rows = json.loads(compared(str(first), str(same), str(other), "--json"))["runs"]
    assert {row["run"]: row["data"] for row in rows}[same.name] == "same data"
    assert {row["run"]: row["data"] for row in rows}[other.name] == "other data"


@pytest.mark.parametrize("names", [[], ["nothing"], ["nothing", "neither"]])
def test_fewer_than_two_runs_cannot_be_compared(tmp_path: Path, names: list[str]) -> None:
    assert main(["jobs", "compare", *(str(tmp_path / name) for name in names)]) == 2


def test_a_source_that_only_some_runs_have_is_one_setting() -> None:
    one = {"data[0].source": "./code", "data[0].weight": 1.0, "training.seed": 42}
    two = one | {"data[0].weight": 2.0, "data[1].source": "./more", "data[1].weight": 1.0}
    assert differing([one, two]) == [
        {"data[0].weight": 1.0, "data[1]": None},
        {"data[0].weight": 2.0, "data[1]": "./more"},
    ]
    assert differing([one]) == [{}] and differing([]) == []


def test_figures_come_first_and_settings_are_spelled_as_in_a_recipe(
    write_job: Callable[..., Path], prepare: Callable[[Path], Path]
) -> None:
    changed = {"rank": 2, "gradient_checkpointing": True, "target_modules": ["q_proj", "v_proj"]}
    runs = [prepare(write_job(training={"early_stopping": 3})), prepare(write_job(training=changed))]
    found = table(compare(runs))
    figures = ["run", "steps", "held-out loss", "before", "exact lines", "tokens/s", "adapter"]
    assert list(found.head[:7]) == figures
    shown = {row[0].split()[0]: dict(zip(found.head, row, strict=True)) for row in found.rows}
    second = shown[runs[1].name]
    assert second["training.gradient_checkpointing"] == "true"
    assert second["training.target_modules"] == "q_proj, v_proj"
    assert second["training.early_stopping"] == "-"


def test_each_cell_of_the_page_has_its_label_for_phones(
    sweep: Path, tmp_path: Path, compared: Callable[..., str]
) -> None:
    compared(*map(str, sweep.iterdir()), "--html", str(tmp_path / "page.html"))
    text = (tmp_path / "page.html").read_text()
    (table,) = re.findall(r'<table class="wide".*?</table>', text, re.S)
    heads = re.findall(r'role="columnheader"[^>]*>([^<]*)', table)
    for row in re.findall(r'<tr role="row"><th scope="row".*?</tr>', table, re.S):
        assert re.findall(r'data-label="([^"]*)"', row) == heads[1:]
