"""Sweeps: a recipe with lists of values becomes one recipe per combination."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from starfreight.errors import RecipeError
from starfreight.recipe import Recipe, expand, load_recipe


def variants(path: Path) -> tuple[Recipe, ...]:
    return expand(load_recipe(path).recipe)


def test_a_recipe_without_a_sweep_is_its_own_only_variant(write_recipe: Callable[..., Path]) -> None:
    recipe = load_recipe(write_recipe()).recipe
    assert expand(recipe) == (recipe,)


def test_each_combination_makes_a_variant_with_its_own_name(
    write_recipe: Callable[..., Path],
) -> None:
    found = variants(
        write_recipe(
            "run: {gpu_memory: 24GB}\nsweep: {training.rank: [8, 16], training.learning_rate: [1e-4, 2e-4]}"
        )
    )
    assert [(v.name, v.training.rank, v.training.learning_rate) for v in found] == [
        ("acme-coder-rank-8-learning_rate-0.0001", 8, 1e-4),
        ("acme-coder-rank-8-learning_rate-0.0002", 8, 2e-4),
        ("acme-coder-rank-16-learning_rate-0.0001", 16, 1e-4),
        ("acme-coder-rank-16-learning_rate-0.0002", 16, 2e-4),
    ]
    assert all(v.sweep == {} and v.run.gpu_memory == 24 * 10**9 for v in found)


def test_lists_can_be_swept(write_recipe: Callable[..., Path]) -> None:
    found = variants(write_recipe("sweep: {package.quantizations: [[Q4_K_M], [Q8_0, F16]]}"))
    assert [v.name for v in found] == ["acme-coder-quantizations-q4_k_m", "acme-coder-quantizations-q8_0-f16"]


@pytest.mark.parametrize(
    ("sweep", "words"),
    [
        ("{training.rank: [8, 8]}", "the same name"),
        ("{package.system: ['a b', 'a/b']}", "the same name"),
        ("{training.rnak: [8]}", "'training.rnak'"),
        ("{name: [a, b]}", "'name'"),
        ("{publish.reference: [a]}", "'publish.reference'"),
        ("{training.rank.x: [8]}", "'training.rank.x'"),
        ("{'': [8]}", "sweep"),
        ("{training.rank: 8}", "'sweep.training.rank'"),
        ("{training.rank: []}", "'sweep.training.rank'"),
        ("{training.rank: [eight]}", "'training.rank'"),
        ("{training.seed: [" + ",".join(map(str, range(1001))) + "]}", "1,001 variants"),
    ],
)
def test_an_invalid_sweep_is_refused(write_recipe: Callable[..., Path], sweep: str, words: str) -> None:
    with pytest.raises(RecipeError) as caught:
        variants(write_recipe(f"sweep: {sweep}"))
    assert words in caught.value.what
