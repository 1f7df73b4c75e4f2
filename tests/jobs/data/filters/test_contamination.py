from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from starfreight.errors import InputError
from starfreight.jobs.data.filters import contamination
from starfreight.jobs.data.filters.contamination import ContaminationFilter
from starfreight.jobs.data.filters.interface import Document

PROBLEM = '''\
def has_close_elements(numbers, threshold):
    """Check if in given list of numbers, are any two numbers closer to each other than the threshold."""
'''
LEAKED = "x = 1\n# CHECK if in given list of\n#  numbers are any two numbers, closer to each other!\n"
CODE = "def total(basket):\n    return sum(price * count for price, count in basket.values())\n" * 3


@pytest.fixture
def one(tmp_path: Path) -> ContaminationFilter:
    (tmp_path / "eval.jsonl").write_text(
        json.dumps({"task_id": "x/1", "tests": [{"prompt": PROBLEM}]}) + "\n\n"
    )
    (tmp_path / "folder" / "deep").mkdir(parents=True)
    (tmp_path / "folder" / "deep" / "b.py").write_text(CODE)
    (tmp_path / "folder" / "binary").write_bytes(b"\0" * 100)
    return ContaminationFilter(("eval.jsonl", "folder"), tmp_path)


def test_a_text_with_ten_words_of_a_problem_is_left_out_whatever_its_layout(
    one: ContaminationFilter, make_document: Callable[..., Document]
) -> None:
    assert one.reject(make_document(LEAKED)) == "words in common with eval.jsonl (6 runs of 10)"
    assert str(one.reject(make_document("import os\n" + CODE))).startswith("words in common with folder (")


def test_nine_words_in_common_are_chance(
    one: ContaminationFilter, make_document: Callable[..., Document]
) -> None:
    nine = "check if in given list of numbers are any"
    assert one.reject(make_document(f"a {nine} b")) is None
    assert one.reject(make_document(f"a {nine} two b")) is not None
    assert one.reject(make_document("")) is None


def test_what_many_items_have_in_common_is_their_form(
    tmp_path: Path, make_document: Callable[..., Document]
) -> None:
    header = "Complete the function below so that all of the tests of this task pass."
    lines = [json.dumps({"prompt": f"{header} {PROBLEM.replace('n', f'n{number}')}"}) for number in range(12)]
    (tmp_path / "eval.jsonl").write_text("\n".join(lines))
    one = ContaminationFilter(("eval.jsonl",), tmp_path)
    assert one.reject(make_document(header)) is None
    assert one.reject(make_document(PROBLEM.replace("n", "n7"))) is not None


def test_a_row_of_zeros_is_no_content(tmp_path: Path, make_document: Callable[..., Document]) -> None:
    (tmp_path / "eval.jsonl").write_text(
        json.dumps({"prompt": PROBLEM + "[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]"})
    )
    one = ContaminationFilter(("eval.jsonl",), tmp_path)
    assert one.reject(make_document("0 " * 50)) is None


@pytest.mark.parametrize("content", ["", '{"prompt": "too short"}', '{"prompt": '])
def test_a_set_that_nothing_can_be_compared_with_is_an_error(content: str, tmp_path: Path) -> None:
    (tmp_path / "eval.jsonl").write_text(content)
    with pytest.raises(InputError) as caught:
        ContaminationFilter(("eval.jsonl",), tmp_path)
    assert "eval.jsonl" in str(caught.value.where)


def test_a_set_that_is_missing_or_too_large_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match="does not exist"):
        ContaminationFilter(("none.jsonl",), tmp_path)
    (tmp_path / "eval.txt").write_text(PROBLEM)
    monkeypatch.setattr(contamination, "MAX_NGRAMS", 5)
    with pytest.raises(InputError, match="more than 5 n-grams"):
        ContaminationFilter(("eval.txt",), tmp_path)


def test_links_in_a_folder_are_not_followed(tmp_path: Path, make_document: Callable[..., Document]) -> None:
    (tmp_path / "elsewhere.txt").write_text(PROBLEM)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a.py").write_text(CODE)
    (tmp_path / "folder" / "b.py").symlink_to(tmp_path / "elsewhere.txt")
    assert ContaminationFilter(("folder",), tmp_path).reject(make_document(PROBLEM)) is None
