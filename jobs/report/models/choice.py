"""The model to ship, among those compared."""

from __future__ import annotations

from starfreight.choose_model import Candidate, Choice, choose_best
from starfreight.errors import InputError
from starfreight.jobs.report.models.comparison import Comparison
from starfreight.jobs.report.models.evaluated import EvaluatedFile, file_label

_BASELINES = ("-base", "-F16")
"""Ends of the names of models that are evaluated beside a package's; they are not shipped."""


def choose(comparison: Comparison) -> Choice:
    """Choose by the figure of the Pareto front: the smallest file within the interval of the best one.

    Models without that figure or without a size, and baselines, are no candidates.

    Raises:
        InputError: there is no candidate.
    """
    front = comparison.front
    candidates = []
    for number, cell in front.quality.cells.items() if front else ():
        file = comparison.files[number - 1]
        if file.size is not None and not _is_baseline(file):
            evaluation = cell.measured.evaluation.model_copy(update={"results": (cell.result,)})
            candidates.append(Candidate(f"[{number}] {file_label(file)}", file.size, evaluation))
    if front is None or not candidates:
        raise InputError(
            "There is no model to choose: none has a size and a figure of quality that others have, too.",
            where="option --choose",
            fix="evaluate the models with the same suites, e.g. with jobs evaluate --quantization all",
        )
    return choose_best(candidates, front.quality.path)


def _is_baseline(file: EvaluatedFile) -> bool:
    names = [each.evaluation.model.name for each in file.measured]
    return any(name.endswith(_BASELINES) for name in names)
