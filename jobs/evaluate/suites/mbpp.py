"""MBPP: Python functions to write from a sentence and a test, from files.

Source: Austin et al., "Program Synthesis with Large Language Models" (2021). Formats: ``mbpp.jsonl`` and
``sanitized-mbpp.json`` of google-research (also its Parquet files on the hub), and the Python file of MBXP
(amazon-science/mxeval), which has the format of HumanEval.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from starfreight.errors import InputError
from starfreight.jobs.evaluate.models.interface import Model, Request
from starfreight.jobs.evaluate.suites import humaneval
from starfreight.jobs.evaluate.suites.answer_form import answers_instructions
from starfreight.jobs.evaluate.suites.completed_function import answered
from starfreight.jobs.evaluate.suites.interface import (
    Example,
    Machinery,
    Measured,
    Preparation,
    PreparedSuite,
    Problem,
    Scorer,
)
from starfreight.jobs.evaluate.suites.pass_figures import Scored, summarize_passes
from starfreight.jobs.evaluate.suites.problem_file import checked_record, read_problems
from starfreight.jobs.evaluate.suites.problem_source import find_problem_files
from starfreight.jobs.evaluate.suites.python_scorer import PythonScorer, python_problem_keys
from starfreight.jobs.evaluate.suites.shown import shown

_STOP = ("\nclass", "\nassert", '\n"""', "\nprint", "\nif", "\n```")
"""End of a function, as in the BigCode evaluation harness."""
_MOST_TOKENS = 512
_DEFINITION = re.compile(r"^(?:async[ \t]+)?def[ \t]+(\w+)", re.MULTILINE)


class Mbpp:
    """The suite."""

    name = "mbpp"

    def __init__(self) -> None:
        self._instructs = False

    def prepare(self, preparation: Preparation) -> PreparedSuite:
        """Reads the problems.

        Raises:
            SkippedSuite: no file is given.
            InputError: not files of this benchmark.
        """
        files = find_problem_files(preparation, "mbpp.jsonl")
        problems: dict[str, dict[str, Any]] = {}
        for path in files.paths:
            for number, record in enumerate(read_problems(path, ()), 1):
                problem = _problem(record, path, number)
                if problems.setdefault(problem["id"], problem) != problem:
                    raise InputError(
                        f"Two problems have the id {problem['id']!r}.",
                        where=str(path),
                        fix="name one file: mbpp.jsonl, or sanitized-mbpp.json",
                    )
        return PreparedSuite(files.name, "CC-BY-4.0", list(problems.values()))

    def request(self, problem: Problem, model: Model) -> Request:
        """An instruction, or a text that begins with the description."""
        self._instructs = model.instructs
        if "ask" not in problem:
            return humaneval.function_request(problem, instructs=model.instructs)
        if model.instructs:
            return Request(problem["id"], problem["ask"], instruct=True, most_tokens=2 * _MOST_TOKENS)
        return Request(problem["id"], problem["prefix"], stop=_STOP, most_tokens=_MOST_TOKENS)

    def open_scorer(self, machinery: Machinery) -> Scorer:
        """Runs the tests in the sandbox."""
        instructs = answers_instructions(machinery, self._instructs)
        return PythonScorer(
            machinery.sandbox(),
            machinery.options.seconds,
            _answer_module if instructs else humaneval.module,
            instructs,
        )

    def summarize(self, problems: Sequence[Problem], scored: Scored) -> Measured:
        """pass@k over the problems."""
        return summarize_passes(problems, scored)

    def example(self, problem: Problem) -> Example:
        """The problem for people."""
        return shown(problem)


def _answer_module(problem: Problem, answer: str) -> str:
    return answered("" if "ask" in problem else problem["prefix"], problem["name"], answer)


def _problem(record: Mapping[str, Any], path: Path, number: int) -> dict[str, Any]:
    task = record.get("task_id")
    where = f"{path}, record {number}" if task is None else f"{path}, problem {str(task)[:80]!r}"
    if isinstance(task, str) and "entry_point" in record:
        if record.get("language", "python") != "python":
            raise InputError(
                f"The problem is in {str(record['language'])[:40]}.",
                where=where,
                fix="use the file with Python; other languages are in the suite multipl-e",
            )
        return humaneval.humaneval_problem(checked_record(record, humaneval.KEYS, where), where)
    text = record.get("text", record.get("prompt"))
    tests = record.get("test_list")
    if (
        not isinstance(task, int | str)
        or not isinstance(text, str)
        or not isinstance(record.get("code"), str)
        or not isinstance(tests, list)
        or not tests
        or not all(isinstance(each, str) for each in tests)
    ):
        raise InputError(
            "A problem is not one of MBPP.",
            where=where,
            fix="each record needs task_id, text or prompt, code, and test_list",
        )
    code = record["code"].replace("\r\n", "\n")
    imports = record.get("test_imports") or []
    setup = record.get("test_setup_code") or ""
    if not isinstance(setup, str) or not isinstance(imports, list):
        raise InputError("A problem has an invalid setup of its tests.", where=where, fix="correct it")
    before = "\n".join([*map(str, imports), setup]).strip()
    return {
        "id": f"MBPP/{task}",
        "prefix": f'"""\n{text.strip()}\n{tests[0].strip()}\n"""\n',
        "expected": code,
        "ask": _ask(text.strip(), tests),
        **python_problem_keys(
            _function(code, tests, where), f"{before}\n{code}\n", "\n".join([before, *tests, ""]), where
        ),
    }


def _ask(text: str, tests: Sequence[str]) -> str:
    return (
        f"{text}\n\nThe function passes these tests:\n\n```python\n"
        + "\n".join(each.strip() for each in tests)
        + "\n```\n\nAnswer with the function in one Python code block."
    )


def _function(code: str, tests: Sequence[str], where: str) -> str:
    """The function that the tests call."""
    for name in reversed(_DEFINITION.findall(code)):
        if all(re.search(rf"\b{re.escape(name)}\b", each) for each in tests):
            return str(name)
    raise InputError(
        "The tests call no function of the code.", where=where, fix="correct or remove the problem"
    )
