"""HumanEval-Infilling: lines or spans cut out of HumanEval's solutions, from files.

Source: Bavarian et al., "Efficient Training of Language Models to Fill in the Middle" (2022),
https://github.com/openai/human-eval-infilling, MIT License.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from starfreight.errors import InputError
from starfreight.jobs.evaluate.models.interface import Model, Request
from starfreight.jobs.evaluate.suites.completed_function import continued
from starfreight.jobs.evaluate.suites.interface import (
    Example,
    Machinery,
    Measured,
    Preparation,
    PreparedSuite,
    Problem,
    Scorer,
    SkippedSuite,
)
from starfreight.jobs.evaluate.suites.pass_figures import Scored, summarize_passes
from starfreight.jobs.evaluate.suites.problem_file import read_problems
from starfreight.jobs.evaluate.suites.problem_source import find_problem_files
from starfreight.jobs.evaluate.suites.python_scorer import PythonScorer, python_problem_keys
from starfreight.jobs.evaluate.suites.shown import shown

_KEYS = ("task_id", "entry_point", "prompt", "suffix", "canonical_solution", "test")
_ID = re.compile(r"(SingleLine|MultiLine|RandomSpan)(?:Infilling|InfillingLight)?/(HumanEval/\d+)(?:/.*)?")
_PARTS = {"SingleLine": "single-line", "MultiLine": "multi-line", "RandomSpan": "random-span"}
_MOST_TOKENS = {"single-line": 96, "multi-line": 384, "random-span": 256}


class HumanEvalInfilling:
    """The suite: one of the benchmark's four files, or a directory with several."""

    name = "humaneval-infilling"

    def prepare(self, preparation: Preparation) -> PreparedSuite:
        """Reads the problems.

        Raises:
            SkippedSuite: no file is given.
            InputError: not files of this benchmark.
        """
        files = find_problem_files(preparation, "HumanEval-SingleLineInfilling.jsonl.gz")
        problems: dict[str, Problem] = {}
        for path in files.paths:
            for record in read_problems(path, _KEYS):
                # Random spans are in two of the files.
                problem = _problem(record, path)
                if problems.setdefault(problem["id"], problem) != problem:
                    raise InputError(
                        f"Two problems have the id {problem['id'][:80]!r}.",
                        where=str(path),
                        fix="use the files of openai/human-eval-infilling, or give each an id of its own",
                    )
        return PreparedSuite(files.name, "MIT", list(problems.values()))

    def request(self, problem: Problem, model: Model) -> Request:
        """The texts around the place.

        Raises:
            SkippedSuite: the model cannot fill in the middle.
        """
        if not model.fills:
            advice = getattr(model, "fill_advice", "")
            raise SkippedSuite(f"the model has no fill-in-the-middle tokens{advice}")
        return Request(
            problem["id"],
            problem["prefix"],
            problem["suffix"],
            stop=("\n",) if problem["kind"] == "single-line" else (),
            most_tokens=_MOST_TOKENS[problem["kind"]],
        )

    def open_scorer(self, machinery: Machinery) -> Scorer:
        """Runs the tests in the sandbox."""
        return PythonScorer(machinery.sandbox(), machinery.options.seconds, _module, known=True)

    def summarize(self, problems: Sequence[Problem], scored: Scored) -> Measured:
        """pass@k over the places, in clusters of HumanEval's problems."""
        return summarize_passes(problems, scored, lambda problem: problem["kind"])

    def example(self, problem: Problem) -> Example:
        """The problem for people."""
        return shown(problem)


def _problem(record: Mapping[str, Any], path: Path) -> dict[str, Any]:
    match = _ID.fullmatch(record["task_id"])
    if match is None:
        raise InputError(
            f"The problem {record['task_id'][:80]!r} is not one of HumanEval-Infilling.",
            where=str(path),
            fix="use the files of openai/human-eval-infilling",
        )
    reference = record["prompt"] + record["canonical_solution"] + record["suffix"]
    tests = f"{record['test']}\ncheck({record['entry_point']})\n"
    return {
        "id": record["task_id"],
        "problem": match[2],
        "kind": _PARTS[match[1]],
        "prefix": record["prompt"],
        "suffix": record["suffix"],
        "expected": record["canonical_solution"],
        **python_problem_keys(record["entry_point"], reference, tests, f"{path}, {record['task_id'][:80]}"),
    }


def _module(problem: Problem, completion: str) -> str:
    """The module to test. A completion of one line ends with the line."""
    if problem["kind"] == "single-line" and not completion.endswith("\n"):
        completion += "\n"
    return continued(problem["prefix"], completion, problem["suffix"])
