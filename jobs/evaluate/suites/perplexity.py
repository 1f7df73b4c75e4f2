"""The perplexity of held-out files: how well the model predicts code that it has not seen.

Each file is a text of its own, with the beginning token before it if the model has one, so that each token
counts once. A file that is longer than the context is read in windows that overlap by half: a token of a
later window has at least half a window before it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from starfreight.evaluation import Figure
from starfreight.files import read_json, write_json
from starfreight.gguf.logits import Logits, context_of
from starfreight.jobs.evaluate.suites.held_out_texts import prepare_texts
from starfreight.jobs.evaluate.suites.interface import (
    Machinery,
    Measured,
    Preparation,
    PreparedSuite,
    Problem,
    SkippedSuite,
)
from starfreight.jobs.evaluate.suites.ratio_figure import ratio_figure

CONTEXT = 2048
"""Longest window in tokens; shorter for a model with a shorter context."""

_MOST_FILES = 200
_LIMIT = 64 << 20
_BIT = math.log(2)
"""In nats."""

_SECONDS = 2.0
"""Between two writes of the finished files."""


class PerplexitySuite:
    """Perplexity and bits per byte of held-out files, as a whole and by language."""

    name = "perplexity"

    def prepare(self, preparation: Preparation) -> PreparedSuite:
        """Takes the held-out files, 200 at random unless the user sets a limit."""
        return prepare_texts(preparation, _MOST_FILES)

    def measure(self, problems: Sequence[Problem], machinery: Machinery) -> Measured:
        """Measures each file; finished files are kept in the scratch directory."""
        if machinery.gguf is None:
            raise SkippedSuite("it needs the model's file; a server gives no probabilities of a whole text")
        context = min(CONTEXT, context_of(machinery.gguf))
        if context < 2:
            raise SkippedSuite("the model's context is too short")
        settings = {"context": context, "stride": context - context // 2}
        path = machinery.scratch / f"files-{context}.json"
        done: dict[str, dict[str, float]] = {}
        if path.exists():
            done = read_json(path, _LIMIT, "list of finished files")
        machinery.advance(sum(problem["id"] in done for problem in problems))
        left = [problem for problem in problems if problem["id"] not in done]
        if left:
            try:
                _measure_files(left, machinery.gguf, context, machinery, path, done)
            finally:
                write_json(path, done, below=machinery.scratch)
        return _measured([each for each in problems if done[each["id"]]["tokens"]], done, settings)


def windows(length: int, context: int) -> Iterator[tuple[range, int]]:
    """Yield the windows of a text, each with the first of its tokens that counts.

    Args:
        length: of the text in tokens; the first is only read.
        context: length of a window, 2 or more.
    """
    first = 1
    while first < length:
        start = 0 if first == 1 else first - context // 2
        end = min(start + context, length)
        yield range(start, end), first
        first = end


def _measure_files(
    problems: Sequence[Problem],
    gguf: Path,
    context: int,
    machinery: Machinery,
    path: Path,
    done: dict[str, dict[str, float]],
) -> None:
    saved = time.monotonic()
    with Logits(gguf, adapter=machinery.adapter, context=context, threads=machinery.threads) as model:
        for problem in problems:
            done[problem["id"]] = _measure(problem["text"], model, machinery)
            machinery.advance(1)
            if time.monotonic() - saved > _SECONDS:
                write_json(path, done, below=machinery.scratch)
                saved = time.monotonic()


def _measure(text: str, model: Logits, machinery: Machinery) -> dict[str, float]:
    tokens = model.tokenize(text)
    size = len(text.encode())
    if model.begin is not None:
        tokens.insert(0, model.begin)
    elif tokens:
        size -= int(model.token_lengths()[tokens[0]])
    nats, count = 0.0, 0
    for window, first in windows(len(tokens), model.context):
        machinery.check()
        losses = model.losses(tokens[window.start : window.stop], first - window.start)
        if not np.isfinite(losses).all():
            raise SkippedSuite("the model computes numbers that are not finite")
        nats += float(losses.sum())
        count += len(losses)
    return {"nats": nats, "tokens": count, "bytes": size}


def _measured(
    problems: Sequence[Problem], done: Mapping[str, Mapping[str, float]], settings: Mapping[str, object]
) -> Measured:
    if not problems:
        raise SkippedSuite("the held-out files hold no text")
    figures = _figures(problems, done, "")
    languages = sorted({problem["language"] for problem in problems})
    for language in languages if len(languages) > 1 else ():
        figures += _figures([each for each in problems if each["language"] == language], done, language)
    totals = {key: int(sum(done[each["id"]][key] for each in problems)) for key in ("tokens", "bytes")}
    return Measured(
        figures=figures,
        scores={
            figure: {each["id"]: _ratio(done[each["id"]], size, unit) for each in problems}
            for figure, size, unit in (("nats_per_token", "tokens", 1.0), ("bits_per_byte", "bytes", _BIT))
        },
        settings={**settings, "outcomes": totals},
    )


def _ratio(found: Mapping[str, float], size: str, unit: float) -> float:
    return found["nats"] / unit / found[size]


def _figures(problems: Sequence[Problem], done: Mapping[str, Mapping[str, float]], part: str) -> list[Figure]:
    names = [problem["id"] for problem in problems]
    nats, tokens, size = (
        np.array([done[name][key] for name in names], dtype=np.float64) for key in ("nats", "tokens", "bytes")
    )
    return [
        ratio_figure("perplexity", nats, tokens, names, convert=np.exp, part=part),
        ratio_figure("nats_per_token", nats, tokens, names, part=part, unit="nats"),
        ratio_figure("bits_per_byte", nats / _BIT, size, names, part=part, unit="bits"),
    ]
