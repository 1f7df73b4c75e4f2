"""Tests of the selection of files by patterns."""

from __future__ import annotations

import pytest

from starfreight.jobs.data.sources.text_files import is_wanted
from starfreight.recipe import Data


@pytest.mark.parametrize(
    ("include", "exclude", "path", "wanted"),
    [
        ("*.py", None, "src/money.py", True),
        ("**/*.py", None, "money.py", True),
        ("**/*.py", None, "src/deep/money.py", True),
        ("src/**/*.py", None, "src/money.py", True),
        ("src/**/*.py", None, "src/deep/money.py", True),
        ("src/**/*.py", None, "money.py", False),
        ("src/**/*.py", None, "src/money.c", False),
        ("*", "**/tests/*", "tests/test_money.py", False),
        ("*", "**/tests/*", "src/tests/test_money.py", False),
        ("*", "**/tests/*", "src/money.py", True),
    ],
)
def test_two_stars_match_any_number_of_directories_also_none(
    include: str, exclude: str | None, path: str, wanted: bool
) -> None:
    data = Data(source=".", format="fim", include=(include,), exclude=(exclude,) if exclude else ())
    assert is_wanted(path, data) == wanted
