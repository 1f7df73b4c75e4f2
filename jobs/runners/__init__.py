"""Where a job runs: each place is a file behind one interface."""

from __future__ import annotations

from jobs.runners.interface import Runner
from jobs.runners.local import LocalRunner

__all__ = ["RUNNERS", "Runner"]

RUNNERS: dict[str, type[LocalRunner]] = {"local": LocalRunner}
"""The places by the names that ``--on`` takes."""
