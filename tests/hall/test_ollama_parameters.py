"""Ollama's parameters in a recipe: names, types and ranges."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from starfreight.errors import RecipeError
from starfreight.recipe import expand, load_recipe
from starfreight.recipe.ollama_parameters import (
    PARAMETERS,
    REMOVED,
    check_context,
    parameter_notes,
    shipped_parameters,
)

WriteRecipe = Callable[..., Path]


def refused(path: Path) -> RecipeError:
    with pytest.raises(RecipeError) as error:
        load_recipe(path)
    return error.value


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("temprature", "temperature"), ("NUM_CTX", "num_ctx"), ("num-ctx", "num_ctx"), ("numctx", "num_ctx"),
        ("topk", "top_k"), ("Top_P", "top_p"), ("stops", "stop"), ("repetition_penalty", "repeat_penalty"),
        ("seeds", "seed"), ("n_predict", "num_predict"), ("min-p", "min_p"),
    ],
)  # fmt: skip
def test_a_misspelt_name_is_refused_with_the_nearest_one(
    write_recipe: WriteRecipe, name: str, near: str
) -> None:
    error = refused(write_recipe(f"package: {{parameters: {{{name}: 1}}}}"))
    assert error.what == f"Ollama has no parameter {name!r}."
    assert str(error.where).endswith(f"key package.parameters.{name}")
    assert error.fix == f"did you mean {near!r}?"


def test_an_unknown_name_is_refused_with_the_known_ones(write_recipe: WriteRecipe) -> None:
    error = refused(write_recipe("package: {parameters: {zzz: 1}}"))
    assert "num_ctx" in str(error.fix) and "typical_p" in str(error.fix)


@pytest.mark.parametrize(
    ("parameter", "words", "fix"),
    [
        ('num_ctx: "8192"', "the text '8192' is not a valid number", "write 8192, without quotes"),
        ("num_ctx: 8k", "the text '8k' is not a valid number", "write 8192"),
        ("num_ctx: 0", "0 is not a whole number of 4 or more", "write a whole number of 4 or more"),
        ("num_ctx: -1", "-1 is not a whole number", "write a whole number of 4 or more"),
        ("num_ctx: 99999999999", "99999999999 is too large", "write a whole number of 4 or more"),
        ("num_ctx: true", "true is not a valid number", "write a whole number"),
        ("num_ctx: [1]", "a list is not a valid number", "write a whole number"),
        ("num_ctx: {a: 1}", "a mapping is not a valid number", "write a whole number"),
        ("num_ctx:", "an empty value is not a valid number", "write a whole number"),
        ("top_k: 40.5", "40.5 is not a whole number", "write a whole number"),
        ("num_predict: 0x80", "the text '0x80' is not a valid number", "write a whole number"),
        ("temperature: .nan", "the text '.nan' is not a valid number", "write a number from 0 to 100"),
        ("temperature: -0.1", "-0.1 is not a number from 0 to 100", "write a number from 0 to 100"),
        ("temperature: warm", "the text 'warm' is not a valid number", "write a number from 0 to 100"),
        ("top_p: 90", "90 is not a number from 0 to 1", "write a number from 0 to 1"),
        ("repeat_penalty: 0", "0 is not a number from 0.01", "write a number from 0.01"),
        ("seed: 5000000000", "5000000000 is not a whole number", "write a whole number"),
        ("use_mmap: yes", "the text 'yes' is not true or false", "write true or false"),
        ("use_mmap: 1", "1 is not true or false", "write true or false"),
        ("stop: 1", "1 is not a list of texts", "put texts in quotes"),
        ("stop: [a, 1]", "1 in its list is not a text", "put texts in quotes"),
        ("stop: ['']", "'' in its list is not a text", "put texts in quotes"),
        ("stop: [~]", "an empty value in its list is not a text", "put texts in quotes"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_refused_with_its_key_and_the_right_form(
    write_recipe: WriteRecipe, parameter: str, words: str, fix: str
) -> None:
    error = refused(write_recipe(f"package:\n  parameters:\n    {parameter}\n"))
    name = parameter.split(":")[0]
    assert error.what.startswith(f"The key 'package.parameters.{name}' is not valid: {words}")
    assert str(error.where).endswith(f"key package.parameters.{name}")
    assert str(error.fix).startswith(fix)


VALID: dict[str, Any] = {
    "num_ctx": 4096, "num_batch": 512, "num_gpu": -1, "main_gpu": 0, "use_mmap": False, "num_thread": 0,
    "draft_num_predict": 4, "num_keep": -1, "seed": -1, "num_predict": -2, "top_k": 0, "top_p": 1,
    "min_p": 0.05, "typical_p": 1.0, "repeat_last_n": -1, "temperature": 0, "repeat_penalty": 1.1,
    "presence_penalty": -1.5,
    "frequency_penalty": 0.5, "stop": ["###", "\n\n"],
}  # fmt: skip


def test_every_parameter_of_ollama_is_accepted(write_recipe: WriteRecipe) -> None:
    assert VALID.keys() == PARAMETERS.keys()
    found = load_recipe(write_recipe(f"package: {{parameters: {json.dumps(VALID)}}}")).recipe
    assert shipped_parameters(found.package.parameters) == VALID | {"stop": ("###", "\n\n")}


def test_values_ship_in_the_form_that_ollama_reads() -> None:
    given = {"stop": "###", "top_k": 40.0, "temperature": 1.0, "mirostat": 2, "f16_kv": "x"}
    shipped = shipped_parameters(given)
    assert shipped == {"stop": ("###",), "top_k": 40, "temperature": 1.0}
    assert type(shipped["top_k"]) is int and type(shipped["temperature"]) is float


def test_a_parameter_that_ollama_has_removed_is_noted(write_recipe: WriteRecipe) -> None:
    recipe = load_recipe(write_recipe("package: {parameters: {tfs_z: x, mirostat: 1, top_k: 5}}")).recipe
    assert recipe.package.parameters == {"tfs_z": "x", "mirostat": 1, "top_k": 5}
    (note,) = parameter_notes(recipe.package.parameters, None)
    assert "mirostat, tfs_z" in note and "top_k" not in note
    assert REMOVED.isdisjoint(PARAMETERS)


def test_a_context_longer_than_the_models_is_refused() -> None:
    check_context({"num_ctx": 16384}, 16384)
    check_context({}, 16384)
    with pytest.raises(RecipeError, match="reads 16,384 tokens at most; num_ctx is 16,385") as refusal:
        check_context({"num_ctx": 16385}, 16384)
    assert refusal.value.where == "key package.parameters.num_ctx"


def test_a_context_longer_than_the_sliding_window_is_noted_with_the_reason() -> None:
    (note,) = parameter_notes({"num_ctx": 4097}, 4096)
    assert "4,097" in note and "sliding window 4,096" in note and "llama.cpp ignores" in note
    assert parameter_notes({"num_ctx": 4096}, 4096) == ()
    assert parameter_notes({"num_ctx": 99999}, None) == ()
    assert parameter_notes({}, 4096) == ()


def test_a_variant_of_a_sweep_is_checked(write_recipe: WriteRecipe) -> None:
    recipe = load_recipe(write_recipe("sweep: {package.parameters: [{top_k: 1}, {topk: 1}]}")).recipe
    with pytest.raises(RecipeError, match="no parameter 'topk'"):
        expand(recipe)
