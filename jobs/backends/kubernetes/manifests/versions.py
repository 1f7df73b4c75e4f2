"""What servers of which version know: fields that one does not know are left out, and named.

A server drops fields that it does not know without a word, and a job then does something else than it says.
The versions are those that have a field switched on by default (Kubernetes' feature gates: beta, or stable).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from starfreight.errors import RecipeError

Version = tuple[int, int]

OLDEST: Version = (1, 19)
"""The first one with the fields that restricted pods need (``seccompProfile``)."""
NEWEST: Version = (1, 37)
"""The newest one whose schemas the templates were checked against."""

INDEXED_JOBS: Version = (1, 22)
IMAGE_VOLUMES: Version = (1, 36)
POD_FAILURE_POLICY: Version = (1, 26)
BACKOFF_PER_INDEX: Version = (1, 29)

_VERSION = re.compile(r"v?(\d{1,3})\.(\d{1,3})(?:[.+-].*)?")


@dataclass(frozen=True)
class Field:
    """A field of a Job that not every server knows.

    Attributes:
        path: inside the Job.
        since: the first version that has it switched on.
        without: what the job does without it.
    """

    path: str
    since: Version
    without: str


_FIELDS = (
    Field(
        "spec.ttlSecondsAfterFinished",
        (1, 21),
        "a Job that has ended stays until it is deleted",
    ),
    Field(
        "spec.podReplacementPolicy",
        (1, 29),
        "a new pod can start while the old one still writes its checkpoint, and waits for it",
    ),
    Field(
        "spec.backoffLimitPerIndex",
        BACKOFF_PER_INDEX,
        "the variants share one number of retries, and one that keeps failing can end the others",
    ),
    Field(
        "spec.podFailurePolicy",
        POD_FAILURE_POLICY,
        "exit codes cannot be told apart, so no pod is tried again by itself: resume the job",
    ),
)


def parse_version(text: str) -> Version:
    """``1.34``, ``v1.34.2`` or ``v1.31.4+k3s1`` as numbers.

    Raises:
        RecipeError: none of these, or older than what restricted pods need.
    """
    match = _VERSION.fullmatch(text.strip())
    if match is None:
        raise RecipeError(
            f"{text[:40]!r} is no version of Kubernetes.", where="option --for-version", fix="write 1.34"
        )
    version = (int(match[1]), int(match[2]))
    if version < OLDEST:
        raise RecipeError(
            f"Kubernetes {text[:40]} is too old: it cannot lock a pod down.",
            where="the server's version",
            fix=f"use {show(OLDEST)} or newer",
        )
    return version


def show(version: Version) -> str:
    """``1.34``."""
    return f"{version[0]}.{version[1]}"


def left_out(path: str, since: Version, without: str) -> str:
    """The warning that a field is left out, since when it is known, and what happens without it."""
    return f"{path} is left out, which Kubernetes knows from {show(since)} on: {without}."


def leave_out_unknown(job: dict[str, Any], server: Version, *, pods: int) -> list[str]:
    """Takes out of a Job what a server does not know, and makes the best of what is left.

    Args:
        job: is changed. Whatever has ``spec`` as a Job has.
        server: its version.
        pods: how many the Job makes at least.

    Returns:
        a warning for each field that is gone.
    """
    warnings = []
    spec = job["spec"]
    for field in _FIELDS:
        name = field.path.removeprefix("spec.")
        if server < field.since and name in spec:
            del spec[name]
            warnings.append(left_out(field.path, field.since, field.without))
            _INSTEAD.get(name, _nothing)(spec, pods)
    return warnings


def fields_that_depend_on_the_server() -> Iterator[Field]:
    """The table, for the documentation."""
    yield from _FIELDS


def _nothing(spec: dict[str, Any], pods: int) -> None:
    """The rest is as it should be."""


def _share_retries(spec: dict[str, Any], pods: int) -> None:
    # Enough that one variant does not use up what the others may need.
    spec["backoffLimit"] = 2 * pods
    for rule in spec.get("podFailurePolicy", {}).get("rules", []):
        if rule["action"] == "FailIndex":
            rule["action"] = "Count"


def _fail_at_once(spec: dict[str, Any], pods: int) -> None:
    # A bad recipe must not be tried again. In a sweep each variant may fail once.
    spec["backoffLimit"] = pods if pods > 1 else 0


_INSTEAD: dict[str, Callable[[dict[str, Any], int], None]] = {
    "backoffLimitPerIndex": _share_retries,
    "podFailurePolicy": _fail_at_once,
}
