"""The description of a run's model."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from starfreight.checkpoint import open_checkpoint
from starfreight.errors import RecipeError
from starfreight.package import ModelFacts, Package
from starfreight.packager.build.describe import describe
from starfreight.packager.model_description import LicenseText, ModelDescription
from starfreight.quantization import Quantization
from starfreight.run import Run

LICENSES = (LicenseText(name="MIT", text=b"The license.\n"),)


@pytest.fixture
def describe_run(make_run: Callable[..., Path], tmp_path: Path) -> Callable[..., ModelDescription]:
    def make(*quantizations: Quantization, **package: Any) -> ModelDescription:
        folder = make_run(tmp_path, **package)
        shape = open_checkpoint(tmp_path / "base").shape
        return describe(Run.load(folder), shape, LICENSES, quantizations or (Quantization.Q8_0,))

    return make


def test_it_holds_the_runs_and_the_recipes_facts(describe_run: Callable[..., ModelDescription]) -> None:
    card = {"title": "Tiny\n coder", "url": "https://a.example", "repository": "https://b.example"}
    model = describe_run(card=card, system="Be brief.", parameters={"temperature": 0.5})
    assert (model.name, model.title, model.run) == ("tiny", "Tiny coder", "tiny-0123456789")
    assert model.created == "2026-01-02T03:14:05Z"
    assert model.base.name == "base"
    assert (model.architecture, model.context_length) == ("starcoder2", 256)
    assert model.source_url == "https://b.example"
    assert model.system == "Be brief."
    assert model.settings["temperature"] == 0.5 and model.settings["num_ctx"] == 256
    assert model.licenses == LICENSES


@pytest.mark.parametrize(
    ("made", "default"),
    [(("F16", "Q8_0"), "Q8_0"), (("F16", "Q4_0"), "F16")],
)
def test_the_default_is_the_recipes_if_it_is_made(
    made: tuple[str, ...], default: str, describe_run: Callable[..., ModelDescription]
) -> None:
    model = describe_run(*map(Quantization, made), default="Q8_0")
    assert model.default == default


def test_the_context_ends_at_the_sliding_window(make_run: Callable[..., Path], tmp_path: Path) -> None:
    run = Run.load(make_run(tmp_path))
    shape = dataclasses.replace(open_checkpoint(tmp_path / "base").shape, sliding_window=128)
    model = describe(run, shape, LICENSES, (Quantization.Q8_0,))
    assert (model.context_length, model.settings["num_ctx"]) == (256, 128)


@pytest.mark.parametrize(
    ("parameters", "what"),
    [
        ({"temprature": 1}, "no parameter 'temprature'"),
        ({"num_ctx": "8k"}, "'8k'"),
        ({"num_ctx": 257}, "256"),
    ],
)
def test_parameters_that_ollama_does_not_take_are_refused(
    parameters: dict[str, object], what: str, describe_run: Callable[..., ModelDescription]
) -> None:
    with pytest.raises(RecipeError, match=what):
        describe_run(parameters=parameters)


def test_a_title_of_blanks_is_refused_with_the_field(describe_run: Callable[..., ModelDescription]) -> None:
    with pytest.raises(RecipeError, match="cannot be described") as refused:
        describe_run(card={"title": " \n "})
    assert refused.value.where == "the model's title, from run tiny-0123456789"


def test_a_new_fact_is_one_of_the_record_without_more_ado(
    describe_run: Callable[..., ModelDescription],
) -> None:
    """``facts`` is everything that a record has in common with a description."""
    model = describe_run()
    assert set(model.facts()) == set(ModelFacts.model_fields) < set(Package.model_fields)
    assert all(model.facts()[name] == getattr(model, name) for name in ModelFacts.model_fields)
