"""Suites are found by name, and nothing is imported before."""

from __future__ import annotations

import subprocess
import sys

import pytest

from starfreight.errors import RecipeError
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
