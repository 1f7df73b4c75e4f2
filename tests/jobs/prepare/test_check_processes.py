"""Processes that cannot share a step are refused before anything runs: at plan, at run and in a cluster."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from starfreight.errors import RecipeError
from starfreight.jobs.backends.kubernetes.manifests.render import render
from starfreight.jobs.prepare.check_processes import check_processes
from starfreight.recipe import Training, load_recipe
from starfreight.recipe.run import RunOptions


@pytest.mark.parametrize(
    ("accumulation", "run", "in_cluster", "count"),
    [
        (16, {}, False, None),
        (1, {}, False, None),
        (16, {"processes": 4}, False, None),
        (16, {"processes": 3}, False, 3),
        (1, {"processes": 2}, False, 2),
        (1, {"kubernetes": {"nodes": 2}}, False, None),
        (1, {"kubernetes": {"nodes": 2}}, True, 2),
        (4, {"kubernetes": {"nodes": 2}}, True, None),
        (4, {"kubernetes": {"nodes": 2}, "processes": 4}, True, 8),
    ],
)
def test_only_an_even_share_is_accepted(
    accumulation: int, run: dict[str, Any], in_cluster: bool, count: int | None
) -> None:
    training = Training(gradient_accumulation=accumulation)
    options = RunOptions.model_validate(run)
    if count is None:
        check_processes(training, options, in_cluster=in_cluster)
        return
    with pytest.raises(RecipeError, match=f"^{count} processes cannot share") as caught:
        check_processes(training, options, in_cluster=in_cluster)
    assert f"multiple of {count}" in str(caught.value.fix)
    for key in ("processes", "kubernetes"):
        assert (f"run.{key}" in str(caught.value.fix)) == (key in run)


def test_a_recipe_is_refused_before_its_data_is_read(
    write_job: Callable[..., Path], prepare: Callable[[Path], Path]
) -> None:
    recipe = write_job(training={"gradient_accumulation": 2}, run={"processes": 4})
    with pytest.raises(RecipeError, match="cannot share a step of 2"):
        prepare(recipe)
    assert not list(recipe.parent.glob("runs/*"))


def test_nodes_that_cannot_share_a_step_are_refused_when_rendered(write_job: Callable[..., Path]) -> None:
    run = {"image": "registry.example/trainer@sha256:" + "a" * 64, "kubernetes": {"nodes": 2}}
    recipe = load_recipe(write_job(training={"gradient_accumulation": 1}, run=run))
    with pytest.raises(RecipeError, match="2 processes cannot share a step of 1 forward pass evenly"):
        render(recipe)
