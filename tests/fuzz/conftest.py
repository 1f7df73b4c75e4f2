"""Valid inputs to start from, and the time that a nightly run gives to each file."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from fuzzing import MINUTES

_HERE = Path(__file__).parent
_TESTS_OF_FILE: Counter[Path] = Counter()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory for the files of a module's examples, each of which replaces the one before."""
    return tmp_path_factory.mktemp("fuzz")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Counts the tests that share the time of their file."""
    _TESTS_OF_FILE.update(item.path for item in items if item.path.is_relative_to(_HERE))


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Any:
    """Repeats a test, with other examples each time, until its time is over."""
    began = time.monotonic()
    result = yield
    fuzzed = hasattr(pyfuncitem.obj, "hypothesis")
    seconds = MINUTES * 60 / _TESTS_OF_FILE[pyfuncitem.path] if fuzzed else 0
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    while time.monotonic() - began < seconds:
        pyfuncitem.obj(**arguments)
    return result
