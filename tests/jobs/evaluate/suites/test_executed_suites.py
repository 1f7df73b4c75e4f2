"""The suites' own solutions pass all tests; spoilt ones pass none."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from starfreight.errors import InputError
from starfreight.jobs.evaluate.suites.humaneval import HumanEval
from starfreight.jobs.evaluate.suites.infilling import HumanEvalInfilling
from starfreight.jobs.evaluate.suites.interface import CompletionSuite, Preparation, Problem, SkippedSuite

Score = Mapping[str, float]
Run = Callable[[CompletionSuite, Sequence[Problem], Callable[[Problem], str]], dict[str, Score]]
Prepare = Callable[..., Preparation]


def passed(scores: Mapping[str, Score]) -> list[str]:
    return [name for name, score in scores.items() if score["passed"]]


def failed(scores: Mapping[str, Score]) -> list[str]:
    return [name for name, score in scores.items() if not score["passed"]]


@pytest.fixture(scope="module")
def humaneval(preparation: Prepare) -> Sequence[Problem]:
    found = HumanEval().prepare(preparation())
    assert (found.license, len(found.problems)) == ("MIT", 164)
    json.dumps(list(found.problems))
    return found.problems


def test_humaneval_solutions_pass(run_suite: Run, humaneval: Sequence[Problem]) -> None:
    suite = HumanEval()
    scores = run_suite(suite, humaneval, lambda problem: problem["expected"])
    assert failed(scores) == []
    measured = suite.summarize(humaneval, {name: [score] for name, score in scores.items()})
    (figure,) = measured.figures
    assert (figure.name, figure.value, figure.items, figure.method) == ("pass@1", 1.0, 164, "wilson")
    assert measured.settings == {"outcomes": {"passed": 164}, "form": "completion"}


def test_humaneval_solutions_with_a_broken_token_fail(run_suite: Run, humaneval: Sequence[Problem]) -> None:
    scores = run_suite(
        HumanEval(), humaneval, lambda problem: problem["expected"].replace("return", "retrun")
    )
    assert passed(scores) == []
    assert (
        HumanEval().summarize(humaneval, {name: [each] for name, each in scores.items()}).figures[0].value
        == 0
    )


def test_humaneval_empty_completions_fail(run_suite: Run, humaneval: Sequence[Problem]) -> None:
    scores = run_suite(HumanEval(), humaneval, lambda problem: "")
    assert passed(scores) == []
    assert all(score["failed"] == 1 for score in scores.values())


def test_infilling_middles_pass(run_suite: Run, infilling_data: Path, preparation: Prepare) -> None:
    suite = HumanEvalInfilling()
    path = infilling_data / "HumanEval-SingleLineInfilling.jsonl.gz"
    problems = suite.prepare(preparation(file=str(path))).problems
    assert (len(problems), len({problem["problem"] for problem in problems})) == (1033, 164)
    if "STARFREIGHT_ALL_PROBLEMS" not in os.environ:
        problems = problems[::6]
    scores = run_suite(suite, problems, lambda problem: problem["expected"].rstrip("\n"))
    assert failed(scores) == []
    figure = suite.summarize(problems, {name: [score] for name, score in scores.items()}).figures[0]
    assert (figure.items, figure.high, figure.method) == (len(problems), 1.0, "wilson")
    assert figure.problems == len({problem["problem"] for problem in problems})


def test_infilling_random_spans_pass(run_suite: Run, infilling_data: Path, preparation: Prepare) -> None:
    suite = HumanEvalInfilling()
    path = infilling_data / "HumanEval-RandomSpanInfillingLight.jsonl.gz"
    problems = suite.prepare(preparation(file=path.name, folder=infilling_data)).problems[::2]
    assert failed(run_suite(suite, problems, lambda problem: problem["expected"])) == []
    assert passed(run_suite(suite, problems, lambda problem: problem["expected"] + " ! ")) == []


def test_infilling_reads_a_directory_of_files(infilling_data: Path, preparation: Prepare) -> None:
    problems = HumanEvalInfilling().prepare(preparation(file=str(infilling_data))).problems
    kinds = [problem["kind"] for problem in problems]
    assert {kind: kinds.count(kind) for kind in set(kinds)} == {
        "single-line": 1033, "multi-line": 5815, "random-span": 1640 + 164,
    }  # fmt: skip


def test_infilling_without_a_file_is_skipped(preparation: Prepare) -> None:
    with pytest.raises(SkippedSuite, match="set its `file`"):
        HumanEvalInfilling().prepare(preparation())


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
        (b"\xef\xbb\xbf" + json.dumps(ROW).encode() + b"\r\n", None),
        (json.dumps(ROW).encode() + b"\n" + json.dumps({**ROW, "prompt": "x"}).encode(), "Two problems have"),
        (json.dumps({**ROW, "entry_point": ""}).encode(), "is not valid in Python"),
        (b"[1]\n", "not a JSON object"),
        (b"{", "not valid JSON"),
        (json.dumps({**ROW, "test": 3}).encode(), "no text at 'test'"),
        (json.dumps({**ROW, "task_id": "mbpp/3"}).encode(), "not one of HumanEval-Infilling"),
        (b'{"a": "' + b"x" * (1 << 20) + b'"}', "longer than 1 MiB"),
        (b"\xff\xfe{}", "not valid JSON"),
    ],
)
def test_a_file_of_problems_is_read_or_refused(
    tmp_path: Path, preparation: Prepare, content: bytes, words: str | None
) -> None:
    path = tmp_path / "problems.jsonl.gz"
    path.write_bytes(gzip.compress(content))
    if words is None:
        found = HumanEvalInfilling().prepare(preparation(file=str(path)))
        assert len(found.problems) == content.count(b"task_id")
    else:
        with pytest.raises(InputError, match=words):
            HumanEvalInfilling().prepare(preparation(file=str(path)))
