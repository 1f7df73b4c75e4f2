"""Refuse to publish a package while a duty of its licenses is not met."""

from __future__ import annotations

from pathlib import Path

from starfreight.console import human_count
from starfreight.errors import GateError
from starfreight.package import Package
from starfreight.packager.provenance.duties.of_package import package_duties
from starfreight.packager.provenance.duties.report import DutyReport, DutyResult

_SHOWN = 3


def check_license_gate(folder: Path, package: Package | None = None) -> DutyReport:
    """Refuse a package that does not meet a duty of its licenses.

    Args:
        folder: its directory.
        package: its record, if it is loaded.

    Raises:
        InputError: no package there.
        GateError: a duty is not met, or a part of the package cannot be read.
    """
    report = package_duties(folder, package)
    if report.unmet:
        raise duty_refusal(report.unmet, str(folder))
    return report


def duty_refusal(unmet: tuple[DutyResult, ...], where: str) -> GateError:
    """The error for duties that are not met.

    Args:
        unmet: at least one.
        where: the package, or the recipe.
    """
    first = unmet[0]
    listed = "; ".join(
        f"{each.license[:100]}{', ' + each.paragraph if each.paragraph else ''}: {each.why}"
        for each in unmet[:_SHOWN]
    )
    more = f"; and {len(unmet) - _SHOWN} more" if len(unmet) > _SHOWN else ""
    count = human_count(len(unmet), "duties")
    return GateError(
        f"{count} of the model's licenses {'is' if len(unmet) == 1 else 'are'} not met: {listed}{more}.",
        where=where,
        fix=first.how,
    )
