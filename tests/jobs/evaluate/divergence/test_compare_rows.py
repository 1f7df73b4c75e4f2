"""Rows of log-probabilities compared: in llama.cpp's convention, and exactly."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from starfreight.jobs.evaluate.divergence.compare_rows import compare_rows
from starfreight.jobs.evaluate.divergence.llama_table import llama_table
from starfreight.jobs.evaluate.suites.interface import SkippedSuite


def _row_as_llama_cpp(
    reference: np.ndarray, model: np.ndarray, token: int
) -> tuple[float, float, float, bool]:
    """A row in llama.cpp's convention, number by number."""
    single = np.float32

    def log_sum(row: np.ndarray) -> np.float32:
        return single(math.log(sum(float(np.exp(single(value - row.max()))) for value in row)))

    low = max(reference.min(), single(reference.max() - single(16)))
    scale = single(single(reference.max() - low) / single(65535))
    start = single(single(low - reference.max()) - log_sum(reference))
    steps = [round(float(single(value - low) / scale)) if value > low else 0 for value in reference]
    base = [single(single(scale * single(step)) + start) for step in steps]
    whole = single(model.max() + log_sum(model))
    divergence = sum(
        float(np.exp(each)) * (float(each) - float(value) + float(whole))
        for each, value in zip(base, model, strict=True)
        if each > -16
    )
    return (
        divergence,
        float(-base[token]),
        float(whole - model[token]),
        steps.index(max(steps)) == model.argmax(),
    )


def test_rows_are_compared_in_llama_cpps_convention_and_exactly() -> None:
    random = np.random.default_rng(1)
    # The widest rows are cut at -16, and have terms that are dropped.
    widths = np.array([0, 0.1, 1, 3, 10, 40], dtype=np.float32).repeat(5)[:, None]
    reference = random.standard_normal((30, 257), dtype=np.float32) * widths
    model = reference + random.standard_normal((30, 257), dtype=np.float32) * widths / 10
    tokens = random.integers(0, 257, 30).tolist()
    reference[0, 5:7] = 1.0  # The first of equal ones is the top.
    with ThreadPoolExecutor(2) as pool:
        found = compare_rows(reference, model, tokens, True, pool)
        plain = compare_rows(reference, model, tokens, False, pool)
    for row in range(1, 30):
        if widths[row] == 0:
            continue
        divergence, base, loss, same = _row_as_llama_cpp(reference[row], model[row], tokens[row])
        assert found["llama_divergence"][row] == pytest.approx(divergence, rel=1e-4, abs=2e-5)
        assert found["llama_reference_loss"][row] == pytest.approx(base, abs=3e-4)
        assert found["llama_loss"][row] == pytest.approx(loss, rel=1e-5, abs=1e-5)
        assert found["llama_same_top"][row] == same
    log_p, log_q = (
        each - np.log(np.exp(each).sum(1, keepdims=True))
        for each in (reference.astype(np.float64), model.astype(np.float64))
    )
    exact = (np.exp(log_p) * (log_p - log_q)).sum(1)
    assert found["divergence"] == pytest.approx(exact, rel=1e-4, abs=1e-6)
    assert found["loss"] == pytest.approx(-log_q[np.arange(30), tokens], rel=1e-5, abs=1e-5)
    # The two conventions differ where much was cut off.
    assert np.abs(found["llama_reference_loss"] - found["reference_loss"]).max() > 1
    for name in ("loss", "reference_loss", "divergence", "same_top"):
        assert np.array_equal(plain[name], found[name])
    assert not plain["llama_divergence"].any()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_model_that_computes_no_numbers_is_skipped(value: float) -> None:
    good = np.ones((2, 9), dtype=np.float32)
    bad = good.copy()
    bad[1, 4] = value
    with ThreadPoolExecutor(1) as pool:
        for pair in ((good, bad), (bad, good)):
            with pytest.raises(SkippedSuite, match="not finite"):
                compare_rows(*pair, [0, 1], True, pool)


def test_two_tokens_have_a_table() -> None:
    with ThreadPoolExecutor(1) as pool:
        same = np.ones((2, 9), dtype=np.float32)
        table = llama_table(compare_rows(same, same, [0, 1], True, pool))
    assert table["Mean KLD"] == (pytest.approx(0, abs=1e-6), 0.0)
