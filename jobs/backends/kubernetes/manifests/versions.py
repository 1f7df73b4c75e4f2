"""Support for older versions of Kubernetes: unsupported fields are left out with a warning.

A server silently drops unknown fields, and the job then behaves differently. The versions here are the first
ones with a field enabled by default (feature gate beta or stable).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from starfreight.errors import RecipeError

Version = tuple[int, int]

OLDEST: Version = (1, 19)
"""First version with the fields that restricted pods need (``seccompProfile``)."""
NEWEST: Version = (1, 37)
"""Newest version whose schemas the templates were validated against."""

INDEXED_JOBS: Version = (1, 22)
IMAGE_VOLUMES: Version = (1, 36)
POD_FAILURE_POLICY: Version = (1, 26)
BACKOFF_PER_INDEX: Version = (1, 29)

_VERSION = re.compile(r"v?(\d{1,3})\.(\d{1,3})(?:[.+-].*)?")


@dataclass(frozen=True)
class VersionedField:
    """A field of a Job that older servers lack.

    Attributes:
        path: inside the Job.
        since: first version with the field enabled.
        without: effect of leaving it out.
    """

    path: str
    since: Version
    without: str


FIELDS = (
    VersionedField(
        "spec.ttlSecondsAfterFinished",
        (1, 21),
        "a finished Job stays until it is deleted",
    ),
    VersionedField(
        "spec.podReplacementPolicy",
        (1, 29),
        "a new pod may start while the old one is writing its checkpoint, and waits for it",
    ),
    VersionedField(
        "spec.backoffLimitPerIndex",
        BACKOFF_PER_INDEX,
        "all variants share their retries, and one that keeps failing can end the others",
    ),
    VersionedField(
        "spec.podFailurePolicy",
        POD_FAILURE_POLICY,
        "exit codes are not distinguished, so failed pods are not retried automatically: resume the job",
    ),
)
"""Fields by version; ``docs/kubernetes.md`` has the same table."""


def parse_version(text: str) -> Version:
    """``1.34``, ``v1.34.2`` or ``v1.31.4+k3s1`` as numbers.

    Raises:
        RecipeError: the text is not a version, or the version is too old for restricted pods.
    """
    match = _VERSION.fullmatch(text.strip())
    if match is None:
        raise RecipeError(
            f"{text[:40]!r} is not a version of Kubernetes.",
            where="option --for-version",
            fix="write it like 1.34",
        )
    version = (int(match[1]), int(match[2]))
    if version < OLDEST:
        raise RecipeError(
            f"Kubernetes {text[:40]} is too old: it does not support restricted pods.",
            where="version of the server",
            fix=f"use {version_text(OLDEST)} or newer",
        )
    return version


def version_text(version: Version) -> str:
    """A version as text, e.g. ``1.34``."""
    return f"{version[0]}.{version[1]}"


def left_out_warning(path: str, since: Version, without: str) -> str:
    """Warning for a field that is left out, with the first version that supports it and the effect."""
    return f"{path} is left out, because it needs Kubernetes {version_text(since)}: {without}."


def leave_out_unknown(job: dict[str, Any], server: Version, *, pods: int) -> list[str]:
    """Removes fields that a server does not support from a Job, and adjusts the rest.

    Args:
        job: a Job; it is changed in place.
        server: version of the server.
        pods: minimum number of pods of the Job.

    Returns:
        a warning for each removed field.
    """
    warnings = []
    spec = job["spec"]
    for field in FIELDS:
        name = field.path.removeprefix("spec.")
        if server < field.since and name in spec:
            del spec[name]
            warnings.append(left_out_warning(field.path, field.since, field.without))
            if name in _INSTEAD:
                _INSTEAD[name](spec, pods)
    return warnings


def _share_retries(spec: dict[str, Any], pods: int) -> None:
    # One failing variant must not use up the retries of the others.
    spec["backoffLimit"] = 2 * pods
    for rule in spec.get("podFailurePolicy", {}).get("rules", []):
        if rule["action"] == "FailIndex":
            rule["action"] = "Count"


def _fail_at_once(spec: dict[str, Any], pods: int) -> None:
    # An invalid recipe must not be retried. In a sweep, each variant may fail once.
    spec["backoffLimit"] = pods if pods > 1 else 0


_INSTEAD: dict[str, Callable[[dict[str, Any], int], None]] = {
    "backoffLimitPerIndex": _share_retries,
    "podFailurePolicy": _fail_at_once,
}
