"""Suites are found by name, and nothing is imported before."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from starfreight.errors import RecipeError
from starfreight.jobs.evaluate.divergence.compare_rows import TOKEN
from starfreight.jobs.evaluate.suites.figure_names import FIGURES
from starfreight.jobs.evaluate.suites.pass_figures import summarize_passes
from starfreight.jobs.evaluate.suites.quantization_figures import quantization_figures
from starfreight.jobs.evaluate.suites.table import SUITES, suite_named


def test_every_suite_is_there_under_its_name() -> None:
    for name, summary in SUITES.items():
        suite = suite_named(name)
        assert suite.name == name
        assert 20 < len(summary) < 90


@pytest.mark.parametrize(
    ("name", "near"),
    [("human_eval", "'humaneval'"), ("HumanEval", "'humaneval'"), ("xyzzy", "one of humaneval")],
)
def test_an_unknown_name_gets_the_nearest_one(name: str, near: str) -> None:
    with pytest.raises(RecipeError, match=f"no suite '{name}'.*{near}"):
        suite_named(name)


def test_the_table_imports_no_suite() -> None:
    source = (
        "import sys; import starfreight.jobs.evaluate.suites.table; "
        "print([name for name in sys.modules if name.startswith('starfreight.jobs.evaluate.suites.')])"
    )
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True)
    assert "suites.humaneval'" not in done.stdout
    assert "numpy" not in done.stdout


def test_the_names_of_figures_for_rules_are_those_that_suites_give() -> None:
    assert FIGURES.keys() == SUITES.keys()
    passed = summarize_passes([{"id": "a"}], {"a": [{"passed": 1.0}] * 100})
    assert tuple(each.name for each in passed.figures) == FIGURES["humaneval"]
    compared = np.ones((4, 31), dtype=TOKEN)
    measured = quantization_figures(compared, 32, ["a.py", "a.py", "b.py", "b.py"])
    assert {each.name for each in measured.figures} == set(FIGURES["quantization"])
    golden = Path(__file__).parents[3] / "packager" / "golden" / "evaluations"
    records = [json.loads(path.read_text()) for path in golden.glob("*/evaluation.json")]
    results = [result for record in records for result in record["results"]]
    assert results
    for result in results:
        assert {each["name"] for each in result["figures"]} <= set(FIGURES[result["suite"]])
