"""Several comparisons are corrected together, and the front is of what nothing beats."""

from __future__ import annotations

import pytest

from starfreight.jobs.report.models.figure_text import p_text, value_text
from starfreight.jobs.report.models.pareto import non_dominated
from starfreight.jobs.report.models.significance import holm


def test_holm_adjusts_as_in_the_textbook() -> None:
    found = holm({1: 0.01, 2: 0.04, 3: 0.03, 4: 0.005})
    assert found == pytest.approx({4: 0.02, 1: 0.03, 3: 0.06, 2: 0.06})
    assert holm({1: 0.9, 2: 0.8}) == {2: 1.0, 1: 1.0}
    assert holm({}) == {}


def test_the_front_has_what_nothing_beats_in_everything() -> None:
    size = {1: -8.0, 2: -5.0, 3: -6.0, 4: -5.0}
    good = {1: 0.5, 2: 0.4, 3: 0.3, 4: 0.4, 5: 0.9}
    assert non_dominated(size, good) == (1, 2, 4), "equals stay, and 5 has no size"
    assert non_dominated(size, good, {1: 1.0, 2: 1.0, 3: 9.0, 4: 2.0}) == (1, 3, 4)
    assert non_dominated({}, good) == ()


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.4123, "fraction", "41.2%"),
        (0.0, "nats", "0"),
        (0.0015, "nats", "0.00150"),
        (1234.5, "tokens/s", "1,234"),
        (2.0, "", "2.00"),
        (1e-9, "", "1e-09"),
        (1e308, "bytes", "1e+308"),
        (3_000_000, "bytes", "3.0 MB"),
    ],
)
def test_figures_have_as_many_digits_as_people_compare(value: float, unit: str, text: str) -> None:
    assert value_text(value, unit) == text


def test_small_p_values_are_bounds() -> None:
    assert (p_text(0.0), p_text(0.0312), p_text(1.0)) == ("< 0.001", "= 0.031", "= 1")
