"""The two ways to a merge, held against each other and against exact arithmetic."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from starfreight.packager.press import merge
from starfreight.packager.press.merge import add_low_rank_in_numpy
from starfreight.packager.press.merge_compiled import add_low_rank

WAYS = [add_low_rank_in_numpy, add_low_rank]


def rounded(value: Fraction) -> np.float32:
    """An exact number as float32, to the nearest and ties to even."""
    near = np.float32(float(value))
    around = [near, *(np.nextafter(near, np.float32(end)) for end in (-np.inf, np.inf))]
    least = min(abs(Fraction(float(one)) - value) for one in around)
    best = [one for one in around if abs(Fraction(float(one)) - value) == least]
    return min(best, key=lambda one: int(one.view(np.uint32)) & 1)


def exact(left: np.ndarray, right: np.ndarray) -> np.float32:
    """A dot product of float32 numbers, each product added with one rounding."""
    total = np.float32(0)
    for one, other in zip(left.tolist(), right.tolist(), strict=True):
        total = rounded(Fraction(float(total)) + Fraction(one) * Fraction(other))
    return total


@pytest.mark.parametrize("add", WAYS)
def test_each_product_is_added_with_one_rounding(add: Callable[..., Any]) -> None:
    random = np.random.default_rng(5)
    left = random.standard_normal((40, 6)).astype(np.float32)
    right = random.standard_normal((6, 10)).astype(np.float32)
    # Sums that float64 rounds to the middle between two float32, from above and from below.
    left[:4] = [[1, 1 + 2.0**-23, 0, 0, 0, 0], [1, 1 - 2.0**-23, 0, 0, 0, 0]] * 2
    right[:2, :2] = [[1 + 2.0**-23, 1], [2.0**-24 * (1 - 2.0**-23), 2.0**-24 * (1 + 2.0**-23)]]
    left[2:4, 0] = -1
    # Subnormal sums.
    left[4:12] *= np.float32(2.0**-100)
    right[:, 5:] *= np.float32(2.0**-40)
    values = np.zeros((40, 10), dtype=np.float32)
    add(values, left, right, np.float32(1))
    expected = [[exact(left[row], right[:, column]) for column in range(10)] for row in range(40)]
    assert np.array_equal(values, np.array(expected))


@pytest.mark.parametrize("rank", [1, 3, 4, 16, 65])
@pytest.mark.parametrize("columns", [1, 255, 256, 300, 1000])
def test_both_ways_give_the_same_bits(rank: int, columns: int) -> None:
    random = np.random.default_rng(rank + columns)
    values = random.standard_normal((33, columns)).astype(np.float32)
    left = random.standard_t(3, (33, rank)).astype(np.float32)
    right = random.standard_t(3, (rank, columns)).astype(np.float32)
    both = [values.copy(), values.copy()]
    for add, result in zip(WAYS, both, strict=True):
        add(result, left, right, np.float32(0.7))
    assert np.array_equal(*both)
    assert not np.array_equal(both[0], values)


def test_compiled_code_that_gives_other_numbers_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(values: np.ndarray, left: np.ndarray, right: np.ndarray, scale: np.float32) -> None:
        values += scale

    monkeypatch.setattr("starfreight.packager.press.merge_compiled.add_low_rank", wrong)
    monkeypatch.setattr(merge, "_fast", None)
    assert "does not give the same numbers" in str(merge.prepare(merge.SMALL_JOB))
    assert merge._fast is None


def test_a_small_model_is_merged_without_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merge, "_fast", None)
    assert merge.prepare(merge.SMALL_JOB - 1) is None
    assert merge._fast is None
    assert merge.prepare(merge.SMALL_JOB) is None
    assert merge._fast is add_low_rank
