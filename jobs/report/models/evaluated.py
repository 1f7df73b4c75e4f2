"""Model files with all that was measured of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property, partial
from pathlib import Path

from starfreight.errors import StarfreightError
from starfreight.evaluation import EvaluatedModel, Evaluation, Scores, SuiteResult
from starfreight.jobs.report.models.subjects import LeftOut, Subjects
from starfreight.package import Package, Variant
from starfreight.package_evaluations import read_evaluations, result_weight

ModelKey = tuple[str | None, ...]
"""Digests of the files that decide what a model answers, or its address and name."""


@dataclass(frozen=True)
class Measured:
    """An evaluation of a model.

    Attributes:
        evaluation: the record.
        folder: its directory; ``None`` for one inside a package.
        load: reads the values of the items; raises or returns ``None`` if they are missing.
    """

    evaluation: Evaluation
    folder: Path | None
    load: Callable[[], Scores | None]

    @cached_property
    def scores(self) -> Scores | None:
        """Values of the items; ``None`` if they are missing, damaged or of another evaluation."""
        try:
            return self.load()
        except (StarfreightError, OSError, RecursionError):
            return None

    @property
    def ended(self) -> float:
        """Time of the end, for the order of evaluations; 0 if it is unknown."""
        try:
            return datetime.fromisoformat(self.evaluation.ended or "").timestamp()
        except (ValueError, OverflowError):
            return 0.0


@dataclass
class EvaluatedFile:
    """A model: a GGUF file with its adapter, template and settings, or a server's.

    Attributes:
        key: its identity.
        name: of the package, or the evaluated model.
        quantization: ``None`` if unknown.
        size: bytes of the file, with those of an adapter; ``None`` if unknown.
        package: name of its package.
        run: id of its run.
        measured: its evaluations, the latest first.
    """

    key: ModelKey
    name: str
    quantization: str | None
    size: int | None
    package: str | None
    run: str | None
    measured: list[Measured] = field(default_factory=list)

    def results(self) -> dict[str, tuple[Measured, SuiteResult]]:
        """The result of each suite that counts: as in a package, of the most problems, then the latest."""
        found: dict[str, tuple[Measured, SuiteResult]] = {}
        for each in self.measured:
            for result in each.evaluation.results:
                if result.skipped is None and result.figures:
                    best = found.get(result.suite)
                    if best is None or result_weight(each.evaluation, result) > result_weight(
                        best[0].evaluation, best[1]
                    ):
                        found[result.suite] = each, result
        return found

    def skipped(self) -> dict[str, str]:
        """Suites that were not run, with the reasons."""
        results = [result for each in self.measured for result in each.evaluation.results]
        done = self.results()
        return {each.suite: each.skipped for each in results if each.skipped and each.suite not in done}


def file_label(file: EvaluatedFile) -> str:
    """Name of a model with its quantization."""
    if not file.quantization or file.quantization.lower() in file.name.lower():
        return file.name
    return f"{file.name} {file.quantization}"


def collect(subjects: Subjects) -> tuple[tuple[EvaluatedFile, ...], tuple[LeftOut, ...]]:
    """Collect the model files of packages, and all evaluated ones.

    Returns:
        The files, and the evaluations that were left out.
    """
    files: dict[ModelKey, EvaluatedFile] = {}
    left_out: list[LeftOut] = list(subjects.left_out)
    for folder in subjects.packages:
        package = Package.load(folder)
        for variant in package.variants:
            key, size = _packaged(package, variant)
            files.setdefault(
                key,
                EvaluatedFile(key, package.name, str(variant.quantization), size, package.name, package.run),
            )
        found = read_evaluations(folder, package)
        left_out += [LeftOut(package.name, problem) for problem in found.problems]
        for attached in found.evaluations:
            _add(files, attached.evaluation, None, partial(attached.load_scores, folder))
    for folder, evaluation in subjects.evaluations:  # After those inside: directories have examples, too.
        if evaluation.status != "done":
            left_out.append(LeftOut(folder.name, f"It is not finished: its status is {evaluation.status}."))
        else:
            _add(files, evaluation, folder, partial(Scores.load, folder, evaluation))
    for file in files.values():
        file.measured.sort(key=lambda each: each.ended, reverse=True)
    return tuple(files.values()), tuple(left_out)


def _packaged(package: Package, variant: Variant) -> tuple[ModelKey, int]:
    adapter = package.adapter
    digests = [each.digest if each else None for each in (adapter, package.template, package.settings)]
    return (variant.gguf.digest, *digests), variant.gguf.size + (adapter.size if adapter else 0)


def _add(
    files: dict[ModelKey, EvaluatedFile],
    evaluation: Evaluation,
    folder: Path | None,
    load: Callable[[], Scores | None],
) -> None:
    model = evaluation.model
    key = _identity(evaluation)
    file = files.setdefault(
        key, EvaluatedFile(key, model.name, model.quantization, model.size, model.package, model.run)
    )
    # One in a directory is often inside its package, too.
    same = next((each for each in file.measured if _is_same(each.evaluation, evaluation)), None)
    if same is not None:
        file.measured.remove(same)
    file.measured.append(Measured(evaluation, folder, load))


def _is_same(first: Evaluation, second: Evaluation) -> bool:
    return (first.id, first.ended, first.results) == (second.id, second.ended, second.results)


def _identity(evaluation: Evaluation) -> ModelKey:
    model: EvaluatedModel = evaluation.model
    if model.gguf is not None:
        return (model.gguf, model.adapter, model.template, model.settings)
    if model.server is not None:
        return (model.server, model.server_model, None, None)
    return (evaluation.id, None, None, None)


def suites_of(files: Iterable[EvaluatedFile]) -> Iterator[str]:
    """All suites, in the order of their first appearance."""
    yield from dict.fromkeys(suite for file in files for suite in file.results())
