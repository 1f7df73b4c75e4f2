"""Training as a kind of job."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from starfreight.console import Console
from starfreight.jobs.kinds.interface import Figures, Job, JobInput
from starfreight.recipe import Recipe
from starfreight.run import RUN_FILE, Inputs, Run

if TYPE_CHECKING:
    from starfreight.jobs.planning.pod import PodResources

CHECKPOINTS = "checkpoints"
"""Directory of the checkpoints in a run."""


class TrainKind:
    """Trains an adapter and leaves a :class:`starfreight.run.Run`; see :class:`JobKind`."""

    name = "train"
    activity = "training"
    module = "starfreight.jobs.train"
    image = "trainer"
    libraries = ("torch", "transformers", "peft", "bitsandbytes")
    extra = "train"
    secrets = ()
    runs_generated_code = False
    record_file = RUN_FILE
    scratch = (CHECKPOINTS, "data/blocks.bin", "data/blocks.json", "tensorboard")
    pod_steps = ("train", "package", "publish")
    memory_advice = "lower training.batch_size, training.sequence_length or training.rank"

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
        """See :meth:`JobKind.prepare`."""
        from starfreight.jobs.prepare.prepare_runs import prepare_runs

        return prepare_runs(recipes, folder, runs, console, is_active, part=part, ship=ship)

    def load(self, directory: Path) -> Job:
        """See :meth:`JobKind.load`."""
        run = Run.load(directory)
        return Job(self, run.id, directory, run.recipe.run, run.status, run.started)

    def inputs(self, directory: Path) -> tuple[JobInput, ...]:
        """The base model and each source of the data."""
        run, inputs = Run.load(directory), Inputs.load(directory)
        base = JobInput("--base", Path(inputs.base), "/base", tuple(file.path for file in run.base.files))
        data = [JobInput("--data", Path(path), f"/data/{number}") for number, path in enumerate(inputs.data)]
        return (base, *data)

    def is_done(self, directory: Path) -> bool:
        """See :meth:`starfreight.run.Run.is_done`."""
        return Run.load(directory).is_done(directory)

    def resume_paths(self, directory: Path) -> tuple[str, ...]:
        """The newest sealed checkpoint, and the best adapter so far."""
        from starfreight.jobs.train.best_adapter import BEST_FOLDER
        from starfreight.jobs.train.checkpoints import newest

        if Run.load(directory).status == "done":
            return ()
        checkpoint = newest(directory / CHECKPOINTS)
        if checkpoint is None:
            return ()
        best = directory / CHECKPOINTS / BEST_FOLDER
        found = [checkpoint, *([best] if best.is_dir() else [])]
        return tuple(path.relative_to(directory).as_posix() for path in found)

    def main(self, arguments: list[str]) -> int:
        """See :mod:`starfreight.jobs.train.__main__`."""
        from starfreight.jobs.train.__main__ import main

        return main(arguments)

    def progress(self, directory: Path, *, active: bool) -> Figures:
        """Steps, losses, speed and time left."""
        from starfreight.jobs.train.progress import progress_of

        return progress_of(directory, Run.load(directory)).figures(active=active)

    def headline(self, directory: Path) -> Figures:
        """Held-out loss before and after training."""
        outcome = Run.load(directory).outcome
        before = outcome.before.loss if outcome and outcome.before else None
        after = outcome.after.loss if outcome and outcome.after else None
        known = before is not None and after is not None
        rows = (("held-out loss", f"{before:.3f} -> {after:.3f}"),) if known else ()
        return Figures({"held_out_loss_before": before, "held_out_loss_after": after}, rows)

    def next_step(self, directory: Path) -> str:
        """See :meth:`JobKind.next_step`."""
        run = shlex.quote(str(directory))
        return f"Adapter written to {directory}/adapter. Next: starfreight package build {run}"

    def pod_model(self, recipe: Recipe) -> str | None:
        """``None``: training reads the data."""
        return None

    def pod_resources(self, recipe: Recipe, folder: Path) -> PodResources:
        """See :func:`starfreight.jobs.planning.pod.plan_pod`."""
        from starfreight.jobs.planning.pod import plan_pod

        return plan_pod(recipe, folder)


TRAIN = TrainKind()
