"""Durations of plans: measured here, from a GPU's peak, and written for people."""

from __future__ import annotations

import shutil
import stat
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from starfreight.jobs.planning.duration import (
    Duration,
    Speed,
    duration_here,
    duration_on_gpu,
    measure_speed,
)
from starfreight.jobs.planning.gpus import GPUS, gpu_here
from starfreight.jobs.planning.model_shapes import base_shape
from starfreight.jobs.planning.training_plan import plan_training
from starfreight.recipe import Recipe, load_recipe


def test_a_duration_is_told_with_its_range_and_its_source() -> None:
    told = Duration(5400, 4320, 8100, "steps").as_text()
    assert told.startswith("about 1:30 h (1:12 h to 2:15 h), ") and "measured" in told
    assert "rough" in Duration(5400, 4320, 8100, "products").as_text()
    assert Duration(0.2, 0.1, 0.3, "peak").as_text() == "under a minute, assuming 35% of the GPU's peak"
    assert Duration(50, 35, 70, "peak").as_text().startswith("about 50 s (35 s to 1:10 min), ")


@pytest.fixture
def recipe(write_job: Callable[..., Path]) -> Recipe:
    """Twelve steps, evaluated after the fifth and the tenth."""
    return load_recipe(write_job()).recipe


def test_a_job_takes_its_steps_and_its_measurements(recipe: Recipe, bases: Mapping[str, Path]) -> None:
    from starfreight.jobs.planning.data_look import DataLook

    plan = plan_training(recipe, base_shape(recipe.base, Path()))
    speeds = [Speed(10, step, block, 0, "steps") for step, block in ((0, 0), (100, 0), (0, 100))]
    base, steps, blocks = (duration_here(recipe, plan, DataLook((), None, ()), each) for each in speeds)
    assert base is not None and steps is not None and blocks is not None
    assert base.seconds >= 10
    assert steps.seconds - base.seconds == pytest.approx(12 * 100)
    # Two blocks before, after, and twice in between; and the sample for the package.
    assert blocks.seconds - base.seconds == pytest.approx(100 * (2 * 4 + 2 * 16384 / 64))
    assert steps.least < steps.seconds < steps.most


def test_a_gpu_in_this_machine_is_recognised(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "nvidia-smi"
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    for name, known in (
        ("NVIDIA H100 80GB HBM3", "h100"), ("NVIDIA A100-SXM4-40GB", "a100-40gb"), ("NVIDIA H200", "h200"),
        ("NVIDIA GeForce RTX 4090", "rtx4090"), ("NVIDIA L4", "l4"), ("NVIDIA L40S", "l40s"),
        ("NVIDIA RTX A6000", "a6000"), ("Voodoo 2", None),
    ):  # fmt: skip
        program.write_text(f"#!/bin/sh\necho '{name}'\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        assert gpu_here() == (GPUS[known] if known else None)
    program.unlink()
    if shutil.which("nvidia-smi") is None:
        assert gpu_here() is None
    plan = plan_training(recipe, base_shape(recipe.base, Path()), GPUS["h100"])
    on_gpu = duration_on_gpu(plan)
    assert on_gpu is not None and on_gpu.seconds == plan.seconds


@pytest.mark.nightly
def test_steps_are_measured_with_the_program_of_the_job(recipe: Recipe) -> None:
    shape = base_shape(recipe.base, Path())
    speed = measure_speed(recipe, shape, Path(recipe.base.model))
    assert speed is not None and speed.source == "steps"
    assert 0 < speed.block < speed.step < 60 and speed.ready > 0
