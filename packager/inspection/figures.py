"""The figures of the evaluations, and the verdict of the quality rules."""

from __future__ import annotations

from starfreight.package_evaluations import read_evaluations
from starfreight.packager.cli.evaluations import evaluation_lines, evaluations_as_data
from starfreight.packager.evaluation.gate import check_package
from starfreight.packager.inspection.interface import Inspected, Shown
from starfreight.packager.provenance.verify.evaluations import signed_figures


def figures(inspected: Inspected) -> Shown:
    """See :class:`~starfreight.packager.inspection.interface.Section`."""
    found = read_evaluations(inspected.folder, inspected.package)
    if inspected.signatures is not None and inspected.signatures.checked:
        found = signed_figures(inspected.signatures, inspected.layout, found)
    lines = [line.removeprefix("  ") for line in evaluation_lines(inspected.package, found)]
    data = {"evaluations": evaluations_as_data(found), "evaluation_problems": list(found.problems)}
    return Shown("Evaluations", lines or ["none: nobody has measured the model"], data)


def quality(inspected: Inspected) -> Shown:
    """See :class:`~starfreight.packager.inspection.interface.Section`."""
    verdict = check_package(inspected.folder, inspected.package)
    if verdict is None:
        return Shown("", data={"quality": None})
    return Shown(f"Quality gate: {verdict.result}", list(verdict.as_lines()), {"quality": verdict.as_dict()})
