"""The suites' own solutions pass all tests; spoilt ones pass none."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from starfreight.errors import InputError
from starfreight.jobs.evaluate.python_tests import Verdict
from starfreight.jobs.evaluate.suites.humaneval import HumanEval
from starfreight.jobs.evaluate.suites.infilling import HumanEvalInfilling
from starfreight.jobs.evaluate.suites.interface import ExecutedSuite, Item

Run = Callable[[ExecutedSuite, Callable[[Item], str]], dict[str, Verdict]]


def test_humaneval_solutions_pass(run_suite: Run) -> None:
    suite = HumanEval()
    verdicts = run_suite(suite, suite.reference)
    assert len(verdicts) == 164
    assert [name for name, verdict in verdicts.items() if not verdict.passed] == []


def test_humaneval_solutions_with_a_broken_token_fail(run_suite: Run) -> None:
    suite = HumanEval()
    verdicts = run_suite(suite, lambda item: suite.reference(item).replace("return", "retrun"))
    assert [name for name, verdict in verdicts.items() if verdict.passed] == []


def test_humaneval_empty_completions_fail(run_suite: Run) -> None:
    verdicts = run_suite(HumanEval(), lambda item: "")
    assert [name for name, verdict in verdicts.items() if verdict.passed] == []
    assert {verdict.reason for verdict in verdicts.values()} == {"failed"}


def test_infilling_middles_pass(run_suite: Run, infilling_data: Path) -> None:
    suite = HumanEvalInfilling(infilling_data / "HumanEval-SingleLineInfilling.jsonl.gz")
    assert (len(suite.items), len({item.problem for item in suite.items})) == (1033, 164)
    if "STARFREIGHT_ALL_PROBLEMS" not in os.environ:
        suite.items = suite.items[::6]
    verdicts = run_suite(suite, lambda item: suite.reference(item).rstrip("\n"))
    assert [name for name, verdict in verdicts.items() if not verdict.passed] == []


def test_infilling_random_spans_pass(run_suite: Run, infilling_data: Path) -> None:
    suite = HumanEvalInfilling(infilling_data / "HumanEval-RandomSpanInfillingLight.jsonl.gz")
    assert all(verdict.passed for verdict in run_suite(suite, suite.reference).values())
    spoilt = run_suite(suite, lambda item: suite.reference(item) + " ! ")
    assert [name for name, verdict in spoilt.items() if verdict.passed] == []


ROW = {
    "task_id": "SingleLineInfilling/HumanEval/0/L0",
    "entry_point": "one",
    "prompt": "def one():\n",
    "suffix": "",
    "canonical_solution": "    return 1\n",
    "test": "def check(candidate):\n    assert candidate() == 1\n",
}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", None),
        (b"\n" + json.dumps(ROW).encode() + b"\n\n", None),
        (b"[1]\n", "not a JSON object"),
        (b"{", "not valid JSON"),
        (json.dumps({**ROW, "test": 3}).encode(), "no text at 'test'"),
        (json.dumps({**ROW, "task_id": "mbpp/3"}).encode(), "not one of HumanEval-Infilling"),
        (b'{"a": "' + b"x" * (1 << 20) + b'"}', "longer than 1 MiB"),
        (b"\xff\xfe{}", "not valid JSON"),
    ],
)
def test_a_file_of_problems_is_read_or_refused(tmp_path: Path, content: bytes, words: str | None) -> None:
    path = tmp_path / "problems.jsonl.gz"
    path.write_bytes(gzip.compress(content))
    if words is None:
        assert len(HumanEvalInfilling(path).items) == content.count(b"task_id")
    else:
        with pytest.raises(InputError, match=words):
            HumanEvalInfilling(path)
