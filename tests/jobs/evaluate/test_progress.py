"""Figures of an evaluation in words."""

from __future__ import annotations

import pytest

from starfreight.evaluation import Figure
from starfreight.jobs.evaluate.progress import shown
from starfreight.packager.card.figures import figure_in_words


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.0204, "fraction", "2.0%"),
        (55_996_416, "bytes", "56.0 MB"),
        (1729.4, "tokens/s", "1,729 tokens/s"),
        (1.72, "", "1.72"),
    ],
)
def test_a_value_has_its_unit_as_people_read_it(value: float, unit: str, text: str) -> None:
    figure = Figure(
        name="x", value=value, low=value, high=value, items=1, problems=1, method="none", unit=unit
    )
    assert shown(figure) == text
    if unit == "bytes":
        assert figure_in_words(figure) == text
