"""``starfreight run`` evaluates after packaging, and publishing heeds the recipe's gate."""

from __future__ import annotations

import contextlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from starfreight.cli import main
from starfreight.commands.evaluation import check_evaluation
from starfreight.commands.plan_checks import check_around_training
from starfreight.console import Console
from starfreight.errors import InputError, RecipeError
from starfreight.evaluation import Evaluation
from starfreight.jobs.backends import table
from starfreight.jobs.backends.interface import Fetched, JobRequest, Location, Report, Submitted
from starfreight.package_evaluations import read_evaluations
from starfreight.recipe import load_recipe

GOLDEN = Path(__file__).parents[1] / "golden"
RUN = "golden-fim-de8303b786"
EVALUATE = "evaluate: {suites: {humaneval: {limit: 2}}}\n"


class Cluster:
    """A cluster whose job has trained and packaged."""

    runs_later_steps = True
    last_steps: list[str | None]

    def __init__(self, location: Location) -> None:
        self.location = location

    def submit(self, request: JobRequest, console: Any) -> Submitted:
        assert request.kind.name == "train"
        self.last_steps.append(request.last_step)
        return Submitted(("there",), Report({}, ""))

    def fetch(self, name: str, runs: Path, console: Any, packages: Path | None = None) -> Fetched:
        assert packages is not None
        if not (packages / RUN).exists():
            shutil.copytree(GOLDEN / "finished-runs" / RUN, runs / RUN)
            shutil.copytree(GOLDEN / "finished-packages" / RUN, packages / RUN)
        return Fetched(runs / RUN, packages / RUN)


@pytest.fixture(autouse=True)
def cluster(monkeypatch: pytest.MonkeyPatch) -> type[Cluster]:
    """The cluster; other backends are the real ones."""
    pytest.importorskip("xllamacpp")
    real = table.open_backend

    def open_backend(where: str, location: Location) -> Any:
        return Cluster(location) if where == "kubernetes" else real(where, location)

    monkeypatch.setattr("starfreight.jobs.backends.table.open_backend", open_backend)
    monkeypatch.setattr(Cluster, "last_steps", [], raising=False)
    return Cluster


def run(tmp_path: Path, *options: str, more: str = EVALUATE) -> int:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text((GOLDEN / "inputs" / "fim.yaml").read_text() + more)
    folders = ("--runs", str(tmp_path / "runs"), "--packages", str(tmp_path / "packages"))
    return main(["run", str(recipe), "--on", "kubernetes", *folders, "--json", *options])


def test_a_recipe_with_suites_is_evaluated_once_and_the_package_has_the_figures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path) == 0
    output = capsys.readouterr()
    (variant,) = json.loads(output.out)["variants"]
    (found,) = variant["evaluations"]
    assert "evaluated on this machine" in output.err
    record = Evaluation.load(Path(found["directory"]))
    assert record.status == "done" and record.result("humaneval") is not None
    (packaged,) = read_evaluations(tmp_path / "packages" / RUN).evaluations
    assert packaged.evaluation.id == record.id
    before = (Path(found["directory"]) / "evaluation.json").read_bytes()
    package = (tmp_path / "packages" / RUN / "package.json").read_bytes()
    assert run(tmp_path) == 0
    assert (Path(found["directory"]) / "evaluation.json").read_bytes() == before
    assert (tmp_path / "packages" / RUN / "package.json").read_bytes() == package


@pytest.mark.parametrize(
    ("suites", "words"),
    [
        ("{humanevall: {}}", "humaneval"),
        ("{humaneval: {samples: 5}}", "temperature 0"),
        ("{mbpp: {}, custom: {}}", "No suite can be run"),
        ("{speed: {}, mbpp: {file: problems.jsonl}}", "no problems at 'problems.jsonl'"),
        ("{custom: {file: tasks}}", "no problems at 'tasks'"),
    ],
)
def test_a_wrong_suite_is_noticed_before_training(
    cluster: type[Cluster], suites: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, more=f"evaluate: {{suites: {suites}}}\n") == 2
    assert words in capsys.readouterr().err
    assert cluster.last_steps == []


@pytest.mark.parametrize("others", ["", ", speed: {}"])
def test_suites_without_held_out_files_are_noticed_before_training(
    others: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = (GOLDEN / "inputs" / "fim.yaml").read_text().replace("held_out: 25%", "held_out: 0")
    path = tmp_path / "recipe.yaml"
    path.write_text(recipe + f"evaluate: {{suites: {{fim: {{}}, perplexity: {{}}{others}}}}}\n")
    with contextlib.nullcontext() if others else pytest.raises(RecipeError, match="No suite can be run"):
        check_evaluation(load_recipe(path), Location(tmp_path / "runs"), Console())
    assert capsys.readouterr().err.count("will be skipped: no source of code") == (2 if others else 0)


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("{suite: mbpp, figure: pass@1, at_least: 0.1}", "evaluate.suites has no mbpp"),
        ("{suite: humaneval, figure: pass@1, not_below: base}", "evaluate.baselines has no base"),
        ("{suite: humaneval, figure: pass@1, at_least: 0.1}", None),
    ],
)
def test_rules_that_nothing_measures_are_noticed_before_training(
    rule: str, words: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = (GOLDEN / "inputs" / "fim.yaml").read_text()
    path = tmp_path / "recipe.yaml"
    path.write_text(recipe.replace("package:\n", f"package:\n  quality: [{rule}]\n") + EVALUATE)
    console, location = Console(), Location(tmp_path / "runs")
    check_evaluation(load_recipe(path), location, console)
    error = capsys.readouterr().err
    assert words in error if words else "Warning" not in error


@pytest.mark.parametrize(
    ("rule", "key", "words"),
    [
        ("{suite: humanevall, figure: pass@1, at_least: 0.1}", "suite", "did you mean 'humaneval'?"),
        ("{suite: fim, figure: exact-match, at_least: 0.1}", "figure", "did you mean 'exact_match'?"),
        ("{suite: fim, figure: pass@1, at_least: 0.1}", "figure", "use one of exact_match"),
        ("{suite: mbpp, figure: pass@7, at_least: 0.1}", "figure", "use one of pass@1, pass@5"),
        ("{suite: humaneval, figure: pass@10/x, at_least: 0.1}", "figure", "set samples to 10"),
    ],
)
def test_a_rule_that_no_evaluation_can_meet_is_refused_by_plan_and_run(
    rule: str, key: str, words: str, tmp_path: Path
) -> None:
    path = tmp_path / "recipe.yaml"
    recipe = (GOLDEN / "inputs" / "fim.yaml").read_text()
    path.write_text(recipe.replace("package:\n", f"package:\n  quality: [{rule}]\n") + EVALUATE)
    for check in (
        lambda file: check_around_training(file, Console()),
        lambda file: check_evaluation(file, Location(tmp_path / "runs"), Console()),
    ):
        with pytest.raises(RecipeError) as raised:
            check(load_recipe(path))
        assert raised.value.where == f"key package.quality[0].{key}"
        assert words in str(raised.value.fix)


def test_plan_refuses_missing_problems_as_run_does(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(
        (GOLDEN / "inputs" / "fim.yaml").read_text() + "evaluate: {suites: {custom: {file: a}}}\n"
    )
    with pytest.raises(InputError, match="no problems at 'a'"):
        check_around_training(load_recipe(path), Console())


def test_an_evaluation_in_a_package_is_kept_by_prune(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path) == 0
    capsys.readouterr()
    folders = ("--runs", str(tmp_path / "runs"), "--packages", str(tmp_path / "packages"))
    assert main(["jobs", "prune", *folders, "--keep", "0", "--yes"]) == 0
    assert len(list((tmp_path / "runs").glob("*-eval-*"))) == 1
    assert main(["jobs", "prune", *folders, "--keep", "0", "--yes", "--force"]) == 0
    assert not list((tmp_path / "runs").glob("*-eval-*"))


def test_a_package_below_its_gate_is_not_published(
    cluster: type[Cluster], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = (GOLDEN / "inputs" / "fim.yaml").read_text()
    assert "package:" in recipe
    quality = "  quality: [{suite: humaneval, figure: pass@1, at_least: 0.99}]\n"
    more = EVALUATE + "publish: {reference: '127.0.0.1:9/acme/coder:1.0', insecure: true}\n"
    path = tmp_path / "recipe.yaml"
    path.write_text(recipe.replace("package:\n", "package:\n" + quality) + more)
    folders = ("--runs", str(tmp_path / "runs"), "--packages", str(tmp_path / "packages"))
    assert main(["run", str(path), "--on", "kubernetes", *folders, "--publish"]) == 3
    assert "pass@1" in capsys.readouterr().err
    # The job in the cluster must not have published it before.
    assert cluster.last_steps == ["package"]
    # Without publishing, the result has the verdict.
    assert main(["run", str(path), "--on", "kubernetes", *folders]) == 0
    assert "Quality gate: FAILED" in capsys.readouterr().out
