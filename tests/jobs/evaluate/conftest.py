"""Fixtures for tests that run generated code."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from model_properties import completion_of

from starfreight.console import Console, no_progress
from starfreight.errors import ServiceError
from starfreight.jobs.evaluate.models.interface import Model
from starfreight.jobs.evaluate.sandbox import Bubblewrap, Limits
from starfreight.jobs.evaluate.suites.interface import (
    CompletionSuite,
    HeldOut,
    Machinery,
    Preparation,
    Problem,
    SkippedSuite,
    SuiteOptions,
)


@pytest.fixture(scope="session")
def sandbox() -> Bubblewrap:
    """A sandbox that works on this machine."""
    found = Bubblewrap(Limits(memory=256 << 20, cpu=5, processes=8, disk=8 << 20))
    boxes = found.boxes("def main():\n    send_message(b'ready')\n")
    try:
        boxes.start().close()
    except ServiceError as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(str(error))
    finally:
        boxes.close()
    return found


Score = Mapping[str, float]
Run = Callable[[CompletionSuite, Sequence[Problem], Callable[[Problem], str]], dict[str, Score]]


@pytest.fixture(scope="session")
def preparation(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Preparation]:
    """Makes the preparation of a suite, with its options."""

    def held_out() -> HeldOut:
        raise SkippedSuite("there is no recipe")

    def make(**options: Any) -> Preparation:
        folder = options.pop("folder", None) or tmp_path_factory.mktemp("job")
        local = not options.pop("elsewhere", False)
        return Preparation(folder, SuiteOptions(**options), held_out, Console(quiet=True), local)

    return make


@pytest.fixture(scope="session")
def machinery(sandbox: Bubblewrap, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Machinery]:
    """Makes what a suite may use, with a sandbox that works."""

    def no_model(slots: int | None) -> Model:
        raise AssertionError("no model is needed")

    def make(*, instructs: bool | None = None, scratch: Path | None = None, **options: Any) -> Machinery:
        return Machinery(
            options=SuiteOptions(**options),
            model=no_model,
            gguf=None,
            adapter=None,
            reference=None,
            threads=2,
            sandbox=lambda: sandbox,
            scratch=scratch or tmp_path_factory.mktemp("scratch"),
            check=lambda: None,
            advance=no_progress,
            instructs=instructs,
        )

    return make


@pytest.fixture(scope="module")
def run_suite(machinery: Callable[..., Machinery]) -> Run:
    """Scores a completion of every problem."""

    def run(
        suite: CompletionSuite, problems: Sequence[Problem], complete: Callable[[Problem], str]
    ) -> dict[str, Score]:
        def share(place: int) -> dict[str, Score]:
            scorer = suite.open_scorer(machinery())
            try:
                return {
                    problem["id"]: scorer.score(problem, completion_of(complete(problem)))
                    for problem in problems[place::2]
                }
            finally:
                scorer.close()

        with ThreadPoolExecutor(2) as pool:
            shares = list(pool.map(share, range(2)))
        return {name: score for each in shares for name, score in each.items()}

    return run


@pytest.fixture(scope="session")
def infilling_data() -> Path:
    """The benchmark's files, which are not the project's to ship."""
    folder = Path(__file__).parents[4] / "shared/data/humaneval-infilling"
    if not folder.is_dir():
        pytest.skip(f"no benchmark files in {folder}")
    return folder
