"""Explains a failed build from the last lines of BuildKit's output."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from starfreight.errors import GateError, InputError, ServiceError, StarfreightError

_LAST = 5
_ERRORS = 3
_SEARCHED = 25
_LONGEST = 500
_FAILED = re.compile(r"#(\d+) ERROR")
_PRINTED = re.compile(r"#(\d+) \d+\.\d+ ")
_QUOTED = re.compile(r"\s*\d+ \| |-{6,}$|\s*> \[")
"""Lines around BuildKit's last error that quote the Dockerfile, where a long RUN takes dozens of lines."""
_COMPLAINT = re.compile(
    r"\b(error|fatal|failed|denied|killed|cannot|could not|not found|no such)\b|^E: ", re.IGNORECASE
)
_PULLED = "failed to resolve source metadata"

_CAUSES: tuple[tuple[str, type[StarfreightError], str, str], ...] = (
    (
        r"no space left on device|disk quota exceeded",
        ServiceError,
        "No space is left on the Docker Engine's disk.",
        "free some space (docker system df lists its use, docker builder prune deletes old layers), then run"
        " the same command again",
    ),
    (
        r"DO NOT MATCH THE HASHES",
        GateError,
        "A file does not match the lock file.",
        "download the wheelhouse again, or find out which server answers for the index",
    ),
    (
        r"exec format error|no match for platform|does not match the specified platform"
        r"|no matching manifest for|does not provide the specified platform"
        r"|unknown operating system or architecture|invalid platform"
        r"|is an invalid (OS|architecture) component",
        InputError,
        "The base image is for another platform, or this machine cannot run programs for that platform.",
        "omit --platform, choose a base image for that platform, or install QEMU's binfmt handlers",
    ),
    (
        r"CERTIFICATE_VERIFY_FAILED|certificate verify failed|x509: certificate|certificate is NOT trusted",
        ServiceError,
        "A server's certificate is not trusted.",
        "pass your network's certificates with --ca FILE",
    ),
    (
        r"dial tcp|no such host|i/o timeout|temporary failure (in name resolution|resolving)"
        r"|Failed to establish a new connection|Could not (resolve|connect)"
        r"|connection (refused|timed out)",
        ServiceError,
        "The build cannot reach the network.",
        "check the connection and the proxy; without a network: --wheelhouse DIR and a --base-image that the"
        " engine has",
    ),
    (
        r"pull access denied|manifest unknown|repository does not exist|failed to resolve source metadata"
        r"|failed to create LLB definition|invalid reference format|: not found$",
        InputError,
        "The base image does not exist, or this account may not pull it.",
        "check --base-image; run docker login if the registry needs it",
    ),
)


def explain(lines: Iterable[str], log: Path, other_platform: str | None = None) -> StarfreightError:
    """The error to raise for a failed build.

    Args:
        lines: the last lines of BuildKit's output.
        log: the file with all of its output.
        other_platform: the platform of the local base image, if the build is for another one.
    """
    said = list(lines)
    if other_platform and any("failed to create LLB definition" in line or _PULLED in line for line in said):
        return InputError(
            f"The local base image is for {other_platform}, and none could be pulled for the other platform:"
            f" {_bare(said[-1])}",
            where=str(log),
            fix="omit --platform, or choose a base image for that platform",
        )
    printed = _printed_by_failed_step(said)
    own = [line for line in said if not _PRINTED.match(line) and not _QUOTED.match(line)]
    for pattern, kind, what, fix in _CAUSES:
        for line in (*reversed(own[-_SEARCHED:]), *reversed(printed[-_SEARCHED:])):
            if re.search(pattern, line, re.IGNORECASE):
                return kind(f"{what} BuildKit said: {_bare(line)}", where=str(log), fix=fix)
    tail = " / ".join(map(_bare, _telling(printed or own)))
    return ServiceError(f"The build failed: {tail}", where=str(log), fix="read the log for all of the output")


def _printed_by_failed_step(said: list[str]) -> list[str]:
    """The output of the step that failed; of all steps if none is marked."""
    failed = next((found[1] for line in reversed(said) if (found := _FAILED.match(line))), None)
    printed = [(found[1], line) for line in said if (found := _PRINTED.match(line))]
    return [line for number, line in printed if failed in (None, number)] or [line for _, line in printed]


def _telling(lines: list[str]) -> list[str]:
    """The last lines, and before them the last ones that complain: cleaning up may come after the cause."""
    earlier = [line for line in lines[:-_LAST] if _COMPLAINT.search(_without_number(line))]
    return [*earlier[-_ERRORS:], *lines[-_LAST:]]


def _bare(line: str) -> str:
    """A line without BuildKit's numbers; a long one keeps its end, where the cause stands."""
    text = _without_number(line)
    half = _LONGEST // 2
    return text if len(text) <= _LONGEST else f"{text[:half]} ... {text[-half:]}"


def _without_number(line: str) -> str:
    return re.sub(r"^#\d+ (\d+\.\d+ )?", "", line).strip()
