"""Check the evaluations of a package, and its quality rules."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from starfreight.evaluation_statement import FIGURES
from starfreight.image_layout.reader import ImageLayout
from starfreight.package_evaluations import (
    MAX_STATEMENT_BYTES,
    PackagedEvaluation,
    PackageEvaluations,
    read_evaluations,
)
from starfreight.packager.evaluation.gate import check_package
from starfreight.packager.provenance.signing.verified import SignatureReport
from starfreight.packager.provenance.verify.interface import Examined, Finding


class EvaluationsCheck:
    """Shows the attached evaluations, the signed ones apart, and the verdict of the quality rules.

    A missed rule is no reason to refuse here: the files are what they are said to be. ``publish`` refuses it,
    and so does a policy with minimum figures.
    """

    name = "evaluations"

    def findings(self, examined: Examined) -> Iterator[Finding]:
        """See :meth:`Check.findings`."""
        found = with_signatures(examined, read_evaluations(examined.folder, examined.package))
        unsigned = [each for each in found.evaluations if not each.signed]
        count = len(found.evaluations)
        data = {"evaluations": count, "unsigned": len(unsigned)}
        if not count:
            yield Finding("noted", "No evaluation is attached.", data=data)
        elif unsigned:
            are = "evaluation is" if count == 1 else "evaluations are"
            how = "unsigned" if len(unsigned) == count else f"{len(unsigned)} of them unsigned"
            if any(each.signed is None for each in unsigned):
                how = "and no signature was checked"
            yield Finding("noted", f"{count} {are} attached, {how}.", data=data)
        else:
            are = "evaluation is" if count == 1 else "evaluations are"
            yield Finding("passed", f"{count} {are} attached and signed.", data=data)
        for problem in found.problems:
            yield Finding("noted", f"An evaluation was left out: {problem.rstrip('.')}.")
        verdict = check_package(examined.folder, examined.package)
        if verdict is None:
            yield Finding("passed", "The package has no quality rules.", data={"quality": None})
        else:
            level = "passed" if verdict.result == "PASSED" else "noted"
            lines = "; ".join(verdict.as_lines())
            yield Finding(
                "passed" if level == "passed" else "noted",
                f"Quality gate: {verdict.result}: {lines}.",
                data={"quality": verdict.as_dict()},
            )


def with_signatures(examined: Examined, found: PackageEvaluations) -> PackageEvaluations:
    """The evaluations with ``signed`` as the check of the signatures found it, if there was one."""
    if not examined.signatures.checked:
        return found
    return signed_figures(examined.signatures, examined.layout, found)


def signed_figures(
    report: SignatureReport, layout: ImageLayout, found: PackageEvaluations
) -> PackageEvaluations:
    """The evaluations with ``signed`` as a check of the signatures found it.

    Args:
        report: of a check with signers to trust.
        layout: the package's files.
        found: its evaluations.
    """
    trusted = _signed_predicates(report)
    marked = (replace(each, signed=_predicate(layout, each) in trusted) for each in found.evaluations)
    return replace(found, evaluations=tuple(marked))


def _signed_predicates(report: SignatureReport) -> frozenset[str]:
    """The predicates about figures that a trusted signer signed. They verified, so they are valid JSON."""
    return frozenset(
        _text(json.loads(each.payload)["predicate"])
        for each in report.signatures
        if each.predicate_type == FIGURES
    )


def _predicate(layout: ImageLayout, evaluation: PackagedEvaluation) -> str:
    data = layout.read(evaluation.statement, MAX_STATEMENT_BYTES)
    return _text(json.loads(data)["predicate"])


def _text(predicate: Any) -> str:
    return json.dumps(predicate, sort_keys=True)
