"""Evaluation as a kind of job."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from starfreight.console import Console
from starfreight.errors import RecipeError
from starfreight.evaluation import EVALUATION_FILE, SCORES_FILE, Evaluation
from starfreight.files import sha256_file
from starfreight.jobs.evaluate.inputs import EvaluationInputs
from starfreight.jobs.evaluate.models.server_target import KEY_VARIABLE
from starfreight.jobs.evaluate.subject import Subject
from starfreight.jobs.kinds.interface import Figures, Job, JobInput
from starfreight.recipe import Recipe

if TYPE_CHECKING:
    from starfreight.jobs.planning.pod import PodResources


@dataclass(frozen=True)
class EvaluateKind:
    """Evaluates a model and leaves an :class:`Evaluation`; see :class:`JobKind`.

    Attributes:
        subject: the model; ``None`` for the one of the recipe's ``evaluate.model``.
    """

    subject: Subject | None = None
    name = "evaluate"
    activity = "evaluation"
    module = "starfreight.jobs.evaluate"
    image = "trainer"
    libraries = ("xllamacpp",)
    extra = "evaluate"
    secrets = (KEY_VARIABLE,)
    runs_generated_code = True
    record_file = EVALUATION_FILE
    scratch = ("scratch", "finished")
    pod_steps = ("evaluate",)
    memory_advice = "choose a smaller quantization, or lower run.threads"

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
        from starfreight.jobs.evaluate.prepare import prepare_evaluation

        return [
            prepare_evaluation(
                recipe, self.subject or _subject(recipe, runs), folder, runs, console, is_active
            )
            for recipe in recipes
        ]

    def load(self, directory: Path) -> Job:
        """See :meth:`JobKind.load`."""
        record, inputs = Evaluation.load(directory), EvaluationInputs.find(directory)
        return Job(self, record.id, directory, inputs.options, record.status, record.started)

    def inputs(self, directory: Path) -> tuple[JobInput, ...]:
        """The model's files."""
        inputs = EvaluationInputs.find(directory)
        files = (("gguf", inputs.gguf), ("adapter", inputs.adapter), ("reference", inputs.reference))
        return tuple(JobInput(f"--{name}", Path(path), f"/{name}") for name, path in files if path)

    def is_done(self, directory: Path) -> bool:
        """See :meth:`JobKind.is_done`."""
        record = Evaluation.load(directory)
        path = directory / SCORES_FILE
        if record.status != "done" or record.scores is None or not path.is_file():
            return False
        return sha256_file(path) == record.scores.digest

    def resume_paths(self, directory: Path) -> tuple[str, ...]:
        """See :meth:`JobKind.resume_paths`."""
        if Evaluation.load(directory).status == "done":
            return ()
        return tuple(name for name in ("completions", "finished") if (directory / name).is_dir())

    def main(self, arguments: list[str]) -> int:
        """See :mod:`starfreight.jobs.evaluate.__main__`."""
        from starfreight.jobs.evaluate.__main__ import main

        return main(arguments)

    def progress(self, directory: Path, *, active: bool) -> Figures:
        """Each suite with its figures or its number of completions."""
        from starfreight.jobs.evaluate.progress import progress_of

        return progress_of(directory)

    def headline(self, directory: Path) -> Figures:
        """A figure of each suite."""
        from starfreight.jobs.evaluate.progress import headline_of

        return headline_of(directory)

    def next_step(self, directory: Path) -> str:
        """See :meth:`JobKind.next_step`."""
        path = shlex.quote(str(directory))
        package = EvaluationInputs.find(directory).package
        if package is not None:
            return (
                f"Evaluation written to {directory}. Next: starfreight package inspect {shlex.quote(package)}"
            )
        return f"Evaluation written to {directory}. Next: starfreight jobs compare {path} OTHER"

    def pod_resources(self, recipe: Recipe, folder: Path) -> PodResources:
        """See :func:`starfreight.jobs.planning.pod.plan_pod`."""
        from starfreight.jobs.planning.evaluation_pod import plan_evaluation_pod

        return plan_evaluation_pod(recipe, folder)

    def pod_model(self, recipe: Recipe) -> str | None:
        """The recipe's ``evaluate.model``."""
        from starfreight.jobs.evaluate.models.server_target import is_server

        model = _model(recipe)
        if is_server(model):
            raise RecipeError(
                "A server's model is evaluated from this machine: a pod of this kind has no network.",
                where="key evaluate.model",
                fix="leave --on kubernetes out",
            )
        return model


def _subject(recipe: Recipe, runs: Path) -> Subject:
    """The model of ``evaluate.model``. A relative path may start at the runs: in a cluster, at the volume."""
    model = _model(recipe)
    there = runs / model
    return Subject(str(there.absolute()) if there.exists() else model)


def _model(recipe: Recipe) -> str:
    model = recipe.evaluate.model if recipe.evaluate is not None else None
    if model is None:
        raise RecipeError(
            "The recipe names no model to evaluate.", where="key evaluate.model", fix="add it to the recipe"
        )
    return model


EVALUATE = EvaluateKind()
