"""The model card and the statement describe the method that the recipe trained with."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest

from starfreight.console import Console
from starfreight.packager.build.build_package import build_package
from starfreight.packager.layout import ImageLayout
from starfreight.packager.training_method import TRAINING_METHODS
from starfreight.recipe import validate_recipe
from starfreight.recipe.models import Training
from starfreight.run import Run

WORDS = {
    "qlora": (
        '\ntags: ["code", "fill-in-the-middle", "gguf", "qlora", ',
        "\nQLoRA (NF4 with double quantisation): rank 16, alpha 32, 3 steps,\n",
        "Measured by the training job with the base in NF4 and the adapter beside it;",
        "https://starfreight.dev/build-types/qlora-gguf/v2",
    ),
    "lora": (
        '\ntags: ["code", "fill-in-the-middle", "gguf", "lora", ',
        "\nLoRA (the base in bfloat16): rank 16, alpha 32, 3 steps,\n",
        "Measured by the training job with the base in bfloat16 and the adapter beside it;",
        "https://starfreight.dev/build-types/lora-gguf/v2",
    ),
}


def test_every_method_of_recipes_is_described() -> None:
    assert set(TRAINING_METHODS) == set(get_args(Training.model_fields["method"].annotation)) == set(WORDS)


@pytest.mark.parametrize("method", WORDS)
def test_the_method_is_named_as_what_it_is(
    method: str, make_run: Callable[..., Path], console: Console, tmp_path: Path
) -> None:
    folder = make_run(tmp_path)
    run = Run.load(folder)
    changed = run.recipe.model_dump(mode="json") | {
        "training": run.recipe.training.model_dump(mode="json") | {"method": method}
    }
    run.model_copy(update={"recipe": validate_recipe(changed, "recipe")}).save(folder)
    package = build_package(folder, tmp_path / "p", None, console)
    layout = ImageLayout(tmp_path / "p")
    card = layout.read(package.model_card).decode()
    *sentences, build_type = WORDS[method]
    for sentence in sentences:
        assert card.count(sentence) == 1, sentence
    definition = json.loads(layout.read(package.provenance))["predicate"]["buildDefinition"]
    assert definition["buildType"] == build_type
    if method == "lora":
        assert "qlora" not in card.lower() and "NF4" not in card
