"""Check: the duties of the licenses of the base model and of the data are met."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from starfreight.packager.provenance.verify.interface import Examined, Finding, Level

if TYPE_CHECKING:
    from starfreight.packager.provenance.duties import DutyResult


class DutiesCheck:
    """License duties. Those that only the publisher can judge are noted."""

    name = "license duties"

    def findings(self, examined: Examined) -> Iterator[Finding]:
        """Judge every duty."""
        from starfreight.packager.provenance.duties import judge_package

        report = judge_package(examined.layout, examined.package, examined.provenance, examined.data)
        for each in report.results:
            if not each.of_data:
                what = f"{each.license}, {each.paragraph}: {each.what.rstrip('.')} ({each.why})."
                yield Finding(_level(each), what, fix=_fix(each), data=each.as_dict())
        for group in report.of_data():
            yield Finding(
                _level(group.first),
                f"Data under {group.licenses}: {group.first.what}",
                fix=_fix(group.first),
                data={"duties": [each.as_dict() for each in group.results]},
            )
        if examined.package.training_data is None:
            yield Finding("noted", "The licenses of the training data are not in the package.")
        for note in report.notes:
            yield Finding("noted", note)


def _level(result: DutyResult) -> Level:
    return "refused" if result.refuses else "passed" if result.state == "met" else "noted"


def _fix(result: DutyResult) -> str | None:
    return result.how if result.refuses else None
