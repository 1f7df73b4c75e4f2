"""Whole repositories, with the tokens of StarCoder 1 and 2."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from starfreight.jobs.data.encoder import Encoder
from starfreight.jobs.data.formats import Example, make_format
from starfreight.jobs.data.sources.interface import Sample
from starfreight.recipe import Data

FILES = {"app/main.py": "import app.util\n\nrun(app.util)\n", "app/util.py": "value = 1\n"}


@pytest.fixture(params=["starcoder2", "starcoder"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def encoder(kind: str, bases: Mapping[str, Path]) -> Encoder:
    return Encoder(bases[kind])


@pytest.fixture
def samples(make_sample: Callable[..., Sample]) -> list[Sample]:
    return [make_sample(text, path, "me/app") for path, text in FILES.items()]


def texts(
    encoder: Encoder,
    samples: list[Sample],
    length: int = 512,
    seed: int = 0,
    fim: Mapping[str, Any] | None = None,
    **rates: float,
) -> list[str]:
    rules = {"metadata_rate": 1.0, "fim_rate": 0.0, "file_fim_rate": 1.0, **rates}
    data = Data.model_validate({"source": "x", "format": "repository", "repository": rules, "fim": fim or {}})
    made = list(make_format(data, encoder, length).examples(samples, random.Random(seed)))
    examples = [each for each in made if isinstance(each, Example)]
    assert all(len(example.ids) <= length and example.labels == example.ids for example in examples)
    return [encoder.decode(example.ids) for example in examples]


def test_files_stand_in_the_order_of_their_imports_with_names_and_paths(
    encoder: Encoder, samples: list[Sample], kind: str
) -> None:
    (text,) = texts(encoder, samples)
    name, file = {"starcoder2": ("<repo_name>", "<file_sep>"), "starcoder": ("<reponame>", "<filename>")}[
        kind
    ]
    assert text == (
        f"{name}me/app{file}app/util.py\nvalue = 1\n{file}app/main.py\n{FILES['app/main.py']}<|endoftext|>"
    )


def test_without_names_files_are_set_apart_as_each_model_knows_it(
    encoder: Encoder, samples: list[Sample], kind: str
) -> None:
    (text,) = texts(encoder, samples, metadata_rate=0)
    first, second = FILES["app/util.py"], FILES["app/main.py"]
    assert (
        text
        == {
            "starcoder2": f"<file_sep>{first}<file_sep>{second}<|endoftext|>",
            "starcoder": f"{first}<|endoftext|>{second}<|endoftext|>",
        }[kind]
    )


def test_the_path_of_a_file_that_is_cut_stands_inside_its_prefix(
    encoder: Encoder, samples: list[Sample], kind: str
) -> None:
    (text,) = texts(encoder, samples, fim_rate=1, fim={"spm_rate": 0, "line_rate": 1, "node_rate": 0})
    begin = {
        "starcoder2": "<file_sep><fim_prefix>app/util.py\n",
        "starcoder": "<fim_prefix><filename>app/util.py\n",
    }[kind]
    after = {
        "starcoder2": "<file_sep><fim_prefix>app/main.py\n",
        "starcoder": "<fim_prefix><filename>app/main.py\n",
    }[kind]
    _, rest = text.split(begin)
    cut, rest = rest.split(after)
    prefix, cut = cut.split("<fim_suffix>")
    suffix, middle = cut.split("<fim_middle>")
    assert prefix + middle + suffix == FILES["app/util.py"]
    assert rest.count("<fim_middle>") == 1
    assert rest.endswith("<|endoftext|>")
    (text,) = texts(encoder, samples, fim_rate=1, fim={"spm_rate": 1, "line_rate": 1, "node_rate": 0})
    assert "<fim_prefix><fim_suffix>" in text
    named = {"starcoder2": "<fim_middle>app/util.py\n", "starcoder": "<fim_middle><filename>app/util.py\n"}[
        kind
    ]
    assert named in text


def test_the_rates_of_the_recipe_are_kept(encoder: Encoder, samples: list[Sample]) -> None:
    made = [
        texts(encoder, samples, seed=seed, metadata_rate=0.5, fim_rate=0.5, file_fim_rate=0.5)[0]
        for seed in range(600)
    ]
    named = sum("me/app" in text for text in made)
    cut = [text.count("<fim_middle>") for text in made]
    assert 250 < named < 350
    assert sum(cut) / 1200 == pytest.approx(0.25, abs=0.05)
    assert sum(count == 0 for count in cut) / 600 == pytest.approx(0.625, abs=0.07)


def test_a_repository_that_is_too_long_is_read_in_windows_of_whole_files_that_begin_with_its_name(
    encoder: Encoder, make_sample: Callable[..., Sample], kind: str
) -> None:
    files = {f"f{number:02}.py": f"value_{number} = {number}\n" * 3 for number in range(12)}
    samples = [make_sample(text, path, "me/app") for path, text in files.items()]
    made = texts(encoder, samples, length=128)
    assert len(made) > 1
    name, file = {"starcoder2": ("<repo_name>", "<file_sep>"), "starcoder": ("<reponame>", "<filename>")}[
        kind
    ]
    assert all(text.startswith(f"{name}me/app{file}") for text in made)
    assert [text.endswith("<|endoftext|>") for text in made] == [False] * (len(made) - 1) + [True]
    assert all(text.endswith(file) for text in made[:-1])
    bodies = [part for text in made for part in text.removesuffix("<|endoftext|>").split(file)[1:] if part]
    assert bodies == [f"{path}\n{text}" for path, text in files.items()]


def test_a_file_that_is_too_long_is_cut_in_windows_of_lines_with_its_path(
    encoder: Encoder, make_sample: Callable[..., Sample]
) -> None:
    text = "".join(f"line_{number} = {number}\n" for number in range(100))
    made = texts(encoder, [make_sample(text, "a.py", "me/app")], length=96)
    parts = [each.split("a.py\n", 1)[1] for each in made]
    for mark in ("<|endoftext|>", "<file_sep>", "<filename>"):
        parts = [part.removesuffix(mark) for part in parts]
    assert "".join(parts) == text


def test_a_probe_asks_for_a_line_of_a_file_after_those_it_imports(
    encoder: Encoder, samples: list[Sample]
) -> None:
    form = make_format(Data(source="x", format="repository"), encoder, 512)
    (probe,) = form.probes(samples, random.Random(1))
    head, answer = encoder.decode(probe.ids[: probe.start]), encoder.decode(probe.ids[probe.start :])
    assert head.endswith("<fim_middle>")
    assert "app/util.py\nvalue = 1\n" in head
    assert answer.endswith("<|endoftext|>")
    assert "\n" not in answer
