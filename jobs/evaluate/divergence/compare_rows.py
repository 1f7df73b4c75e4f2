"""Two models' logits at the same places, reduced to a few numbers for each token.

llama.cpp's convention (``tools/perplexity/perplexity.cpp``): the reference's log-probabilities are rounded to
65,536 steps of the row's range, which begins at most 16 below the highest; terms with a log-probability of
-16 or less are dropped; arithmetic is float32 with sums in float64. The exact convention: log-probabilities
of the float32 logits themselves, all terms, sums in float64.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from starfreight.jobs.evaluate.suites.interface import SkippedSuite

Floats = npt.NDArray[np.float32]

TOKEN = np.dtype(
    [
        ("loss", "<f8"),
        ("reference_loss", "<f8"),
        ("divergence", "<f8"),
        ("same_top", "<u1"),
        ("llama_loss", "<f4"),
        ("llama_reference_loss", "<f4"),
        ("llama_divergence", "<f8"),
        ("llama_same_top", "<u1"),
    ]
)
"""Numbers of a token, in nats: the negative log-likelihood in both models, the KL divergence of the model
from the reference over the whole vocabulary, and 1 if both have the same most likely token. The fields
``llama_`` are those of llama.cpp's convention; zero where they were not asked for."""

Tokens = npt.NDArray[np.void]
"""Of dtype :data:`TOKEN`."""

_RANGE, _STEPS = np.float32(16), np.float32(65535)
_BLOCK = 1 << 16
"""Logits computed at once, so that they stay in the processor's cache."""


def compare_rows(
    reference: Floats, model: Floats, tokens: Sequence[int], llama: bool, pool: ThreadPoolExecutor
) -> Tokens:
    """Compare two models' logits.

    Args:
        reference: float32, shape (rows, vocabulary).
        model: the same of the other model.
        tokens: the token after each row.
        llama: true to compute the fields of llama.cpp's convention.
        pool: computes them.

    Raises:
        SkippedSuite: a model's logits are not finite.
    """
    found = np.zeros(len(tokens), TOKEN)
    after = np.asarray(tokens, dtype=np.int64)
    step = max(1, _BLOCK // reference.shape[1])

    def compare(start: int) -> None:
        part = slice(start, start + step)
        _compare(reference[part], model[part], after[part], llama, found[part])

    list(pool.map(compare, range(0, len(tokens), step)))
    return found


def _compare(
    reference: Floats, model: Floats, tokens: npt.NDArray[np.int64], llama: bool, found: Tokens
) -> None:
    rows = np.arange(len(tokens))
    highest, highest_model = _highest(reference), _highest(model)
    top, top_model = reference.argmax(1), model.argmax(1)
    below, below_model = reference - highest, model - highest_model
    weights = np.exp(below)
    total = weights.sum(1, dtype=np.float64)
    total_model = np.exp(below_model).sum(1, dtype=np.float64)
    log_total, log_total_model = np.log(total), np.log(total_model)
    found["loss"] = log_total_model - below_model[rows, tokens]
    found["reference_loss"] = log_total - below[rows, tokens]
    shift = (weights * (below - below_model)).sum(1, dtype=np.float64) / total
    found["divergence"] = shift + log_total_model - log_total
    found["same_top"] = top == top_model
    if not llama:
        return
    log_sum, log_sum_model = (each.astype(np.float32)[:, None] for each in (log_total, log_total_model))
    lowest = np.maximum(reference.min(1, keepdims=True), highest - _RANGE)
    scale = (highest - lowest) / _STEPS
    steps = reference - lowest
    steps *= np.divide(np.float32(1), scale, out=np.zeros_like(scale), where=scale > 0)
    np.rint(steps, out=steps)
    np.maximum(steps, 0, out=steps)
    top_steps = steps.argmax(1)
    steps *= scale
    steps += (lowest - highest) - log_sum
    whole = highest_model + log_sum_model
    found["llama_loss"] = whole[:, 0] - model[rows, tokens]
    found["llama_reference_loss"] = -steps[rows, tokens]
    terms = np.exp(steps)
    terms[steps <= -_RANGE] = 0
    steps -= model
    steps += whole
    terms *= steps
    found["llama_divergence"] = terms.sum(1, dtype=np.float64)
    found["llama_same_top"] = top_steps == top_model


def _highest(logits: Floats) -> Floats:
    highest: Floats = logits.max(1, keepdims=True)
    # The maximum of a row with a NaN is one.
    if not (np.isfinite(highest).all() and np.isfinite(logits.min(1)).all()):
        raise SkippedSuite("a model computes numbers that are not finite")
    return highest
