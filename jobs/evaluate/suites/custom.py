"""Tasks of a user's own, from a directory; a task's keys are those of ``custom_task.Task``."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from starfreight.errors import InputError
from starfreight.jobs.evaluate.models.interface import Completion, Model, Request
from starfreight.jobs.evaluate.programs import ProgramTests, find_toolchain, language_named
from starfreight.jobs.evaluate.sandbox.interface import BoxEndedError, BoxSource
from starfreight.jobs.evaluate.suites.completed_function import continued
from starfreight.jobs.evaluate.suites.custom_task import Task, read_tasks
from starfreight.jobs.evaluate.suites.extract_code import extract_code
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
from starfreight.jobs.evaluate.suites.mean_figure import mean_figure
from starfreight.jobs.evaluate.suites.pass_figures import (
    PASSED,
    UNTESTED,
    Scored,
    summarize_passes,
)
from starfreight.jobs.evaluate.suites.python_scorer import (
    PythonScorer,
    check_python,
    python_problem_keys,
)
from starfreight.jobs.evaluate.suites.shown import shown
from starfreight.jobs.evaluate.suites.text_similarity import comparable, edit_similarity

_SIMILARITY = "edit_similarity"
_MATCH_SOURCE = """
import json, re

def main():
    request = json.loads(receive_message())
    found = all(re.search(each, request["text"], re.MULTILINE) for each in request["patterns"])
    send_message(json.dumps(found).encode())
"""


class CustomTasks:
    """The suite."""

    name = "custom"

    def prepare(self, preparation: Preparation) -> PreparedSuite:
        """Reads and checks all tasks.

        Raises:
            SkippedSuite: no directory is given.
            InputError: a task is wrong.
        """
        given = preparation.options.file
        if not given:
            raise SkippedSuite("it has no tasks: set its `file` to a directory of tasks")
        folder = preparation.folder / given
        if not folder.is_dir():
            raise InputError(
                f"The tasks at {given!r} are not a directory.", where=str(folder), fix="check the path"
            )
        problems = []
        for name, path, task, texts in read_tasks(folder):
            if "tests" in texts and task.language != "python":
                _check_language(task.language, str(path), local=preparation.local)
            if task.function is not None:
                for key in ("helpers", "tests"):
                    check_python(texts.get(key, ""), f"{path}, key {key}")
            problems.append(_problem(name, task, texts, str(path)))
        return PreparedSuite(folder.resolve().name, None, problems)

    def request(self, problem: Problem, model: Model) -> Request:
        """The instruction, or the texts around the place.

        Raises:
            SkippedSuite: the model's template takes no instructions, or it cannot fill in the middle.
        """
        suffix = problem.get("suffix")
        if problem["instruct"] and not model.instructs:
            raise SkippedSuite(
                f"the task {problem['id']} is an instruction, which the model's template does not take"
            )
        if suffix is not None and not model.fills:
            raise SkippedSuite(
                f"the task {problem['id']} has a suffix, and the model has no fill-in-the-middle tokens"
            )
        return Request(
            problem["id"],
            problem["prefix"],
            suffix,
            instruct=problem["instruct"],
            stop=tuple(problem["stop"]),
            most_tokens=problem["most_tokens"],
        )

    def open_scorer(self, machinery: Machinery) -> Scorer:
        """Compares texts, and runs tests in the sandbox."""
        return _Scorer(machinery)

    def summarize(self, problems: Sequence[Problem], scored: Scored) -> Measured:
        """pass@k over the tasks, and the similarity of those with an expected text."""
        measured = summarize_passes(problems, _without_similarity(scored), lambda each: each["language"])
        similar = {
            name: sum(each[_SIMILARITY] for each in samples) / len(samples)
            for name, samples in scored.items()
            if samples and all(_SIMILARITY in each for each in samples)
        }
        sources = {each["id"]: str(each.get("problem") or each["id"]) for each in problems}
        figure = mean_figure(_SIMILARITY, similar, sources)
        if figure is None:
            return measured
        return replace(
            measured,
            figures=[*measured.figures, figure],
            scores={**measured.scores, _SIMILARITY: similar},
        )

    def example(self, problem: Problem) -> Example:
        """The task for people."""
        return shown(problem)


class _Scorer:
    """Scores completions of tasks; opens boxes on first use."""

    def __init__(self, machinery: Machinery) -> None:
        self._machinery = machinery
        self._python: PythonScorer | None = None
        self._patterns: BoxSource | None = None
        self._programs: dict[str, ProgramTests | None] = {}

    def score(self, problem: Problem, completion: Completion) -> Mapping[str, float]:
        """Scores by name: ``passed`` as 1 or 0, the reason of a failure, and the similarity."""
        text = completion.text
        if problem.get("expected") is not None:
            one, other = comparable(text).strip(), comparable(problem["expected"]).strip()
            return {**_passed(one == other, "different"), _SIMILARITY: edit_similarity(one, other)}
        if "name" in problem:
            if self._python is None:
                self._python = PythonScorer(
                    self._machinery.sandbox(), self._machinery.options.seconds, _module
                )
            return self._python.score(problem, completion)
        if "tests" in problem:
            return self._run(problem, text)
        missing = [each for each in problem["contains"] if each not in text]
        return self._match(problem, text) if not missing else _passed(False, "missing")

    def close(self) -> None:
        """Ends all boxes."""
        for each in (self._python, self._patterns, *self._programs.values()):
            if each is not None:
                each.close()

    def _run(self, problem: Problem, text: str) -> Mapping[str, float]:
        name = problem["language"]
        if name not in self._programs:
            self._programs[name] = self._opened(name)
        tests = self._programs[name]
        if tests is None:
            return {UNTESTED: 1.0, f"skipped: {name}": 1.0}
        verdict = tests.run(_module(problem, text), problem["tests"])
        return _passed(verdict.passed, verdict.reason)

    def _opened(self, name: str) -> ProgramTests | None:
        language = language_named(name)
        toolchain = find_toolchain(language) if language is not None else name
        if language is None or isinstance(toolchain, str):
            return None
        seconds = self._machinery.options.seconds
        return ProgramTests(self._machinery.sandbox(), language, toolchain, seconds=seconds)

    def _match(self, problem: Problem, text: str) -> Mapping[str, float]:
        """Matches patterns in a box: some take for ever on some texts."""
        if not problem["matches"]:
            return _passed(True, "")
        if self._patterns is None:
            self._patterns = self._machinery.sandbox().boxes(_MATCH_SOURCE)
        deadline = time.monotonic() + self._machinery.options.seconds
        request = json.dumps({"patterns": problem["matches"], "text": text}).encode()
        with self._patterns.start() as box:
            try:
                box.send(request, deadline)
                return _passed(box.receive(deadline) == b"true", "missing")
            except BoxEndedError as end:
                return _passed(False, end.reason)


def _passed(passed: bool, reason: str) -> dict[str, float]:
    return {PASSED: 1.0} if passed else {PASSED: 0.0, reason: 1.0}


def _without_similarity(scored: Scored) -> dict[str, list[dict[str, float]]]:
    return {
        name: [{key: value for key, value in each.items() if key != _SIMILARITY} for each in samples]
        for name, samples in scored.items()
    }


def _module(problem: Problem, text: str) -> str:
    if problem["instruct"]:
        return extract_code(text, problem["language"], problem.get("name", ""))
    return continued(problem["prefix"], text, problem.get("suffix") or "")


def _check_language(name: str, where: str, *, local: bool) -> None:
    language = language_named(name)
    missing = find_toolchain(language) if language is not None and local else None
    if language is None or isinstance(missing, str):
        raise InputError(
            f"Tests in {name} cannot be run"
            + (f": {missing} is not installed." if isinstance(missing, str) else "."),
            where=f"{where}, key language",
            fix="install it, or write the tests in Python" if language else "write the tests in Python",
        )


def _problem(name: str, task: Task, texts: Mapping[str, str], where: str) -> dict[str, Any]:
    problem: dict[str, Any] = {
        "id": name,
        "language": task.language,
        "instruct": "prompt" in texts,
        "prefix": texts.get("prompt", texts.get("prefix", "")),
        "suffix": texts.get("suffix"),
        "stop": list(task.stop),
        "most_tokens": task.most_tokens,
        "expected": texts.get("expected"),
        "contains": list(task.contains),
        "matches": list(task.matches),
    }
    if task.group is not None:
        problem["problem"] = task.group
    if task.function is not None:
        problem |= python_problem_keys(task.function, texts.get("helpers", ""), texts["tests"], where)
    elif "tests" in texts:
        problem["tests"] = texts["tests"]
    return problem
