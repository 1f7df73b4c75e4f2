"""Comparison of completions."""

from __future__ import annotations

import random

import pytest

from starfreight.jobs.evaluate.suites.text_similarity import comparable, edit_distance, edit_similarity


def table_distance(one: str, other: str) -> int:
    """Levenshtein's distance by the whole table."""
    row = list(range(len(other) + 1))
    for number, left in enumerate(one, 1):
        new = [number]
        for place, right in enumerate(other, 1):
            new.append(min(row[place] + 1, new[-1] + 1, row[place - 1] + (left != right)))
        row = new
    return row[-1]


def test_the_distance_is_that_of_the_whole_table() -> None:
    rng = random.Random(0)
    for _ in range(400):
        one, other = ("".join(rng.choice("ab é🙂\n") for _ in range(rng.randrange(70))) for _ in range(2))
        assert edit_distance(one, other) == table_distance(one, other)


@pytest.mark.parametrize(
    ("one", "other", "similarity"),
    [
        ("", "", 1.0),
        ("", "abc", 0.0),
        ("abc", "abc", 1.0),
        ("kitten", "sitting", 1 - 3 / 7),
        ("ab", "cd", 0.0),
    ],
)
def test_the_similarity_is_one_minus_the_distance_over_the_longer_length(
    one: str, other: str, similarity: float
) -> None:
    assert edit_similarity(one, other) == pytest.approx(similarity)
    assert edit_similarity(other, one) == pytest.approx(similarity)


def test_an_endless_completion_is_compared_quickly() -> None:
    assert 0 <= edit_similarity("x = 1", "y" * 10_000_000) < 0.01


def test_only_white_space_at_the_ends_of_lines_does_not_count() -> None:
    assert comparable("a  \r\nb\t\n\n") == "a\nb"
    assert comparable("  a") == "  a"
    assert comparable("a b") != comparable("a  b")
    assert comparable("") == ""
