"""Small base models, small code, and recipes that train in seconds: for tests of jobs, wherever they run."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from starfreight.run import METRICS_FILE, Run

CODE = '''\
"""Counts what is in a basket."""

PRICES = {{"apple": {number}, "pear": 25, "plum": 3}}


def total_{number}(basket, discount=0.{number}):
    """Adds the prices up, less the discount."""
    result = 0
    for name, count in sorted(basket.items()):
        if name not in PRICES:
            raise KeyError(f"no price for {{name}}")
        result += PRICES[name] * count
    return result * (1 - discount)


class Basket_{number}:
    def __init__(self):
        self.items = {{}}

    def put(self, name, count={number}):
        self.items[name] = self.items.get(name, 0) + count
'''

ALL_ALIKE = {"near_duplicates": False}
"""The files differ in a few numbers only."""

TRAINING = {
    "rank": 4, "alpha": 8, "dropout": 0.1, "sequence_length": 64, "batch_size": 2, "gradient_accumulation": 2,
    "learning_rate": 0.01, "steps": 12, "checkpoint_every": 3, "evaluate_every": 5, "evaluation_blocks": 2,
    "evaluation_completions": 2,
}  # fmt: skip


@pytest.fixture(scope="session")
def bases(
    make_checkpoint: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> Mapping[str, Path]:
    """A base model of each architecture, too small to be any good."""
    folder = tmp_path_factory.mktemp("bases")
    sizes: dict[str, Any] = {"hidden": 64, "ffn": 128, "dtype": "F32"}
    return {name: make_checkpoint(folder / name, name, **sizes) for name in ("starcoder2", "starcoder")}


@pytest.fixture(scope="session")
def make_job(bases: Mapping[str, Path]) -> Callable[..., Path]:
    """Writes a recipe beside a folder of eight small files of code, changed part by part, and returns it."""

    def make(
        folder: Path, architecture: str = "starcoder2", data: Mapping[str, Any] | None = None, **changes: Any
    ) -> Path:
        (folder / "code").mkdir(parents=True, exist_ok=True)
        for number in range(8):
            (folder / "code" / f"basket_{number}.py").write_text(CODE.format(number=number))
        source = {"source": "./code", "license": "MIT", "held_out": 0.25, "filters": ALL_ALIKE}
        training = {**TRAINING, **changes.pop("training", {})}
        recipe = {
            "version": 1,
            "name": "tiny",
            "base": {"model": str(bases[architecture]), "license": "MIT"},
            "data": [source if data is None else data],
            "training": {key: value for key, value in training.items() if value is not None},
            "run": {"threads": 1},
            **changes,
        }
        path = folder / "recipe.yaml"
        path.write_text(json.dumps(recipe))
        return path

    return make


@pytest.fixture
def write_job(tmp_path: Path, make_job: Callable[..., Path]) -> Callable[..., Path]:
    """Writes a recipe in the test's own folder."""
    return functools.partial(make_job, tmp_path)


def steps_of(run: Path) -> list[dict[str, Any]]:
    """The rows of training steps in a run's metrics, those not yet written to their end left out."""
    path = run / METRICS_FILE
    rows = []
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            rows.append(json.loads(line))
        except ValueError:
            continue
    return [row for row in rows if "loss" in row]


@pytest.fixture(scope="session")
def training_rows() -> Callable[[Path], list[dict[str, Any]]]:
    """Reads the rows of training steps in a run's metrics."""
    return steps_of


@pytest.fixture(scope="session")
def adapter_digest() -> Callable[[Path], str]:
    """The digest of a finished run's adapter weights, after a look at whether they are there."""

    def digest(run: Path) -> str:
        record = Run.load(run)
        assert record.status == "done"
        assert record.is_done(run)
        assert record.outcome is not None
        (weights,) = (file for file in record.outcome.adapter if file.path.endswith(".safetensors"))
        return weights.digest

    return digest
