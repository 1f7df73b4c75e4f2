"""Fixtures for tests that run generated code."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from starfreight.errors import ServiceError
from starfreight.jobs.evaluate.python_tests import PythonTests, Verdict
from starfreight.jobs.evaluate.sandbox import Bubblewrap, Limits
from starfreight.jobs.evaluate.suites.interface import ExecutedSuite, Item


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


Run = Callable[[ExecutedSuite, Callable[[Item], str]], dict[str, Verdict]]


@pytest.fixture(scope="module")
def run_suite(sandbox: Bubblewrap) -> Iterator[Run]:
    """Runs every item of a suite with a completion."""
    workers = [PythonTests(sandbox) for _ in range(2)]

    def run(suite: ExecutedSuite, complete: Callable[[Item], str]) -> dict[str, Verdict]:
        def share(place: int) -> dict[str, Verdict]:
            return {
                item.id: workers[place].run(suite.tests(item), suite.program(item, complete(item)))
                for item in suite.items[place :: len(workers)]
            }

        with ThreadPoolExecutor(len(workers)) as pool:
            shares = list(pool.map(share, range(len(workers))))
        return {name: verdict for each in shares for name, verdict in each.items()}

    yield run
    for worker in workers:
        worker.close()


@pytest.fixture(scope="session")
def infilling_data() -> Path:
    """The benchmark's files, which are not the project's to ship."""
    folder = Path(__file__).parents[4] / "shared/data/humaneval-infilling"
    if not folder.is_dir():
        pytest.skip(f"no benchmark files in {folder}")
    return folder
