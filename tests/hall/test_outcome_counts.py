"""The reasons of failures are counted in words."""

from __future__ import annotations

from typing import Any

import pytest

from starfreight.commands.outcome_counts import outcomes_text


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"outcomes": {"passed": 0, "failed": 1200, "time": 1}},
         "0 passed, 1,200 failed their tests, 1 ran out of time"),
        ({"outcomes": {"passed": 3}}, "3 passed"),
        ({"outcomes": {"passed": 3, "skipped: lua": 2}}, "3 passed, 2 skipped: lua"),
        ({"outcomes": {"skipped tokens": 4}}, None),
        ({"outcomes": [1]}, None),
        ({}, None),
    ],
)  # fmt: skip
def test_outcomes_are_counted_in_words(settings: dict[str, Any], text: str | None) -> None:
    assert outcomes_text(settings) == text
