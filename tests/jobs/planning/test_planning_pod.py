"""The resources of a pod."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from starfreight.errors import RecipeError
from starfreight.jobs.planning.pod import PodResources, plan_pod
from starfreight.recipe import load_recipe

GIB = 2**30
HUB = "  model: bigcode/starcoder2-{size}\n  revision: " + "a" * 40


@pytest.fixture
def plan(tmp_path: Path) -> Callable[..., PodResources]:
    """Plans a recipe of a base model, with options of a command line."""

    def make(base: str = "  model: builtin:starter", training: str = "{}", **options: Any) -> PodResources:
        path = tmp_path / "recipe.yaml"
        path.write_text(
            f"version: 1\nname: acme\nbase:\n{base}\ndata: [{{source: ./code, license: MIT}}]\n"
            f"training: {training}\n"
        )
        file = load_recipe(path).with_run_options(**options)
        return plan_pod(file.recipe, file.folder)

    return make


def test_a_pod_gets_one_gpu_and_its_cpus_unless_told_otherwise(plan: Callable[..., PodResources]) -> None:
    assert (plan().gpus, plan().cpus, plan().threads) == (1, 4, 4)
    assert (plan(gpus=2).gpus, plan(gpus=2).cpus, plan(gpus=2).threads) == (2, 8, 4)
    assert (plan(gpus=0).gpus, plan(gpus=0).cpus, plan(gpus=0).threads) == (0, 1, 1)
    assert (plan(gpus=0, threads=3).cpus, plan(gpus=2, threads=3).cpus) == (3, 6)
    assert (plan(gpus=0, cpus=6).threads, plan(gpus=4, cpus=2).threads) == (6, 1)


def test_what_the_recipe_says_comes_first(plan: Callable[..., PodResources]) -> None:
    found = plan(memory="10GB", shared_memory="1GB", ephemeral_storage="3GB", checkpoint_grace="10m")
    assert (found.memory, found.shared_memory) == (10**10, 10**9)
    assert (found.ephemeral_storage, found.checkpoint_grace) == (3 * 10**9, 600)


def test_a_larger_model_needs_more_of_everything_that_depends_on_it(
    plan: Callable[..., PodResources],
) -> None:
    small, large = plan(HUB.format(size="3b")), plan(HUB.format(size="15b"))
    assert small.memory < large.memory
    # The weights are fetched to the node's disk.
    assert small.ephemeral_storage > 2 * 3_030_371_328
    assert large.ephemeral_storage > 2 * 15_957_889_024


def test_training_on_a_cpu_holds_the_activations_in_the_machines_memory(
    plan: Callable[..., PodResources],
) -> None:
    short = plan(HUB.format(size="3b"), "{sequence_length: 512}", gpus=0)
    long = plan(HUB.format(size="3b"), "{sequence_length: 2048}", gpus=0)
    assert long.memory > short.memory + 5 * GIB


def test_shared_memory_is_a_part_of_the_memory(plan: Callable[..., PodResources]) -> None:
    assert plan(shared_memory="8GiB").memory == plan().memory + 7 * GIB


def test_the_grace_period_grows_with_the_adapter_and_stays_within_limits(
    plan: Callable[..., PodResources],
) -> None:
    assert plan().checkpoint_grace == 120
    assert plan(HUB.format(size="15b"), "{rank: 16}").checkpoint_grace == 158
    assert plan(HUB.format(size="15b"), "{rank: 1024}").checkpoint_grace == 300


def test_a_base_that_is_not_here_needs_to_be_described(plan: Callable[..., PodResources]) -> None:
    with pytest.raises(RecipeError, match=r"memory for .* is unknown"):
        plan("  model: ./not-here")
    assert plan("  model: ./not-here", memory="8GB").memory == 8 * 10**9
    with pytest.raises(RecipeError, match=r"size of .* is unknown"):
        plan("  model: acme/unknown", memory="8GB")


def test_a_base_in_the_recipes_folder_is_looked_at(
    plan: Callable[..., PodResources], make_checkpoint: Callable[..., Path], tmp_path: Path
) -> None:
    make_checkpoint(tmp_path / "base")
    assert plan("  model: ./base").ephemeral_storage == 2 * GIB


@pytest.mark.parametrize("gpus", ["all", [0, 1]])
def test_gpus_are_a_number_in_a_cluster(gpus: Any, plan: Callable[..., PodResources]) -> None:
    with pytest.raises(RecipeError, match="allocates a number"):
        plan(gpus=gpus)
