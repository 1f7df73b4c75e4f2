"""MultiPL-E: HumanEval and MBPP in many languages, from files.

Source: Cassano et al., "MultiPL-E: A Scalable and Polyglot Approach to Benchmarking Neural Code Generation"
(2023), https://github.com/nuprl/MultiPL-E; its files are on the hub as ``nuprl/MultiPL-E``.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from starfreight.errors import InputError
from starfreight.jobs.evaluate.models.interface import Completion, Model, Request
from starfreight.jobs.evaluate.programs import (
    LANGUAGES,
    Language,
    ProgramTests,
    find_toolchain,
    language_named,
)
from starfreight.jobs.evaluate.suites.humaneval import module
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
from starfreight.jobs.evaluate.suites.pass_figures import PASSED, UNTESTED, Scored, summarize_passes
from starfreight.jobs.evaluate.suites.problem_file import read_problems
from starfreight.jobs.evaluate.suites.problem_source import find_problem_files
from starfreight.jobs.evaluate.suites.python_scorer import PythonScorer, python_problem_keys
from starfreight.jobs.evaluate.suites.shown import shown

_KEYS = ("name", "language", "prompt", "tests")
_PYTHON = "python"
_PYTHON_CODES = ("py", "python")
_MOST_TOKENS = 512
_MOST_STOPS, _LONGEST_STOP = 16, 64
_CODE = re.compile(r"[a-z0-9+#_-]{1,24}")


class MultiplE:
    """The suite: files of any of the languages. Models continue the text, also those that instruct."""

    name = "multipl-e"

    def __init__(self) -> None:
        self._trials = _Trials()

    def prepare(self, preparation: Preparation) -> PreparedSuite:
        """Reads the problems; languages that cannot be run here are left out by name.

        Raises:
            SkippedSuite: no file is given, or none of its languages can be run.
            InputError: not files of this benchmark.
        """
        files = find_problem_files(preparation, "humaneval-js.jsonl")
        problems: dict[str, Problem] = {}
        skipped: dict[str, str] = {}
        for path in files.paths:
            for record in read_problems(path, _KEYS):
                language, reason = _runs(record["language"], path, local=preparation.local)
                if reason is not None:
                    skipped[language] = reason
                    continue
                problem = _problem(record, language, path)
                if problems.setdefault(problem["id"], problem) != problem:
                    raise InputError(
                        f"Two problems have the id {problem['id']!r}.",
                        where=str(path),
                        fix="name one of the benchmarks: humaneval-* or mbpp-*",
                    )
        if skipped and not problems:
            raise SkippedSuite("; ".join(f"{name}: {reason}" for name, reason in sorted(skipped.items())))
        for name, reason in sorted(skipped.items()):
            preparation.console.note(f"multipl-e: {name} is left out: {reason}")
        settings = {"skipped_languages": dict(sorted(skipped.items()))} if skipped else {}
        return PreparedSuite(files.name, "MIT", list(problems.values()), settings)

    def request(self, problem: Problem, model: Model) -> Request:
        """The text to continue."""
        return Request(
            problem["id"], problem["prefix"], stop=tuple(problem["stop"]), most_tokens=_MOST_TOKENS
        )

    def open_scorer(self, machinery: Machinery) -> Scorer:
        """Runs the programs in the sandbox."""
        return _Scorer(machinery, self._trials)

    def summarize(self, problems: Sequence[Problem], scored: Scored) -> Measured:
        """pass@k over the problems, in all and by language."""
        return summarize_passes(problems, scored, lambda problem: problem["language"])

    def example(self, problem: Problem) -> Example:
        """The problem for people."""
        return shown(problem)


class _Trials:
    """Languages whose tools work in the sandbox, found out once for all threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._works: dict[str, bool] = {}

    def works(self, name: str, tests: ProgramTests) -> bool:
        """True if its trial passes."""
        with self._lock:
            if name not in self._works:
                self._works[name] = tests.works()
            return self._works[name]


class _Scorer:
    """Scores completions in all languages; opens the boxes of each on first use."""

    def __init__(self, machinery: Machinery, trials: _Trials) -> None:
        self._machinery, self._trials = machinery, trials
        self._python: PythonScorer | None = None
        self._tests: dict[str, ProgramTests | None] = {}

    def score(self, problem: Problem, completion: Completion) -> Mapping[str, float]:
        """Scores by name: ``passed`` as 1 or 0, and the reason of a failure."""
        name = problem["language"]
        if name == _PYTHON:
            if self._python is None:
                options = self._machinery.options
                self._python = PythonScorer(self._machinery.sandbox(), options.seconds, module)
            return self._python.score(problem, completion)
        if name not in self._tests:
            self._tests[name] = self._opened(name)
        tests = self._tests[name]
        if tests is None:
            return {UNTESTED: 1.0, f"skipped: {name}": 1.0}
        verdict = tests.run(module(problem, completion.text), problem["tests"])
        return {PASSED: 1.0} if verdict.passed else {PASSED: 0.0, verdict.reason: 1.0}

    def close(self) -> None:
        """Ends all boxes."""
        if self._python is not None:
            self._python.close()
        for tests in self._tests.values():
            if tests is not None:
                tests.close()

    def _opened(self, name: str) -> ProgramTests | None:
        """Boxes of a language whose toolchain works in the sandbox."""
        language = _language(name)
        toolchain = find_toolchain(language)
        if isinstance(toolchain, str):
            return None
        seconds = self._machinery.options.seconds
        tests = ProgramTests(self._machinery.sandbox(), language, toolchain, seconds=seconds)
        if self._trials.works(name, tests):
            return tests
        tests.close()
        return None


def _language(name: str) -> Language:
    return next(each for each in LANGUAGES if each.name == name)


def _runs(code: str, path: Path, *, local: bool) -> tuple[str, str | None]:
    """Name of a language, and why it cannot be run."""
    if code in _PYTHON_CODES:
        return _PYTHON, None
    if not _CODE.fullmatch(code):
        raise InputError(
            f"The language {code[:40]!r} is not a name of a language.",
            where=str(path),
            fix="use the files of MultiPL-E",
        )
    language = language_named(code)
    if language is None:
        return code, "programs in this language cannot be run"
    if local and isinstance(missing := find_toolchain(language), str):
        return language.name, f"{missing} is not installed"
    return language.name, None


def _problem(record: Mapping[str, Any], language: str, path: Path) -> dict[str, Any]:
    name, prompt = record["name"][:200], record["prompt"]
    stops = record.get("stop_tokens") or []
    if isinstance(stops, tuple):
        stops = list(stops)
    if (
        not isinstance(stops, list)
        or len(stops) > _MOST_STOPS
        or not all(isinstance(each, str) and 0 < len(each) <= _LONGEST_STOP for each in stops)
    ):
        raise InputError(
            "A problem has invalid stop_tokens.",
            where=f"{path}, problem {name[:80]!r}",
            fix=f"write a list of up to {_MOST_STOPS} texts",
        )
    problem = {
        "id": f"{language}/{name}",
        "problem": name,
        "language": language,
        "prefix": prompt,
        "stop": stops,
        "tests": record["tests"],
    }
    if language == _PYTHON:
        names = re.findall(r"^def[ \t]+(\w+)", prompt, re.MULTILINE)
        if not names:
            raise InputError(
                "A problem in Python has no function.",
                where=f"{path}, problem {name[:80]!r}",
                fix="use the files of MultiPL-E",
            )
        # The prompt alone is a module: its function has a docstring for a body.
        problem |= python_problem_keys(names[-1], prompt, record["tests"], f"{path}, problem {name[:80]!r}")
    return problem
