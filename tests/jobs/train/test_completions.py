"""Completions of held-out places, before and after training."""

from __future__ import annotations

import html
import json
import random
from pathlib import Path
from typing import Any

import pytest

from starfreight.base_model import STARTER_FOLDER
from starfreight.jobs.data.encoder import Encoder
from starfreight.jobs.data.fim import arrange
from starfreight.jobs.data.formats import Probe
from starfreight.jobs.data.formats.repository import RepositoryFormat
from starfreight.jobs.data.sources.interface import Sample
from starfreight.jobs.report.page import Completion, write_page
from starfreight.jobs.train.completions import (
    COMPLETIONS_FILE,
    Completions,
    PlaceCompletion,
    complete_places,
)
from starfreight.recipe import Data

torch = pytest.importorskip("torch")

TEXTS = [(f"def f{number}(x):\n    y = ", f"x + {number}", "\n    return y\n") for number in range(7)]


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return Encoder(STARTER_FOLDER)


@pytest.fixture(scope="module")
def model() -> Any:
    """The starter with an adapter that changes its answers."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.set_num_threads(1)
    torch.manual_seed(1)
    base = AutoModelForCausalLM.from_pretrained(STARTER_FOLDER, dtype=torch.float32)
    base.config.use_cache = False
    config = LoraConfig(r=4, target_modules=["q_proj", "c_fc"], init_lora_weights=False, lora_dropout=0.5)
    return get_peft_model(base, config)


def probe(encoder: Encoder, prefix: str, middle: str, suffix: str) -> Probe:
    ids = arrange(*(encoder.encode(text) for text in (prefix, middle, suffix)), encoder.fim, spm=False)
    return Probe(ids, len(ids) - 1 - len(encoder.encode(middle)))


def test_three_places_are_completed_as_generate_does(model: Any, encoder: Encoder) -> None:
    model.train()
    probes = [probe(encoder, *text) for text in TEXTS]
    found = complete_places(model, probes, encoder)
    assert found is not None and model.training
    assert [(each.prefix, each.expected, each.suffix) for each in found.places] == [
        TEXTS[0],
        TEXTS[2],
        TEXTS[4],
    ]
    model.eval()
    for place, number in zip(found.places, (0, 2, 4), strict=True):
        prompt = torch.tensor([probes[number].ids[: probes[number].start]])

        def generated(prompt: Any = prompt) -> str:
            made = model.generate(input_ids=prompt, do_sample=False, max_new_tokens=40, use_cache=True)
            return encoder.decode(made[0, prompt.shape[1] :].tolist()).split("<|endoftext|>")[0]

        assert place.after == generated()
        with model.disable_adapter():
            assert place.before == generated()
    assert any(each.before != each.after for each in found.places)


def test_a_place_in_a_repository_is_shown_without_the_other_files(model: Any, encoder: Encoder) -> None:
    form = RepositoryFormat(Data(source="x", format="repository"), encoder, 1024)
    texts = {"lib.py": "def add(a, b):\n    return a + b\n", "main.py": "import lib\n\nx = lib.add(1, 2)\n"}
    samples = [Sample(name, text, "sha256:0", 1, name, "acme") for name, text in texts.items()]
    found = complete_places(model, list(form.probes(samples, random.Random(3))), encoder)
    assert found is not None
    (place,) = found.places
    assert place.prefix.startswith("main.py\n")
    assert (place.prefix + place.expected + place.suffix).endswith(texts["main.py"])
    assert "<" not in place.prefix + place.suffix + place.expected and "lib.py" not in place.prefix


def test_time_and_length_are_bounded(model: Any, encoder: Encoder) -> None:
    short, long = probe(encoder, *TEXTS[0]), probe(encoder, "x = 1\n" * 2000, "y", "z")
    assert complete_places(model, [short], encoder, seconds=0) is None
    assert complete_places(model, [long], encoder) is None
    assert complete_places(model, [], encoder) is None


def test_only_the_lines_around_a_place_are_kept(model: Any, encoder: Encoder) -> None:
    lines = "".join(f"a = {number}\n" for number in range(30))
    found = complete_places(model, [probe(encoder, lines, "b", "\n" + lines)], encoder)
    assert found is not None
    assert found.places[0].prefix.splitlines()[0] == "a = 22"
    assert found.places[0].suffix.splitlines() == ["", "a = 0", "a = 1", "a = 2"]


def test_the_file_is_read_as_it_was_written_and_a_damaged_one_is_left_out(tmp_path: Path) -> None:
    place = PlaceCompletion(prefix="a", suffix="b", expected="c", before="d", after="e\ud7ff")
    made = Completions(version=1, places=(place,))
    made.save(tmp_path)
    assert Completions.load(tmp_path) == made
    path = tmp_path / COMPLETIONS_FILE
    good = json.loads(path.read_text())
    for bad in (
        "", "[]", "{", json.dumps({**good, "more": 1}), json.dumps({**good, "version": 9}),
        json.dumps({**good, "places": [{**good["places"][0], "after": 3}]}), "[" * 100_000,
        json.dumps({**good, "places": good["places"] * 17}), " " * (2 << 20),
        json.dumps({**good, "places": [{**good["places"][0], "after": "x" * 20_001}]}),
    ):  # fmt: skip
        path.write_text(bad)
        assert Completions.load(tmp_path) is None
    path.unlink()
    assert Completions.load(tmp_path) is None


def test_the_page_escapes_what_models_and_files_hold(tmp_path: Path) -> None:
    text = '\n</pre><script>alert("x")</script>{{ 7 }}&amp;'
    write_page(tmp_path / "p.html", "t", "s", [], {}, [Completion(text, text, text, text, "<b>after</b>")])
    page = (tmp_path / "p.html").read_text()
    assert "<script" not in page and "<b>" not in page
    assert page.count("<mark>") == 3
    assert html.unescape(page).count(text) == 8
    assert "Completions of held-out places" in page
    write_page(tmp_path / "q.html", "t", "s", [], {})
    assert "Completions" not in (tmp_path / "q.html").read_text()
