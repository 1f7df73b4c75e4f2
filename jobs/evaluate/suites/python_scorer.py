"""Scores generated Python by tests, in the sandbox."""

from __future__ import annotations

import ast
import keyword
import warnings
from collections.abc import Callable, Mapping
from typing import Any

from starfreight.errors import InputError
from starfreight.jobs.evaluate.models.interface import Completion
from starfreight.jobs.evaluate.python_tests import PythonProblem, PythonTests
from starfreight.jobs.evaluate.sandbox.interface import Sandbox
from starfreight.jobs.evaluate.suites.interface import Problem
from starfreight.jobs.evaluate.suites.pass_figures import INSTRUCTION, PASSED, UNTESTED


class PythonScorer:
    """Scores completions of problems with Python tests. For one thread.

    A problem holds ``name``, the function's; ``reference``, the source of a right solution with the helpers
    that the tests use; and ``tests``.

    Args:
        sandbox: for the code.
        seconds: wall-clock time of a program.
        module: makes the source of the module to test from a problem and a completion's text.
        instruction: the completions are answers to instructions; ``None`` if the suite has one form only.
        known: the tests of all problems are known to work apart from the code. Others are tried with the
            reference when a completion fails, so that the same problems are left out for every model.
    """

    def __init__(
        self,
        sandbox: Sandbox,
        seconds: float,
        module: Callable[[Problem, str], str],
        instruction: bool | None = None,
        *,
        known: bool = False,
    ) -> None:
        self._tests = PythonTests(sandbox, seconds=seconds)
        self._module, self._instruction, self._known = module, instruction, known
        self._testable: dict[str, bool] = {}

    def score(self, problem: Problem, completion: Completion) -> Mapping[str, float]:
        """Scores by name: ``passed`` as 1 or 0, and the reason of a failure."""
        form = {} if self._instruction is None else {INSTRUCTION: float(self._instruction)}
        return {**form, **self._outcome(problem, self._module(problem, completion.text))}

    def close(self) -> None:
        """Ends the boxes."""
        self._tests.close()

    def _outcome(self, problem: Problem, code: str) -> dict[str, float]:
        tests = python_problem(problem)
        try:
            verdict = self._tests.run(tests, code)
            passed, reason = verdict.passed, verdict.reason
        except InputError:
            passed, reason = False, "failed"
        if not passed and not self._known and not self._is_testable(tests):
            return {UNTESTED: 1.0}
        return {PASSED: 1.0} if passed else {PASSED: 0.0, reason: 1.0}

    def _is_testable(self, tests: PythonProblem) -> bool:
        """False if the reference's values cannot be passed between processes."""
        if tests.id not in self._testable:
            try:
                self._tests.run(tests, tests.reference)
                self._testable[tests.id] = True
            except InputError:
                self._testable[tests.id] = False
        return self._testable[tests.id]


def python_problem(problem: Problem) -> PythonProblem:
    """The tests of a problem."""
    return PythonProblem(problem["id"], problem["name"], problem["reference"], problem["tests"])


def python_problem_keys(name: str, reference: str, tests: str, where: str) -> dict[str, Any]:
    """The keys of a problem for :class:`PythonScorer`.

    Raises:
        InputError: the function's name is not one in Python; names ``where``.
    """
    if not name.isidentifier() or keyword.iskeyword(name):
        raise InputError(
            f"The name of the function to test, {name[:80]!r}, is not valid in Python.",
            where=where,
            fix="correct or remove the problem",
        )
    return {"name": name, "reference": reference, "tests": tests}


def check_python(source: str, where: str) -> None:
    """Check the syntax of tests: with an error in it, every model would fail them.

    Args:
        source: of bounded length; it is parsed, not run.
        where: its place, for the error.

    Raises:
        InputError: it is not valid Python.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Of escapes in texts, for example.
            ast.parse(source)
    except (RecursionError, MemoryError):  # Too deep for the parser here; the sandbox judges it.
        return
    except (SyntaxError, ValueError) as error:
        line = f", line {error.lineno}" if isinstance(error, SyntaxError) and error.lineno else ""
        reason = error.msg if isinstance(error, SyntaxError) else str(error)
        raise InputError(
            f"The tests are not valid Python: {reason}.", where=f"{where}{line}", fix="correct them"
        ) from error
