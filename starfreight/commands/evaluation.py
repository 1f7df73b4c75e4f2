"""Evaluation of a package in some of its quantizations, with its baselines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from starfreight.console import Console
from starfreight.errors import InputError
from starfreight.evaluation import Evaluation
from starfreight.package import PACKAGE_FILE, Package
from starfreight.recipe import RecipeFile, expand

if TYPE_CHECKING:
    from starfreight.jobs.backends.interface import Location
    from starfreight.jobs.evaluate.subject import Baseline, Subject

DEFAULT_SUITES = ("fim", "perplexity", "speed")
_COMPARING = "quantization"
"""The suite that compares with the model in 16 bits."""


@dataclass(frozen=True)
class EvaluationRequest:
    """Evaluations of one model.

    Attributes:
        file: a recipe with ``evaluate``, and the directory where its relative paths start.
        subject: the model, without a quantization or a baseline.
        quantizations: of its package; ``None`` for the default one.
        baselines: models to evaluate beside it.
        location: the directory of all runs.
        package: the directory of its package; ``None`` without one.
    """

    file: RecipeFile
    subject: Subject
    quantizations: tuple[str | None, ...]
    baselines: tuple[Baseline, ...]
    location: Location
    package: Path | None = None


def run_evaluations(request: EvaluationRequest, console: Console) -> tuple[Path, ...]:
    """Runs the evaluations one after another; returns their directories. Finished ones are not repeated.

    The figures of a package become part of it.

    Raises:
        StarfreightError: the reason for stopping; the same call resumes.
    """
    if request.package is None and request.baselines:
        raise InputError(
            "Baselines are made from a package's run.",
            where=request.subject.target,
            fix="name a package, or leave --baseline out",
        )
    directories = []
    for subject in _subjects(request, console):
        directory = _run(request, subject, console)
        directories.append(directory)
        if request.package is not None:
            attach_figures(request.package, directory, console)
    return tuple(directories)


def attach_figures(package: Path, evaluation: Path, console: Console) -> None:
    """Makes the figures of a finished evaluation a part of its package.

    Raises:
        StarfreightError: as :func:`starfreight.packager.evaluation.attach`.
    """
    from starfreight.packager.evaluation.attach import attach

    before = Package.load(package)
    if attach(package, evaluation, console) != before:
        console.note(f"Figures added to {package}")


def check_evaluation(file: RecipeFile, location: Location, console: Console) -> None:
    """Checks that a recipe's package can be evaluated, before the hours of training.

    Raises:
        RecipeError, InputError: see :func:`check_suites` and :func:`check_evaluation_place`.
    """
    check_suites(file, console)
    check_evaluation_place(file, location)


def check_suites(file: RecipeFile, console: Console) -> None:
    """Checks the suites of a recipe, their inputs, and the rules of ``package.quality``.

    Rules that the recipe's own evaluation leaves unmeasured are a warning: others may measure them.

    Raises:
        RecipeError: a suite or figure is unknown, options contradict each other, or no suite can be run.
        InputError: a file of problems is missing.
    """
    from starfreight.jobs.evaluate.prepare import suite_options
    from starfreight.jobs.evaluate.suite_inputs import check_suite_inputs
    from starfreight.jobs.evaluate.suites.figure_names import check_figure
    from starfreight.jobs.evaluate.suites.table import check_suite_name

    asked = file.recipe.evaluate
    suites, baselines = (asked.suites, set(asked.baselines)) if asked else ({}, set())
    for number, rule in enumerate(file.recipe.package.quality):
        key = f"key package.quality[{number}]"
        check_suite_name(rule.suite, f"{key}.suite")
        samples = suites[rule.suite].samples if rule.suite in suites else None
        check_figure(rule.suite, rule.figure, samples, f"{key}.figure")
        missing = [f"evaluate.suites has no {rule.suite}"] if rule.suite not in suites else []
        if rule.not_below is not None and rule.not_below not in baselines:
            missing.append(f"evaluate.baselines has no {rule.not_below}")
        if missing:
            console.note(
                f"Warning: package.quality needs {rule.suite}/{rule.figure}, but {' and '.join(missing)}. "
                "The package cannot be published without it."
            )
    if asked is None:
        return
    for name, choice in asked.suites.items():
        check_suite_name(name, f"key evaluate.suites.{name}")
        suite_options(name, choice, asked)
    for variant in expand(file.recipe):
        check_suite_inputs(variant, file.folder, console)


def check_evaluation_place(file: RecipeFile, location: Location) -> None:
    """Checks that this machine, or its Docker Engine, can evaluate.

    Raises:
        InputError: a library or an image is missing.
        ServiceError: the Docker Engine does not answer.
    """
    from starfreight.jobs.backends.directory import DirectoryBackend
    from starfreight.jobs.backends.table import open_backend
    from starfreight.jobs.evaluate.kind import EVALUATE

    run = file.recipe.run
    if file.recipe.evaluate is None:
        return
    backend = open_backend("local" if run.where == "kubernetes" else run.where, location)
    if isinstance(backend, DirectoryBackend):
        backend.check(EVALUATE, run)


def evaluate_package(
    file: RecipeFile, package: Path, location: Location, console: Console, run: Path | None = None
) -> tuple[Path, ...]:
    """Evaluates a package as a recipe says; returns the directories of the evaluations.

    Args:
        file: the recipe of its run, with ``evaluate``.
        package: its directory.
        location: the directory of all runs.
        console: shows progress.
        run: the directory of its run; found beside the package if ``None``.

    Raises:
        StarfreightError: the reason for stopping; the same call resumes.
    """
    from starfreight.jobs.evaluate.subject import Subject

    asked = file.recipe.evaluate
    if asked is None:
        return ()
    quantizations: tuple[str | None, ...] = (None,)
    if asked.quantizations == "all":
        quantizations = tuple(str(each.quantization) for each in Package.load(package).variants)
    subject = Subject(str(package.absolute()), run=run and run.absolute())
    request = EvaluationRequest(file, subject, quantizations, asked.baselines, location, package)
    return run_evaluations(request, console)


def _run(request: EvaluationRequest, subject: Subject, console: Console) -> Path:
    from starfreight.jobs.backends.interface import JobRequest
    from starfreight.jobs.backends.table import open_backend
    from starfreight.jobs.evaluate.kind import EvaluateKind

    file = request.file if subject.baseline is None else _for_baseline(request.file)
    backend = open_backend(file.recipe.run.where, request.location)
    kind = EvaluateKind(None if file.recipe.run.where == "kubernetes" else subject)
    submitted = backend.submit(JobRequest(kind, file), console)
    fetched = backend.fetch(submitted.results[0], request.location.runs, console)
    return fetched.directory


def _for_baseline(file: RecipeFile) -> RecipeFile:
    """The recipe without the suite that compares a model with its own 16 bits."""
    asked = file.recipe.evaluate
    suites = {name: choice for name, choice in (asked.suites if asked else {}).items() if name != _COMPARING}
    evaluate = asked and asked.model_copy(update={"suites": suites})
    return replace(file, recipe=file.recipe.model_copy(update={"evaluate": evaluate}))


def _subjects(request: EvaluationRequest, console: Console) -> Sequence[Subject]:
    """The models, the package itself in each quantization first."""
    from starfreight.packager.evaluation.references import reference_model

    package = request.package
    subjects = [replace(request.subject, quantization=each) for each in request.quantizations]
    if package is None:
        return subjects
    asked = request.file.recipe.evaluate
    default = Package.load(package).default

    def made(quantization: str | None, kind: Baseline) -> Path:
        wanted = "F16" if kind == "F16" else quantization or default
        run = request.subject.run
        return reference_model(run, package, wanted, tuned=kind == "F16", console=console)

    if asked is not None and _COMPARING in asked.suites and request.subject.reference is None:
        # From the same run: a reference of another one would make the figures meaningless.
        subjects = [replace(each, reference=made(each.quantization, "F16")) for each in subjects]
    own = list(subjects)
    if asked is not None and set(asked.suites) == {_COMPARING}:
        return subjects
    if "base" in request.baselines:
        for each in own:
            gguf = made(each.quantization, "base")
            subjects.append(replace(each, baseline="base", gguf=gguf, reference=None))
    if "F16" in request.baselines:
        gguf = made(own[0].quantization, "F16")
        subjects.append(replace(own[0], baseline="F16", gguf=gguf, reference=None))
    return subjects


def package_folder(target: str, packages: Path) -> Path | None:
    """The directory of the package that a target names, itself or by its run; ``None`` for a file."""
    path = Path(target)
    if not path.is_dir():
        return None
    if (path / PACKAGE_FILE).exists():
        return path
    beside = packages / path.resolve().name
    return beside if (beside / PACKAGE_FILE).exists() else None


def load_evaluations(directories: Sequence[Path]) -> list[Evaluation]:
    """The records in directories of evaluations."""
    return [Evaluation.load(directory) for directory in directories]
