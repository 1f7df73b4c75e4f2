"""Which runs the rules of ``jobs prune`` select."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from starfreight.jobs.prune.rules import STATES, PruneRules, RunFound, choose

NOW = datetime.datetime(2026, 6, 1, tzinfo=datetime.UTC)
DAY = 86400


def run(name: str, days: float = 0, state: str = "done", **more: Any) -> RunFound:
    at = NOW - datetime.timedelta(days=days)
    return RunFound(id=name, recipe=name.rpartition("-")[0], state=state, at=at, size=1, **more)


def removed(runs: list[RunFound], **rules: Any) -> list[str]:
    return [each.run.id for each in choose(runs, PruneRules(**rules), NOW) if each.remove]


def test_age_counts_from_the_end() -> None:
    runs = [run("a-1", 31), run("a-2", 30), run("a-3", 1)]
    assert removed(runs, older_than=30 * DAY) == ["a-1"]


def test_the_newest_of_each_recipe_are_kept_whatever_became_of_them() -> None:
    runs = [run("a-1", 3), run("a-2", 2, "failed"), run("a-3", 1), run("b-1", 9)]
    assert removed(runs, keep=1) == ["a-1", "a-2"]
    assert removed(runs, keep=0) == ["b-1", "a-1", "a-2", "a-3"]
    assert removed(runs, keep=5) == []


def test_every_rule_must_match() -> None:
    runs = [run("a-1", 40, "failed"), run("a-2", 40), run("a-3", 2, "failed"), run("a-4", 1)]
    assert removed(runs, older_than=30 * DAY, states=("failed",)) == ["a-1"]
    assert removed(runs, older_than=30 * DAY, keep=3) == ["a-1"]


def test_without_rules_all_finished_runs_are_listed() -> None:
    runs = [run(f"a-{state}", 1, state) for state in (*STATES, "running")]
    assert sorted(removed(runs)) == ["a-done", "a-failed"]


@pytest.mark.parametrize("state", ["stopped", "interrupted", "prepared"])
def test_an_unfinished_run_is_removed_by_force_only(state: str) -> None:
    runs = [run("a-1", 99, state)]
    assert removed(runs, older_than=DAY) == []
    assert removed(runs, states=(state,)) == []
    (choice,) = choose(runs, PruneRules(states=(state,)), NOW)
    assert "can be resumed" in str(choice.why_kept)
    assert removed(runs, states=(state,), force=True) == ["a-1"]
    assert removed(runs, older_than=DAY, force=True) == ["a-1"]


@pytest.mark.parametrize("state", [*STATES, "running"])
def test_a_run_in_use_is_never_removed(state: str) -> None:
    runs = [run("a-1", 99, state, busy=True)]
    assert removed(runs, keep=0, force=True) == []
    (choice,) = choose(runs, PruneRules(keep=0, force=True), NOW)
    assert choice.why_kept == "a job or a command is using it"


def test_a_run_that_a_package_names_is_removed_by_force_only() -> None:
    runs = [run("a-1", 99, packages=("coder-1.0",))]
    assert removed(runs, keep=0) == []
    (choice,) = choose(runs, PruneRules(keep=0), NOW)
    assert "the package coder-1.0 names it" in str(choice.why_kept)
    assert removed(runs, keep=0, force=True) == ["a-1"]
