"""Runs the tests of one problem against generated code."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from starfreight.errors import InputError
from starfreight.jobs.evaluate.python_tests.candidate_source import CANDIDATE_SOURCE
from starfreight.jobs.evaluate.python_tests.tester_source import TESTER_SOURCE
from starfreight.jobs.evaluate.sandbox.interface import Box, BoxEndedError, Sandbox

_CALL = b'{"kind": "call", '
"""Beginning of a call from the box of the tests."""


@dataclass(frozen=True)
class PythonProblem:
    """The tests of a function.

    Attributes:
        id: name in records.
        name: the function's.
        reference: source of a right solution, with the helpers that the tests use.
        tests: source that calls the function by its name and raises an exception if it is wrong.
    """

    id: str
    name: str
    reference: str
    tests: str


@dataclass(frozen=True)
class Verdict:
    """Outcome of the tests.

    Attributes:
        passed: True if every test passed.
        reason: ``passed``, ``failed`` (a test), ``undefined`` (code that defines no such function),
            ``exited``, ``time``, ``memory``, ``output``, ``disk`` or ``processes`` (the box of the code ended
            early).
        detail: the exception in short, written by the tests or by the model's code; untrusted.
        seconds: wall-clock time.
    """

    passed: bool
    reason: str
    detail: str
    seconds: float


class PythonTests:
    """Tests of generated code, each in two fresh boxes. For one thread.

    Args:
        sandbox: makes the boxes.
        seconds: wall-clock time of a problem.
    """

    def __init__(self, sandbox: Sandbox, *, seconds: float = 10.0) -> None:
        self._seconds = seconds
        self._candidates = sandbox.boxes(CANDIDATE_SOURCE)
        self._testers = sandbox.boxes(TESTER_SOURCE)

    def run(self, problem: PythonProblem, code: str) -> Verdict:
        """Tests code.

        Args:
            problem: the tests.
            code: source of a module, generated.

        Raises:
            InputError: the tests cannot be run in two processes, whatever the code, or call no function.
            ServiceError: no box can be started.
        """
        with self._candidates.start() as candidate, self._testers.start() as tester:
            begin = time.monotonic()
            passed, reason, detail = _judge(problem, code, candidate, tester, begin + self._seconds)
            return Verdict(passed, reason, detail, time.monotonic() - begin)

    def close(self) -> None:
        """Ends all boxes."""
        self._candidates.close()
        self._testers.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _judge(
    problem: PythonProblem, code: str, candidate: Box, tester: Box, deadline: float
) -> tuple[bool, str, str]:
    try:
        started = _ask(candidate, {"code": code, "name": problem.name}, deadline)
    except BoxEndedError as end:
        return False, end.reason, ""
    if started.get("kind") != "defined":
        return False, "undefined", _words(started)
    # The tests wait for the code, so they may take a little longer before they are to blame.
    grace, calls = deadline + 1, 0
    try:
        start = {"name": problem.name, "reference": problem.reference, "tests": problem.tests}
        tester.send(json.dumps(start).encode(), grace)
        message = tester.receive(grace)
        while message.startswith(_CALL):
            calls += 1
            # Passed on unread, both ways: only the boxes unpack values.
            try:
                candidate.send(message, deadline)
                answer = candidate.receive(deadline)
            except BoxEndedError as end:
                return False, end.reason, ""
            tester.send(answer, grace)
            message = tester.receive(grace)
    except BoxEndedError as end:
        # An endless loop over a returned value, for example.
        return False, end.reason, "in the tests"
    verdict = _read(message)
    if verdict.get("unable"):
        raise InputError(
            f"The tests cannot be run apart from the code: {str(verdict.get('error'))[:500]}.",
            where=problem.id,
            fix="write tests that pass plain values: numbers, text, lists, dictionaries",
        )
    passed = verdict.get("kind") == "verdict" and verdict.get("passed") is True
    if passed and not calls:
        raise InputError(
            "The tests never call the function, so that any code passes.",
            where=problem.id,
            fix=f"write tests that call {problem.name}",
        )
    return passed, "passed" if passed else "failed", str(verdict.get("error", ""))[:500]


def _ask(box: Box, message: dict[str, Any], deadline: float) -> dict[str, Any]:
    box.send(json.dumps(message).encode(), deadline)
    return _read(box.receive(deadline))


def _read(message: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(message)
    except (ValueError, RecursionError):
        answer = None
    return answer if isinstance(answer, dict) else {"kind": "rubbish"}


def _words(answer: dict[str, Any]) -> str:
    return f"{str(answer.get('type'))[:80]}: {str(answer.get('text'))[:300]}"
