"""Duties of licenses: each is met, not met, or for the publisher to judge."""

from starfreight.packager.provenance.duties.gate import check_license_gate, duty_refusal
from starfreight.packager.provenance.duties.of_package import judge_package, package_duties
from starfreight.packager.provenance.duties.planned import planned_duties
from starfreight.packager.provenance.duties.report import DutyReport, DutyResult, judge_duties

__all__ = [
    "DutyReport", "DutyResult", "check_license_gate", "duty_refusal", "judge_duties", "judge_package",
    "package_duties", "planned_duties",
]  # fmt: skip
