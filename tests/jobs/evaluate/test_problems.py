"""Problems are chosen by the seed, whole source problems at a time, and read back unchanged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from starfreight.errors import InputError
from starfreight.files import sha256_bytes, write_bytes
from starfreight.jobs.evaluate.problems import as_lines, choose_problems, load_problems, problems_path

PARTS = [{"id": f"{source}/{part}", "problem": str(source)} for source in range(20) for part in range(5)]


def test_a_limit_takes_whole_source_problems_in_their_order() -> None:
    chosen = choose_problems(PARTS, 23, seed=1)
    assert len(chosen) == 23
    assert [PARTS.index(dict(each)) for each in chosen] == sorted(PARTS.index(dict(each)) for each in chosen)
    sizes = sorted(
        [each["problem"] for each in chosen].count(name) for name in {p["problem"] for p in chosen}
    )
    assert sizes == [3, 5, 5, 5, 5]


def test_the_choice_depends_on_the_seed_alone() -> None:
    assert choose_problems(PARTS, 10, 1) == choose_problems(list(PARTS), 10, 1)
    assert choose_problems(PARTS, 10, 1) != choose_problems(PARTS, 10, 2)
    assert choose_problems(PARTS, None, 1) == PARTS


def test_problems_are_read_back_unchanged(tmp_path: Path) -> None:
    problems: list[dict[str, Any]] = [
        {"id": "a", "text": "line\r\nseparators \u2028 \x85 \x0c \x00 and \u00e9"},
        {"id": "b", "text": "x" * 10_000_000},
    ]
    lines = as_lines(problems, "toy")
    write_bytes(problems_path(tmp_path, "toy"), lines)
    assert load_problems(tmp_path, "toy", sha256_bytes(lines)) == problems


def test_changed_problems_are_refused(tmp_path: Path) -> None:
    lines = as_lines([{"id": "a", "text": "x"}], "toy")
    write_bytes(problems_path(tmp_path, "toy"), lines.replace(b"x", b"y"))
    with pytest.raises(InputError, match="have changed"):
        load_problems(tmp_path, "toy", sha256_bytes(lines))
    with pytest.raises(InputError, match="cannot be read"):
        load_problems(tmp_path, "other", sha256_bytes(lines))


@pytest.mark.parametrize(
    "problems",
    [
        [{"text": "no id"}],
        [{"id": ""}],
        [{"id": 7}],
        [{"id": "x" * 501}],
        [{"id": "a"}, {"id": "a"}],
        [{"id": "a", "text": "\ud800"}],
        [{"id": "a", "text": b"bytes"}],
        [{"id": "a", "text": "x" * (17 << 20)}],
    ],
    ids=["no id", "empty id", "number", "long id", "twice", "surrogate", "bytes", "large"],
)
def test_wrong_problems_are_refused_by_name(problems: list[dict[str, Any]]) -> None:
    with pytest.raises(InputError):
        as_lines(problems, "toy")
