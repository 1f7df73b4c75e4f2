"""MBPP in its three formats, from files, directories and the hub."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hub_server import COMMIT, TOKEN, HubServer
from model_properties import ModelProperties, completion_of

from starfreight.errors import InputError
from starfreight.jobs.evaluate.suites.interface import Machinery, Preparation, Problem, SkippedSuite
from starfreight.jobs.evaluate.suites.mbpp import Mbpp

Prepare = Callable[..., Preparation]
Machine = Callable[..., Machinery]

FULL: dict[str, Any] = {
    "text": "Write a function to double the numbers of a list.",
    "code": "def same(n):\r\n    return n\r\ndef double(values):\r\n    return [same(n) * 2 for n in values]",
    "task_id": 7,
    "test_setup_code": "",
    "test_list": ["assert double([1, 2]) == [2, 4]", "assert double([]) == []"],
    "challenge_test_list": [],
}
SANITIZED: dict[str, Any] = {
    "source_file": "a.ipynb",
    "task_id": 8,
    "prompt": "Write a function to find the square root.",
    "code": "def root(n):\n    return n ** 0.5\n",
    "test_imports": ["import math"],
    "test_list": ["assert math.isclose(root(4), 2)"],
}
MXEVAL: dict[str, Any] = {
    "task_id": "MBPP/9",
    "prompt": '\n\ndef add(a, b):\n  """\n  Add.\n  """\n',
    "canonical_solution": "  return a + b",
    "entry_point": "add",
    "test": "\n\ndef check(candidate):\n    assert candidate(1, 2) == 3\n",
    "language": "python",
    "description": "Add.",
}


def problems_of(path: Path, prepare: Prepare) -> list[Problem]:
    return list(Mbpp().prepare(prepare(file=path.name, folder=path.parent)).problems)


def lines(*records: object) -> bytes:
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


def passes(problem: Problem, text: str, machinery: Machinery) -> bool:
    scorer = Mbpp().open_scorer(machinery)
    try:
        return scorer.score(problem, completion_of(text))["passed"] == 1
    finally:
        scorer.close()


def test_all_formats_are_judged_by_their_tests(
    tmp_path: Path, preparation: Prepare, machinery: Machine
) -> None:
    path = tmp_path / "mbpp.jsonl.gz"
    path.write_bytes(gzip.compress(lines(FULL, SANITIZED, MXEVAL)))
    full, sanitized, mxeval = problems_of(path, preparation)
    assert [each["id"] for each in (full, sanitized, mxeval)] == ["MBPP/7", "MBPP/8", "MBPP/9"]
    assert (full["name"], sanitized["name"]) == ("double", "root")
    for problem in (full, sanitized, mxeval):
        right = problem["expected"]
        assert passes(problem, right, machinery())
        assert not passes(problem, right.replace("return", "return 5 or"), machinery())
        assert not passes(problem, "", machinery())
    request = Mbpp().request(full, ModelProperties())
    assert request.prefix.startswith('"""\nWrite a function to double') and not request.instruct
    assert FULL["test_list"][0] in request.prefix
    assert "\nassert" in request.stop


def test_models_that_instruct_are_asked(tmp_path: Path, preparation: Prepare, machinery: Machine) -> None:
    path = tmp_path / "mbpp.jsonl"
    path.write_bytes(lines(FULL, MXEVAL))
    full, mxeval = problems_of(path, preparation)
    request = Mbpp().request(full, ModelProperties(instructs=True))
    assert request.instruct and all(each in request.prefix for each in FULL["test_list"])
    assert Mbpp().request(mxeval, ModelProperties(instructs=True)).instruct
    asked = machinery(instructs=True)
    assert passes(full, f"Here:\n```python\n{full['expected']}\n```\nBye", asked)
    assert passes(mxeval, "```python\ndef add(a, b):\n    return a + b\n```", asked)


def test_a_list_and_a_table_are_read_too(tmp_path: Path, preparation: Prepare) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    listed = tmp_path / "sanitized-mbpp.json"
    listed.write_text(json.dumps([SANITIZED, FULL]))
    assert [each["id"] for each in problems_of(listed, preparation)] == ["MBPP/8", "MBPP/7"]
    table = tmp_path / "test.parquet"
    parquet.write_table(pyarrow.Table.from_pylist([{**FULL, "challenge_test_list": ["x"]}]), table)
    assert problems_of(table, preparation) == problems_of(listed, preparation)[1:]


PREPARE = """
import json, sys
from pathlib import Path
from starfreight.console import Console
from starfreight.errors import StarfreightError
from starfreight.jobs.evaluate.suites.interface import Preparation, SuiteOptions
from starfreight.jobs.evaluate.suites.mbpp import Mbpp

for given in sys.argv[1:]:
    options = SuiteOptions(file=given)
    try:
        found = Mbpp().prepare(Preparation(Path("."), options, None, Console(quiet=True)))
        print(json.dumps([found.name, [each["id"] for each in found.problems]]))
    except StarfreightError as error:
        print(json.dumps(error.what))
"""


def test_a_data_set_of_the_hub_is_read_at_its_commit(tmp_path: Path) -> None:
    files = {
        "README.md": b"---\n---\n",
        "full/test-0.jsonl": lines(FULL),
        "full/train-0.jsonl": lines(SANITIZED),
        "other/test-0.jsonl": lines({**FULL, "text": "Another."}),
    }
    wrong = ["acme/mbpp", "acme/mbpp@main", f"acme/mbpp@{COMMIT}:../..", "../x"]
    given = [f"acme/mbpp@{COMMIT}:full", f"acme/mbpp@{COMMIT}:none", f"acme/mbpp@{COMMIT}", *wrong]
    with HubServer() as hub:
        hub.datasets["acme/mbpp"] = files
        done = subprocess.run(
            [sys.executable, "-c", PREPARE, *given],
            cwd=tmp_path,
            env={
                "HF_ENDPOINT": hub.address, "HF_TOKEN": TOKEN, "HF_HOME": str(tmp_path / "hub"),
                "PATH": os.environ["PATH"], "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1",
            },
            capture_output=True,
            text=True,
            check=True,
        )  # fmt: skip
        fetched = [each for each in hub.asked if each.startswith("GET /datasets")]
    name = f"acme/mbpp at {COMMIT[:12]}"
    results = [json.loads(line) for line in done.stdout.splitlines()]
    assert results == [
        [name, ["MBPP/7"]],
        "The directory has no files of problems.",
        "Two problems have the id 'MBPP/7'.",
        *(f"There are no problems at {each!r}." for each in wrong),
    ]
    # Of the directory that was named, only its files were fetched at first.
    assert [each.rsplit("/", 2)[1] for each in fetched[:2]] == ["full", "full"]


@pytest.mark.parametrize(
    ("record", "words"),
    [
        ({**FULL, "test_list": []}, "not one of MBPP"),
        ({**FULL, "test_list": "assert"}, "not one of MBPP"),
        ({**FULL, "code": None}, "not one of MBPP"),
        ({**FULL, "code": "x = 1"}, "The tests call no function"),
        ({**FULL, "test_setup_code": 3}, "invalid setup"),
        ({**FULL, "task_id": [1]}, "not one of MBPP"),
        ({**MXEVAL, "entry_point": "f); import os; (f"}, "is not valid in Python"),
        ({"question": "Add."}, "not one of MBPP"),
        ({**MXEVAL, "language": "ruby"}, "The problem is in ruby"),
        ({**MXEVAL, "canonical_solution": None}, "no text at 'canonical_solution'"),
        ([FULL], "not a JSON object"),
        ("text", "not a JSON object"),
    ],
)
def test_a_wrong_record_is_refused(tmp_path: Path, preparation: Prepare, record: object, words: str) -> None:
    path = tmp_path / "mbpp.jsonl"
    path.write_bytes(lines(record))
    with pytest.raises(InputError, match=words) as raised:
        problems_of(path, preparation)
    assert "None" not in str(raised.value.where)


def test_two_versions_of_a_problem_are_refused(tmp_path: Path, preparation: Prepare) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/a.jsonl").write_bytes(lines(FULL))
    (tmp_path / "data/b.jsonl").write_bytes(lines({**FULL, "text": "Another."}))
    with pytest.raises(InputError, match="Two problems have the id 'MBPP/7'"):
        problems_of(tmp_path / "data", preparation)
    with pytest.raises(SkippedSuite, match="set its `file`"):
        Mbpp().prepare(preparation())


def test_tests_that_pass_objects_leave_a_problem_out(
    tmp_path: Path, preparation: Prepare, machinery: Machine
) -> None:
    record = {
        **FULL,
        "code": "class Pair:\n    a = 1\ndef first(pair):\n    return pair.a",
        "test_list": ["assert first(Pair()) == 1"],
    }
    # No code can pass tests that are not Python.
    broken = {**FULL, "task_id": 9, "test_list": [f"{FULL['test_list'][0]} ("]}
    path = tmp_path / "mbpp.jsonl"
    path.write_bytes(lines(record, SANITIZED, broken))
    problems = problems_of(path, preparation)
    scorer = Mbpp().open_scorer(machinery())
    try:
        scores = {
            each["id"]: [scorer.score(each, completion_of(text)) for text in (each["expected"], "x = 1")]
            for each in problems
        }
    finally:
        scorer.close()
    measured = Mbpp().summarize(problems, scores)
    assert measured.settings["outcomes"] == {"passed": 1, "untested": 4, "undefined": 1}
    assert measured.settings["left_out"] == ["MBPP/7", "MBPP/9"]
    assert [(figure.value, figure.items) for figure in measured.figures] == [(0.5, 1)]
