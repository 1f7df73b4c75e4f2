"""Scales of charts have room for all values and round ticks."""

from __future__ import annotations

import itertools
import math

import pytest

from starfreight.pages.charts import Point, ScatterChart
from starfreight.pages.scale import make_scale


@pytest.mark.parametrize(
    "values",
    [
        [], [0.0], [5.0], [-3.0, -3.0], [0.0, 1.0], [1e-12, 2e-12], [1e12, 3e15], [-1e299, 1e299], [1e-320],
        [0.123, 0.124], [math.inf, 1.0], [math.nan, 2.0], [1e308, 1.0], [-5.0, 7.0], [1e9, 1e9 + 1e-3],
    ],
    ids=str,
)  # fmt: skip
def test_each_finite_value_has_a_place_among_few_ticks(values: list[float]) -> None:
    for zero, tight, unit in itertools.product((False, True), (False, True), ("", "fraction", "bytes")):
        scale = make_scale(values, unit, zero=zero, tight=tight)
        assert scale.low < scale.high
        for value in values:
            if abs(value) < 1e300:
                assert scale.low - 1e-9 * abs(scale.low) <= value <= scale.high + 1e-9 * abs(scale.high)
                assert 0 <= scale.place(value) <= 1
        places = [tick.place for tick in scale.ticks]
        assert 1 <= len(places) <= 9 and places == sorted(places)
        assert len({tick.text for tick in scale.ticks}) == len(places) or values == [1e9, 1e9 + 1e-3]


@pytest.mark.parametrize(
    ("values", "unit", "ticks"),
    [
        ([0.0, 1.0], "", ["0.00", "0.25", "0.50", "0.75", "1.00"]),
        ([0.1, 0.6], "fraction", ["0%", "20%", "40%", "60%"]),
        ([2e6, 16e6], "bytes", ["0 MB", "5 MB", "10 MB", "15 MB", "20 MB"]),
        ([-2.0, 2.0], "", ["-2", "-1", "0", "1", "2"]),
        ([100.0, 5000.0], "", ["0", "2,000", "4,000", "6,000"]),
    ],
)
def test_ticks_are_round_numbers_with_their_unit(values: list[float], unit: str, ticks: list[str]) -> None:
    assert [tick.text for tick in make_scale(values, unit).ticks] == ticks


def test_a_tight_scale_ends_with_its_values() -> None:
    scale = make_scale([0.0, 250.0], zero=True, tight=True)
    assert scale.high == 250 and all(tick.place <= 1 for tick in scale.ticks)
    assert all(first.place < second.place for first, second in itertools.pairwise(scale.ticks))


def test_sizes_that_are_nearly_equal_stand_together() -> None:
    sizes = (1_824_240.0, 1_824_992.0)
    points = [Point("a", "a", size, 0.5, 0.4, 0.6, True) for size in sizes]
    x = ScatterChart("t", "size", "quality", points, "bytes").x
    assert abs(x.place(sizes[0]) - x.place(sizes[1])) < 0.01
    assert 0.2 < x.place(sizes[0]) < 0.8
