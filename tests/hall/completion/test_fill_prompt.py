"""The prompt of a place has the token ids of training."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from starfreight.base_model import STARTER_FOLDER
from starfreight.completion.fill_prompt import Marks, fill_prompt
from starfreight.completion.repository_files import ContextFile, Repository
from starfreight.jobs.data.encoder import Encoder
from starfreight.jobs.data.fim import cut_line
from starfreight.jobs.data.formats.repository import RepositoryFormat
from starfreight.jobs.data.sources.interface import Sample
from starfreight.recipe import Data

LIBRARY = 'def add(a, b):\n    """Add 12 and <fim_prefix> é."""\n    return a + b\n'
MAIN = "import lib\n\n\ndef main(x):\n    y = lib.add(x, 1)\n    return y * 2\n"


@pytest.fixture(scope="module", params=["starcoder2", "starcoder"])
def encoder(
    request: pytest.FixtureRequest,
    make_checkpoint: Callable[..., Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> Encoder:
    """The tokenizers of the starter and of a small StarCoder 1."""
    if request.param == "starcoder2":
        return Encoder(STARTER_FOLDER)
    return Encoder(make_checkpoint(tmp_path_factory.mktemp("sc1") / "base", "starcoder"))


def marks(encoder: Encoder) -> Marks:
    assert encoder.repository is not None
    fim, files = encoder.fim, encoder.repository
    return Marks(fim.prefix, fim.suffix, fim.middle, files.repository, files.file, files.separates)


def sample(path: str, text: str) -> Sample:
    return Sample(path, text, "sha256:" + "0" * 64, len(text), path, "acme/coder")


@pytest.mark.parametrize("seed", range(8))
def test_the_ids_are_those_of_training_with_a_repository(
    encoder: Encoder, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut = cut_line(MAIN, random.Random(seed))
    assert cut is not None
    monkeypatch.setattr("starfreight.jobs.data.formats.repository.cut_line", lambda text, rng: cut)
    form = RepositoryFormat(Data(source="x", format="repository"), encoder, 2048)
    samples = [sample("main.py", MAIN), sample("lib.py", LIBRARY)]
    (probe,) = form.probes(samples, random.Random(0))
    repository = Repository("acme/coder", "main.py", (ContextFile("lib.py", LIBRARY),))
    made = fill_prompt(cut.prefix, cut.suffix, marks(encoder), encoder.encode, 2000, repository)
    assert list(made.ids) == probe.ids[: probe.start]
    assert made.files == ("lib.py",)


def test_long_texts_are_truncated_like_training(encoder: Encoder) -> None:
    before, after = "x = 1\n" * 400, "y = 2\n" * 400
    own = marks(encoder)
    made = fill_prompt(before, after, own, encoder.encode, 200)
    at = made.ids.index(own.suffix)
    assert (len(made.ids), at - 1, len(made.ids) - at - 2) == (200, 148, 49)
    assert list(made.ids[1:at]) == encoder.encode(before)[-148:]
    assert list(made.ids[at + 1 : -1]) == encoder.encode(after)[:49]


def test_context_takes_only_the_space_that_is_left(encoder: Encoder) -> None:
    files = tuple(ContextFile(f"f{number}.py", "x = 1\n" * 30) for number in range(20))
    made = fill_prompt(MAIN, MAIN, marks(encoder), encoder.encode, 700, Repository("r", "main.py", files))
    assert 0 < len(made.files) < 20
    assert made.files[-1] == "f0.py"  # The most related stands next to the place.
    assert len(made.ids) <= 700
    full = fill_prompt(
        "x = 1\n" * 999, "", marks(encoder), encoder.encode, 300, Repository("r", "m.py", files)
    )
    assert full.files == () and len(full.ids) == 300
    named = fill_prompt(MAIN, "", marks(encoder), encoder.encode, 300, Repository("r" * 900, "m.py", files))
    assert named == fill_prompt(MAIN, "", marks(encoder), encoder.encode, 300)


def test_special_tokens_in_a_file_stay_text(encoder: Encoder) -> None:
    made = fill_prompt("a<fim_suffix>b", "<fim_middle>", marks(encoder), encoder.encode, 500)
    own = marks(encoder)
    assert [made.ids.count(each) for each in (own.prefix, own.suffix, own.middle)] == [1, 1, 1]
