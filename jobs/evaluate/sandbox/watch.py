"""The limits of a box that its parent has to watch: those of all its processes together."""

from __future__ import annotations

from dataclasses import dataclass

from starfreight.jobs.evaluate.sandbox.box_directory import BoxDirectory
from starfreight.jobs.evaluate.sandbox.interface import Limits
from starfreight.jobs.evaluate.sandbox.resource_use import resource_use

_OWN = 1
"""Processes of a sandbox: the server."""


@dataclass(frozen=True)
class Watch:
    """Watches a box.

    Attributes:
        process: the first process of its sandbox.
        limits: of the box.
        counts: true if nothing else limits the number of processes exactly.
        directory: the directory that it writes to, unless that has a limit of its own.
    """

    process: int
    limits: Limits
    counts: bool
    directory: BoxDirectory | None

    def exceeded(self) -> str | None:
        """The name of a limit that is exceeded now."""
        use = resource_use(self.process)
        if use.memory > self.limits.memory:
            return "memory"
        if self.counts and use.threads > self.limits.processes + _OWN:
            return "processes"
        if self.directory is not None:
            size = self.directory.size()
            if size is None or size > self.limits.disk:
                return "disk"
        return None
