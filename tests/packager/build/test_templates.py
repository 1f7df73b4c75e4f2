"""The template and the parameters that follow from a recipe."""

from __future__ import annotations

from pathlib import Path

import pytest

from starfreight.base_model import STARTER_FOLDER
from starfreight.errors import RecipeError
from starfreight.files import canonical_json
from starfreight.packager.build.templates import (
    CHAT_TEMPLATES,
    TEMPLATES,
    chat_template,
    possible_settings,
    settings,
    template_text,
)
from starfreight.recipe import Recipe, validate_recipe


def _recipe(**package: object) -> Recipe:
    return validate_recipe(
        {
            "version": 1,
            "name": "t",
            "base": {"model": "builtin:starter"},
            "data": [{"source": "./x.jsonl", "format": "instruct"}],
            "package": package,
        },
        "recipe",
    )


def test_auto_follows_the_format_of_the_data() -> None:
    assert template_text(_recipe()) == TEMPLATES["instruct"]
    assert template_text(_recipe(template="completion")) == TEMPLATES["completion"]
    assert template_text(_recipe(template="{{ .Prompt }}!")) == "{{ .Prompt }}!"


@pytest.mark.parametrize(
    ("context", "window", "num_ctx"),
    [(16384, 4096, 4096), (16384, None, 16384), (1024, 4096, 1024)],
)
def test_the_context_is_the_models_or_its_sliding_window(
    context: int, window: int | None, num_ctx: int
) -> None:
    assert settings(_recipe(), "starcoder2", context, window)["num_ctx"] == num_ctx
    own = _recipe(parameters={"num_ctx": 512})
    assert settings(own, "starcoder2", context, window)["num_ctx"] == 512


def test_parameters_ship_as_ollama_expects_them() -> None:
    recipe = _recipe(parameters={"stop": "###", "top_k": 40.0, "temperature": 0, "mirostat": 1})
    shipped = settings(recipe, "starcoder2", 1024)
    assert canonical_json(dict(shipped)) == b'{"num_ctx":1024,"stop":["###"],"temperature":0,"top_k":40}'


def test_parameters_of_an_earlier_version_are_possible() -> None:
    recipe = _recipe(parameters={"temprature": 1})
    current, earlier = possible_settings(recipe, "starcoder2", 16384, 8192)
    assert (current["num_ctx"], earlier["num_ctx"]) == (8192, 4096)
    assert "temprature" in earlier
    for impossible in (0, -1, 16385, True, 4096.0, "4096", None):
        current, _ = possible_settings(recipe, "starcoder2", 16384, impossible)
        assert current["num_ctx"] == 16384


def test_a_chat_template_is_the_built_in_one_or_the_recipes() -> None:
    assert chat_template(_recipe()) == CHAT_TEMPLATES["instruct"]
    assert chat_template(_recipe(template="completion")) is None
    assert chat_template(_recipe(template="{{ .Prompt }}!")) is None
    own = _recipe(template="{{ .Prompt }}!", chat_template="{{ messages[0].content }}!")
    assert chat_template(own) == "{{ messages[0].content }}!"


@pytest.mark.parametrize("text", ["{{ messages", "{% for m in messages %}", "{{ x |", "{% nonsense %}"])
def test_a_chat_template_that_is_not_jinja_is_refused_with_its_line(text: str) -> None:
    with pytest.raises(RecipeError, match=r"package.chat_template'.* not a Jinja template: line 1"):
        _recipe(chat_template=text)


def test_a_deeply_nested_chat_template_is_refused() -> None:
    with pytest.raises(RecipeError, match="not a Jinja template"):
        _recipe(chat_template="{{ " + "(" * 20_000 + "1" + ")" * 20_000 + " }}")


def test_a_base_shared_by_packages_has_no_chat_template_of_one() -> None:
    with pytest.raises(RecipeError, match="both ship: adapter and chat_template"):
        _recipe(chat_template="x", ship="adapter")


@pytest.mark.parametrize("architecture", ["starcoder2", "starcoder"])
def test_generation_stops_at_the_end_of_text_and_at_every_mark(architecture: str) -> None:
    stops = settings(_recipe(), architecture, 1024)["stop"]
    assert isinstance(stops, tuple)
    assert {"<|endoftext|>", "<fim_prefix>", "<fim_suffix>", "<fim_middle>"} <= set(stops)


def test_the_stops_of_starcoder2_are_single_tokens_of_its_vocabulary() -> None:
    import json

    added = {
        t["content"]
        for t in json.loads((Path(STARTER_FOLDER) / "tokenizer.json").read_text())["added_tokens"]
    }
    stops = settings(_recipe(), "starcoder2", 1024)["stop"]
    assert isinstance(stops, tuple) and set(stops) <= added
