"""Files of problems and tasks, and answers of models."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fuzzing import changed_bytes, changed_json, fuzz, holds
from hypothesis import given
from hypothesis import strategies as st

from starfreight.console import Console
from starfreight.jobs.evaluate.suites.completed_function import answered
from starfreight.jobs.evaluate.suites.custom import CustomTasks
from starfreight.jobs.evaluate.suites.interface import (
    CompletionSuite,
    HeldOut,
    Preparation,
    SkippedSuite,
    SuiteOptions,
)
from starfreight.jobs.evaluate.suites.mbpp import Mbpp
from starfreight.jobs.evaluate.suites.multipl_e import MultiplE

MBPP = {
    "text": "Double.", "code": "def f(n):\n    return n * 2", "task_id": 7, "test_setup_code": "",
    "test_list": ["assert f(1) == 2"], "test_imports": ["import math"],
}  # fmt: skip
HUMANEVAL = {
    "task_id": "MBPP/7", "entry_point": "f", "prompt": "def f(n):\n", "canonical_solution": "    return n",
    "test": "def check(f): pass", "language": "python",
}  # fmt: skip
MULTIPL_E = {
    "name": "HumanEval_0_f", "language": "py", "prompt": "def f(n):\n", "tests": "assert f(1)",
    "stop_tokens": ["\ndef"],
}  # fmt: skip
TASK = {
    "prefix": "def f(n):\n", "suffix_file": "after.py", "language": "python", "group": "a", "stop": ["\n"],
    "most_tokens": 3, "tests": "assert f(1)", "function": "f", "helpers": "import math",
}  # fmt: skip


def prepared(suite: CompletionSuite, folder: Path) -> None:
    def held_out() -> HeldOut:
        raise AssertionError

    preparation = Preparation(folder.parent, SuiteOptions(file=folder.name), held_out, Console(quiet=True))
    try:
        found = suite.prepare(preparation)
    except SkippedSuite:
        return
    json.dumps(list(found.problems))
    for problem in found.problems:
        suite.example(problem)


@pytest.mark.parametrize("name", ["problems.jsonl", "problems.json"])
@pytest.mark.parametrize(("suite", "record"), [(Mbpp(), MBPP), (Mbpp(), HUMANEVAL), (MultiplE(), MULTIPL_E)])
def test_records_of_problems(tmp_path: Path, suite: CompletionSuite, record: object, name: str) -> None:
    valid = [record] if name == "problems.json" else record
    path = tmp_path / name
    path.write_text(json.dumps(valid))
    prepared(suite, path)

    @fuzz
    @given(data=changed_json(valid))
    def read(data: bytes) -> None:
        path.write_bytes(data)
        holds(lambda: prepared(suite, path))

    read()


def test_tasks(tmp_path: Path) -> None:
    folder = tmp_path / "tasks"
    folder.mkdir()
    (folder / "after.py").write_text("x = 1\n")
    (folder / "one.json").write_text(json.dumps(TASK))
    prepared(CustomTasks(), folder)

    @fuzz
    @given(data=changed_json(TASK), suffix=st.sampled_from(["json", "yaml"]))
    def read(data: bytes, suffix: str) -> None:
        path = folder / f"one.{suffix}"
        path.write_bytes(data)
        try:
            holds(lambda: prepared(CustomTasks(), folder))
        finally:
            path.unlink()

    (folder / "one.json").unlink()
    read()


def test_answers() -> None:
    code = b"import a\n\ndef f(n):\n    return n\n"
    answer = b"Hi:\n```python\n" + code + b"```\n~~~\nx\n~~~\n<think></think>\n" + code

    @fuzz
    @given(data=changed_bytes(answer))
    def read(data: bytes) -> None:
        holds(lambda: answered("def f(n):\n", "f", data.decode("utf-8", "replace")))

    read()
