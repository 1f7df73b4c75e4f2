"""The kinds of jobs by name. Kinds are imported on first use."""

from __future__ import annotations

import importlib
from pathlib import Path

from starfreight.errors import InputError
from starfreight.jobs.kinds.interface import Job, JobKind

KINDS = {
    "train": "starfreight.jobs.train.kind:TRAIN",
    "evaluate": "starfreight.jobs.evaluate.kind:EVALUATE",
}
"""``module:attribute`` of each kind's :class:`JobKind`."""


def find_kind(name: str) -> JobKind:
    """The kind with a name in the table.

    Raises:
        KeyError: the name is unknown.
    """
    module, _, attribute = KINDS[name].partition(":")
    kind: JobKind = getattr(importlib.import_module(module), attribute)
    return kind


def all_kinds() -> tuple[JobKind, ...]:
    """Every kind, in the order of the table."""
    return tuple(find_kind(name) for name in KINDS)


def kind_of(directory: Path) -> JobKind | None:
    """The kind of the job in a directory, by the record in it; ``None`` if it has none."""
    return next((kind for kind in all_kinds() if (directory / kind.record_file).exists()), None)


def load_job(directory: Path) -> Job:
    """The job in a directory.

    Raises:
        InputError: the directory holds no job, or its record cannot be read.
    """
    kind = kind_of(directory)
    if kind is None:
        raise InputError(
            "The directory holds no job.",
            where=str(directory),
            fix="name the directory of a run; starfreight jobs list shows them",
        )
    return kind.load(directory)
