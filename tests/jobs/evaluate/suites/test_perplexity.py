"""The suite ``perplexity``: each token of each file counts once."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from starfreight.base_model import STARTER_FOLDER
from starfreight.console import Console
from starfreight.errors import InputError, JobStopped
from starfreight.gguf.logits import Logits
from starfreight.jobs.evaluate.suites.interface import (
    HeldOut,
    HeldOutFile,
    Machinery,
    Preparation,
    SkippedSuite,
    SuiteOptions,
)
from starfreight.jobs.evaluate.suites.perplexity import PerplexitySuite, windows
from starfreight.packager.press import PressRequest, press

TEXT = (Path(__file__).parents[1] / "golden" / "held-out.txt").read_text()
FILES = (
    ("Python", TEXT[:5000]),
    ("Python", ""),
    ("Go", "x"),
    ("Go", TEXT[5000:6000]),
    ("C", TEXT[6000:7000]),
)


@pytest.fixture(scope="module")
def gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The starter's file, trained on a context of 1,024."""
    pytest.importorskip("xllamacpp")
    out = tmp_path_factory.mktemp("starter")
    return press(PressRequest(STARTER_FOLDER, None, ("F32",), out, "starter"), Console(quiet=True))[0].path


@pytest.fixture
def machinery(gguf: Path, tmp_path: Path) -> Machinery:
    """Of a job."""

    def unused(*_: object) -> None:
        raise AssertionError("the suite needs no server and no sandbox")

    return Machinery(
        options=SuiteOptions(),
        model=unused,  # type: ignore[arg-type]
        gguf=gguf,
        adapter=None,
        reference=None,
        threads=1,
        sandbox=unused,  # type: ignore[arg-type]
        scratch=tmp_path,
        check=lambda: None,
        advance=lambda amount, what=None: None,
    )


def _problems(*files: tuple[str, str]) -> list[Mapping[str, str]]:
    held_out = HeldOut(
        "held-out files",
        None,
        tuple(HeldOutFile(f"0/{n}", "r", f"{n}", language, text) for n, (language, text) in enumerate(files)),
        lambda name: [],
    )
    preparation = Preparation(Path(), SuiteOptions(), lambda: held_out, Console(quiet=True))
    return list(PerplexitySuite().prepare(preparation).problems)


@pytest.mark.parametrize("context", [2, 3, 7, 32, 1000])
@pytest.mark.parametrize("length", [0, 1, 2, 3, 31, 32, 33, 500])
def test_each_token_but_the_first_counts_once_after_half_a_window(length: int, context: int) -> None:
    counted: list[int] = []
    for window, first in windows(length, context):
        assert 0 <= window.start < first < window.stop <= length
        assert len(window) <= context
        assert first == 1 or first - window.start == context // 2
        counted += range(first, window.stop)
    assert counted == list(range(1, length))


def test_perplexity_equals_that_of_transformers(machinery: Machinery) -> None:
    import torch
    from tokenizers import Tokenizer
    from transformers import AutoModelForCausalLM

    torch.set_num_threads(1)
    model = AutoModelForCausalLM.from_pretrained(STARTER_FOLDER, dtype=torch.float32).eval()
    tokens = [0, *Tokenizer.from_file(str(STARTER_FOLDER / "tokenizer.json")).encode(TEXT[:6000]).ids]
    assert 1024 < len(tokens) < 1536 * 2
    losses: list[float] = []
    for start in range(0, len(tokens), 512):
        window = tokens[start : start + 1024]
        with torch.no_grad():
            rows = model(torch.tensor([window])).logits[0].log_softmax(-1).numpy()
        first = 1 if start == 0 else 512
        losses += [-rows[place - 1, window[place]] for place in range(first, len(window))]
        if start + 1024 >= len(tokens):
            break
    assert len(losses) == len(tokens) - 1
    measured = PerplexitySuite().measure(_problems(("Python", TEXT[:6000])), machinery)
    perplexity, nats, bits = measured.figures
    assert nats.value == pytest.approx(float(np.mean(losses)), abs=1e-3)
    assert perplexity.value == pytest.approx(math.exp(nats.value))
    assert bits.value == pytest.approx(nats.value * len(losses) / math.log(2) / len(TEXT[:6000].encode()))


def test_figures_are_of_all_files_and_of_each_language(machinery: Machinery) -> None:
    advanced: list[float] = []
    measured = PerplexitySuite().measure(
        _problems(*FILES), replace(machinery, advance=lambda amount, what=None: advanced.append(amount))
    )
    figures = {(each.name, each.part): each for each in measured.figures}
    assert {part for _, part in figures} == {"", "C", "Go", "Python"}
    whole, go = figures["bits_per_byte", ""], figures["bits_per_byte", "Go"]
    assert (whole.items, whole.problems, whole.method) == (4, 4, "bootstrap")
    assert whole.low < whole.value < whole.high
    assert (go.items, figures["bits_per_byte", "C"].method) == (2, "none")
    scores = measured.scores["bits_per_byte"]
    assert scores.keys() == {"0/0", "0/2", "0/3", "0/4"}
    sizes = {"0/0": 5000, "0/2": 1, "0/3": 1000, "0/4": 1000}
    total = sum(scores[name] * size for name, size in sizes.items())
    assert whole.value == pytest.approx(total / 7001)
    assert sum(advanced) == 4
    json.dumps(measured.settings)


def test_a_resumption_gives_the_same_figures_and_repeats_nothing(
    machinery: Machinery, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite, problems, checks = PerplexitySuite(), _problems(*FILES), []

    def stop_at_the_third() -> None:
        checks.append(1)
        if len(checks) == 5:  # The first file has three windows.
            raise JobStopped("asked")

    with pytest.raises(JobStopped):
        suite.measure(problems, replace(machinery, check=stop_at_the_third))
    texts: list[str] = []
    tokenize = Logits.tokenize
    monkeypatch.setattr(Logits, "tokenize", lambda self, text: texts.append(text) or tokenize(self, text))
    resumed = suite.measure(problems, machinery)
    assert texts
    assert TEXT[:5000] not in texts
    fresh = replace(machinery, scratch=machinery.scratch / "fresh")
    fresh.scratch.mkdir()
    assert suite.measure(problems, fresh) == resumed
    texts.clear()
    assert suite.measure(problems, machinery) == resumed
    assert not texts


def test_a_model_with_a_short_context_has_short_windows(
    machinery: Machinery, make_checkpoint: Callable[..., Path], tmp_path: Path
) -> None:
    base = make_checkpoint(tmp_path / "base", hidden=64, ffn=64, layers=1, context=32)
    file = press(PressRequest(base, None, ("F16",), tmp_path / "o", "o"), Console(quiet=True))[0].path
    measured = PerplexitySuite().measure(_problems(("Python", TEXT[:500])), replace(machinery, gguf=file))
    assert measured.settings["context"] == 32
    # Random weights know nothing: the perplexity is that of a guess among 400 tokens, or worse.
    assert 300 < measured.figures[0].value < 1e5


def test_what_cannot_be_measured_is_skipped_or_an_error(machinery: Machinery, tmp_path: Path) -> None:
    suite = PerplexitySuite()
    with pytest.raises(SkippedSuite, match="server"):
        suite.measure(_problems(("Python", "x")), replace(machinery, gguf=None))
    with pytest.raises(SkippedSuite, match="empty"):
        _problems(("Python", ""))
    cut = tmp_path / "cut.gguf"
    assert machinery.gguf is not None
    cut.write_bytes(machinery.gguf.read_bytes()[:-100])
    with pytest.raises(InputError, match="cannot load"):
        suite.measure(_problems(("Python", "x")), replace(machinery, gguf=cut))
