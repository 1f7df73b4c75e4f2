"""Run the checks side by side, each with its own limit of time."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Any

from starfreight.commands.machine.finding import Check, Finding
from starfreight.console import Console


@dataclass(frozen=True)
class Examination:
    """The findings by the names of their checks."""

    findings: dict[str, Finding]

    @property
    def complete(self) -> bool:
        """True if nothing is missing."""
        return all(finding.state != "missing" for finding in self.findings.values())

    def as_dict(self) -> dict[str, Any]:
        """The findings as ``--json`` prints them."""
        return {"machine": {name: finding.as_dict() for name, finding in self.findings.items()}}

    def as_text(self) -> str:
        """The findings, a line each, with the remedy below."""
        width = max(map(len, self.findings))
        lines = []
        for name, finding in self.findings.items():
            lines.append(f"{finding.state:7}  {name:{width}}  {finding.text}")
            if finding.fix:
                lines.append(f"{'':{width + 11}}fix: {finding.fix}")
        return "\n".join(lines)


def examine(checks: tuple[Check, ...], console: Console) -> Examination:
    """Run checks; one that fails or does not end is a finding, too."""
    found: dict[str, Finding] = {}

    def run(check: Check) -> None:
        try:
            found[check.name] = check.run()
        except Exception as error:  # A doctor must not fall ill over one organ.
            found[check.name] = Finding("warning", f"the check failed: {type(error).__name__}: {error}"[:300])

    threads = [threading.Thread(target=run, args=(check,), daemon=True) for check in checks]
    start = time.monotonic()
    with console.progress("Checking", total=len(checks), unit="checks") as advance:
        for thread in threads:
            thread.start()
        for thread, check in zip(threads, checks, strict=True):
            thread.join(max(0, start + check.seconds - time.monotonic()))
            advance(1)
    late = "did not answer in time"
    return Examination(
        {
            check.name: found.get(check.name) or Finding("warning", f"{late} ({check.seconds:.0f} s)")
            for check in checks
        }
    )
