"""A standard library of a few modules and a StarCoder2 of a few thousand weights."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from starfreight.jobs.starter.architecture import Shape
from starfreight.jobs.starter.build import StarterRequest
from starfreight.jobs.starter.corpus import is_held_out, standard_library
from starfreight.jobs.starter.pretrain import Settings

MODULES = (
    "abc.py",
    "bisect.py",
    "heapq.py",
    "keyword.py",
    "operator.py",
    "queue.py",
    "shlex.py",
    "json/scanner.py",
)
TINY = Shape(
    vocabulary=320, context_length=64, hidden=32, feed_forward=64, layers=1, heads=2, key_value_heads=1
)


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """A folder with the license and a few modules of the real standard library, one of them held out."""
    folder = tmp_path / "lib"
    for name in MODULES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(standard_library() / name, folder / name)
    (folder / "LICENSE.txt").write_text("The license.\n")
    assert sum(is_held_out(name) for name in MODULES) == 1
    return folder


@pytest.fixture
def tiny_settings() -> Settings:
    """Settings under which a step takes a few milliseconds."""
    return Settings(shape=TINY, batch_tokens=128, seed=1)


@pytest.fixture
def make_request(tmp_path: Path, library: Path, tiny_settings: Settings) -> Callable[..., StarterRequest]:
    """Makes the request for a tiny build."""

    def make(**changes: Any) -> StarterRequest:
        values: dict[str, Any] = {
            "out": tmp_path / "out",
            "work": tmp_path / "work",
            "steps": 12,
            "minutes": 1.0,
            "settings": tiny_settings,
            "library": library,
            "lines": 2,
        }
        return StarterRequest(**(values | changes))

    return make
