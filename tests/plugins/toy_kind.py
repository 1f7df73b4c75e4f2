"""A second kind of job, which shows the effort for one: this file, and a line in a table."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import toy_job

from starfreight.console import Console
from starfreight.jobs.kinds.interface import Figures, Job, JobInput
from starfreight.jobs.kinds.table import KINDS
from starfreight.jobs.planning.pod import PodResources
from starfreight.recipe import Recipe
from starfreight.recipe.run import RunOptions


class ToyKind:
    """Counts the numbers in ``numbers.txt`` beside the recipe; see :class:`JobKind`."""

    name = "toy"
    activity = "counting"
    module = "toy_job"
    image = "toy"
    libraries: tuple[str, ...] = ("json",)
    extra = "toy"
    secrets: tuple[str, ...] = ()
    runs_generated_code = False
    record_file = toy_job.RECORD
    scratch: tuple[str, ...] = ()
    pod_steps = ("toy",)
    memory_advice = "count less"

    def prepare(
        self,
        recipes: Sequence[Recipe],
        folder: Path,
        runs: Path,
        console: Console,
        is_active: Callable[[Path], bool] = lambda directory: False,
        *,
        part: str = "",
        ship: bool = False,
    ) -> list[Path]:
        directories = []
        for recipe in recipes:
            directory = runs / f"{recipe.name}-toy"
            directories.append(directory)
            if not (directory / self.record_file).exists():
                directory.mkdir(parents=True)
                options = recipe.run.model_dump(mode="json")
                record = {"status": "prepared", "counted": 0, "sum": 0, "options": options}
                record["numbers"] = str(folder / "numbers.txt")
                record["pause"] = 0.05
                toy_job.save(directory / self.record_file, record)
        return directories

    def _record(self, directory: Path) -> dict[str, Any]:
        record: dict[str, Any] = json.loads((directory / self.record_file).read_text())
        return record

    def load(self, directory: Path) -> Job:
        record = self._record(directory)
        options = RunOptions.model_validate_json(json.dumps(record["options"]))
        return Job(self, directory.name, directory, options, record["status"])

    def inputs(self, directory: Path) -> tuple[JobInput, ...]:
        return (JobInput("--numbers", Path(self._record(directory)["numbers"]), "/numbers"),)

    def is_done(self, directory: Path) -> bool:
        return bool(self._record(directory)["status"] == "done")

    def resume_paths(self, directory: Path) -> tuple[str, ...]:
        return (self.record_file,)

    def main(self, arguments: list[str]) -> int:
        return toy_job.main(arguments)

    def progress(self, directory: Path, *, active: bool) -> Figures:
        counted = self._record(directory)["counted"]
        return Figures({"counted": counted}, (("counted", str(counted)),))

    def headline(self, directory: Path) -> Figures:
        total = self._record(directory)["sum"]
        return Figures({"sum": total}, (("sum", str(total)),))

    def next_step(self, directory: Path) -> str:
        return f"Sum written to {directory / self.record_file}."

    def pod_model(self, recipe: Recipe) -> str | None:
        return None

    def pod_resources(self, recipe: Recipe, folder: Path) -> PodResources:
        from starfreight.jobs.planning.pod import plan_pod

        return plan_pod(recipe, folder)


TOY = ToyKind()


@pytest.fixture
def toy_kind(monkeypatch: pytest.MonkeyPatch) -> Iterator[ToyKind]:
    """The toy kind, in the table for one test, with its program on PYTHONPATH."""
    monkeypatch.setitem(KINDS, "toy", "toy_kind:TOY")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    yield TOY


@pytest.fixture
def toy_recipe(tmp_path: Path) -> Path:
    """A recipe with the numbers from 1 to 100 beside it."""
    (tmp_path / "numbers.txt").write_text("\n".join(map(str, range(1, 101))))
    path = tmp_path / "recipe.yaml"
    path.write_text(
        "version: 1\nname: count\nbase: {model: 'builtin:starter'}\n"
        "data: [{source: 'python:huggingface_hub', license: Apache-2.0}]\n"
    )
    return path
