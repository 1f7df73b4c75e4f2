"""The prompt at inference is the text that training saw."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from starfreight.base_model import STARTER_FOLDER
from starfreight.jobs.data.encoder import Encoder
from starfreight.jobs.data.formats.instruct import InstructFormat
from starfreight.jobs.data.formats.interface import IGNORED, Example
from starfreight.jobs.data.sources.interface import Sample
from starfreight.packager.build.templates import TEMPLATES, settings, template_text
from starfreight.recipe import Data, Recipe, validate_recipe


def _render(template: str, **values: str) -> str:
    """The part of Go's template language that these templates use: if, else, end, fields and trimming."""
    import re

    pieces = re.split(r"(\{\{-? .*? ?-?\}\})", template)
    text, stack = "", [True]
    for piece in pieces:
        if not piece.startswith("{{"):
            text += piece if all(stack) else ""
            continue
        if piece.startswith("{{-") and all(stack):
            text = text.rstrip()
        action = piece.strip("{}-").strip()
        if action.startswith("if ."):
            stack.append(bool(values.get(action[4:])))
        elif action == "else":
            stack[-1] = not stack[-1]
        elif action == "end":
            stack.pop()
        elif all(stack):
            text += values.get(action[1:], "")
    assert stack == [True]
    return text


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


@pytest.mark.parametrize("system", ["", "You write short code."])
def test_the_instruct_template_builds_the_text_that_training_saw(system: str) -> None:
    encoder = Encoder(STARTER_FOLDER)
    messages = [{"role": "system", "content": system}] if system else []
    messages += [{"role": "user", "content": "Add two numbers."}, {"role": "assistant", "content": "a + b"}]
    form = InstructFormat(Data(source="x", format="instruct"), encoder, 512)
    sample = Sample("x", {"messages": messages}, "sha256:" + "0" * 64, 1)
    (example,) = form.examples([sample], random.Random(0))
    assert isinstance(example, Example)
    prompt = [i for i, label in zip(example.ids, example.labels, strict=True) if label == IGNORED]
    rendered = _render(TEMPLATES["instruct"], Prompt="Add two numbers.", System=system)
    assert encoder.decode(prompt) == rendered


@pytest.mark.parametrize("name", ["completion", "instruct"])
def test_a_suffix_makes_the_order_prefix_suffix_middle(name: str) -> None:
    rendered = _render(TEMPLATES[name], Prompt="before\n", Suffix="\nafter", System="ignored")
    assert rendered == "<fim_prefix>before\n<fim_suffix>\nafter<fim_middle>"


def test_without_a_suffix_the_completion_template_passes_the_prompt_on() -> None:
    assert _render(TEMPLATES["completion"], Prompt="  x = 1") == "  x = 1"


def test_auto_follows_the_format_of_the_data() -> None:
    assert template_text(_recipe()) == TEMPLATES["instruct"]
    assert template_text(_recipe(template="completion")) == TEMPLATES["completion"]
    assert template_text(_recipe(template="{{ .Prompt }}!")) == "{{ .Prompt }}!"


def test_the_context_length_stays_inside_the_sliding_window_unless_told_otherwise() -> None:
    assert settings(_recipe(), "starcoder2", 16384)["num_ctx"] == 4096
    assert settings(_recipe(), "starcoder2", 1024)["num_ctx"] == 1024
    assert settings(_recipe(parameters={"num_ctx": 8192}), "starcoder2", 16384)["num_ctx"] == 8192


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
