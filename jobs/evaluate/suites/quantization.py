"""The loss by quantization: a model beside its reference in 16 bits, on held-out files.

The files are joined with a line feed between them, tokenized as one text and cut into windows of 512 tokens,
as ``llama-perplexity --kl-divergence`` does with a text file. Both models run side by side, window by window.

Figures are in llama.cpp's own convention (see :mod:`starfreight.jobs.evaluate.divergence.compare_rows`), in
which only the second half of each window counts. Those that end in ``_exact`` use the logits as they are, of
whole windows.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from starfreight.files import sha256_bytes
from starfreight.gguf.logits import Logits, context_of
from starfreight.jobs.evaluate.divergence.compare_rows import TOKEN, Tokens, compare_rows
from starfreight.jobs.evaluate.divergence.window_file import WindowFile
from starfreight.jobs.evaluate.suites.held_out_texts import prepare_texts
from starfreight.jobs.evaluate.suites.interface import (
    Machinery,
    Measured,
    Preparation,
    PreparedSuite,
    Problem,
    SkippedSuite,
)
from starfreight.jobs.evaluate.suites.quantization_figures import quantization_figures
from starfreight.jobs.evaluate.suites.ratio_figure import Numbers

CONTEXT = 512
"""Tokens of a window, as in llama.cpp's tool; fewer for short texts and models with a short context."""

SHORTEST = 32
"""Tokens of the shortest window."""

_MOST_FILES = 50


class QuantizationSuite:
    """KL divergence, change of p and the same top token, against the model in 16 bits."""

    name = "quantization"

    def prepare(self, preparation: Preparation) -> PreparedSuite:
        """Takes the held-out files, 50 at random unless the user sets a limit."""
        return prepare_texts(preparation, _MOST_FILES)

    def measure(self, problems: Sequence[Problem], machinery: Machinery) -> Measured:
        """Compares each window; finished windows are kept in the scratch directory."""
        gguf, reference = machinery.gguf, machinery.reference
        if gguf is None:
            raise SkippedSuite("it needs the model's file; a server gives no probabilities of a whole text")
        if reference is None:
            raise SkippedSuite(
                "it needs the model in 16 bits to compare with: name its GGUF file with --reference"
            )
        context = min(CONTEXT, context_of(gguf), context_of(reference))
        if context < SHORTEST:
            raise SkippedSuite(f"the model's context of {context} tokens is too short")
        with (
            Logits(reference, context=context, threads=machinery.threads) as first,
            Logits(gguf, adapter=machinery.adapter, context=context, threads=machinery.threads) as second,
        ):
            tokens = joint_tokens([problem["text"] for problem in problems], first, second)
            context = _window(len(tokens), context)
            ends = _ends(problems, tokens, first)
            compared = _compared(tokens, context, (first, second), machinery, ends)
        # A window counts as one of the file that the first of its counted tokens is in.
        starts = np.arange(len(compared)) * context + context // 2
        places = np.minimum(np.searchsorted(ends, starts, side="right"), len(problems) - 1)
        return quantization_figures(compared, context, [problems[place]["id"] for place in places])


def joint_tokens(texts: Sequence[str], reference: Logits, model: Logits) -> list[int]:
    """The tokens of all texts.

    Args:
        texts: joined with a line feed between them.
        reference: one model.
        model: the other.

    Raises:
        SkippedSuite: the models have different tokens.
    """
    text = "\n".join(texts)
    tokens = reference.tokenize(text, begin=True)
    if (reference.vocabulary, reference.begin) != (model.vocabulary, model.begin) or tokens != model.tokenize(
        text, begin=True
    ):
        raise SkippedSuite("the reference has other tokens than the model: it is not the model in 16 bits")
    return tokens


def compare_window(tokens: Sequence[int], models: tuple[Logits, Logits], pool: ThreadPoolExecutor) -> Tokens:
    """The numbers of the tokens of a window but its first, shape (len(tokens) - 1,).

    Args:
        tokens: of the window.
        models: the reference and the model.
        pool: compares the rows.
    """
    window = list(tokens)
    if models[0].adds_begin and models[0].begin is not None:
        window[0] = models[0].begin
    rows, half = range(len(window) - 1), len(window) // 2
    found = np.zeros(len(rows), TOKEN)
    for (start, one), (_, other) in zip(*(model.pieces(window, rows) for model in models), strict=True):
        stop = start + len(one)
        middle = min(max(half, start), stop)
        for begin, end in ((start, middle), (middle, stop)):
            part = slice(begin - start, end - start)
            found[begin:end] = compare_rows(
                one[part], other[part], window[begin + 1 : end + 1], begin >= half, pool
            )
    return found


def _window(count: int, context: int) -> int:
    """The length of windows of which a text of so many tokens has two."""
    while context > SHORTEST and count < 2 * context:
        context = max(SHORTEST, context // 2)
    if count < 2 * context:
        raise SkippedSuite(f"its {count:,} tokens of held-out text are too few; it needs {2 * context:,}")
    return context


def _ends(problems: Sequence[Problem], tokens: Sequence[int], model: Logits) -> Numbers:
    """The number of tokens up to the end of each file and the line feed after it, shape (problems,)."""
    sizes = np.array([len(problem["text"].encode()) + 1 for problem in problems])
    lengths = model.token_lengths()[np.array(tokens)]
    return np.searchsorted(np.cumsum(lengths), np.cumsum(sizes)).astype(np.float64)


def _compared(
    tokens: Sequence[int],
    context: int,
    models: tuple[Logits, Logits],
    machinery: Machinery,
    ends: Numbers,
) -> Tokens:
    """All windows, shape (windows, context - 1)."""
    assert machinery.reference is not None
    key = f"{_stamp(machinery.reference)} {sha256_bytes(np.array(tokens, dtype='<i4').tobytes())}"
    with (
        WindowFile(machinery.scratch / "windows.bin", key, context - 1) as file,
        ThreadPoolExecutor(machinery.threads) as pool,
    ):
        done = _files_in(len(file) * context, ends)
        machinery.advance(done)
        for number in range(len(file), len(tokens) // context):
            machinery.check()
            file.append(compare_window(tokens[number * context :][:context], models, pool))
            finished = _files_in(len(file) * context, ends)
            if finished > done:
                machinery.advance(finished - done)
                done = finished
        machinery.advance(len(ends) - done)
        return file.read()


def _files_in(count: int, ends: Numbers) -> int:
    """Number of files that are complete in so many tokens."""
    return int((ends <= count).sum())


def _stamp(path: Path) -> str:
    status = path.stat()
    return f"{status.st_size} {status.st_mtime_ns}"
