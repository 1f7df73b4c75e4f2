"""Why a build failed, from what BuildKit said last."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from starfreight.errors import GateError, InputError, ServiceError, StarfreightError

_LAST = 5
_PULLED = "failed to resolve source metadata"

_CAUSES: tuple[tuple[str, type[StarfreightError], str, str], ...] = (
    (
        r"no space left on device|disk quota exceeded",
        ServiceError,
        "There is no room left on the disk of the Docker Engine.",
        "free some (docker system df shows what is there, docker builder prune deletes old layers), then run"
        " the same command again",
    ),
    (
        r"DO NOT MATCH THE HASHES",
        GateError,
        "A file is not the one that the lock file names.",
        "fetch the wheelhouse again, or look at who answers in the index's place",
    ),
    (
        r"exec format error|no match for platform|does not match the specified platform"
        r"|no matching manifest for|does not provide the specified platform"
        r"|unknown operating system or architecture|invalid platform"
        r"|is an invalid (OS|architecture) component",
        InputError,
        "The base image is not of that platform, or this machine cannot run that platform's programs.",
        "leave --platform out, choose a base image of that platform, or install QEMU's binfmt handlers",
    ),
    (
        r"CERTIFICATE_VERIFY_FAILED|certificate verify failed|x509: certificate|certificate is NOT trusted",
        ServiceError,
        "A server's certificate is not trusted.",
        "name your network's certificates with --ca FILE",
    ),
    (
        r"dial tcp|no such host|i/o timeout|temporary failure (in name resolution|resolving)"
        r"|Failed to establish a new connection|Could not (resolve|connect)"
        r"|connection (refused|timed out)",
        ServiceError,
        "The network cannot be reached from the build.",
        "check the connection and the proxy; without a network: --wheelhouse DIR, and a --base-image that is"
        " here already",
    ),
    (
        r"pull access denied|manifest unknown|repository does not exist|failed to resolve source metadata"
        r"|failed to create LLB definition|invalid reference format|: not found$",
        InputError,
        "There is no such base image, or it may not be pulled.",
        "check --base-image; docker login may be needed",
    ),
)


def explain(lines: Iterable[str], log: Path, other_platform: str | None = None) -> StarfreightError:
    """The error to raise for a build that failed.

    Args:
        lines: the last that BuildKit wrote.
        log: the file with all of it.
        other_platform: of the base image that is here, when another one was asked for.
    """
    said = list(lines)
    if other_platform and any("failed to create LLB definition" in line or _PULLED in line for line in said):
        return InputError(
            f"The base image that is here is of {other_platform}, and one of the platform that was asked for"
            f" cannot be had: {_bare(said[-1])}",
            where=str(log),
            fix="leave --platform out, or choose a base image of that platform",
        )
    for pattern, kind, what, fix in _CAUSES:
        for line in reversed(said):
            if re.search(pattern, line, re.IGNORECASE):
                return kind(f"{what} BuildKit said: {_bare(line)}", where=str(log), fix=fix)
    printed = [line for line in said if re.match(r"#\d+ \d+\.\d+ ", line)]
    tail = " / ".join(_bare(line) for line in (printed or said)[-_LAST:])
    return ServiceError(f"The build failed: {tail}", where=str(log), fix="read the log, which has every line")


def _bare(line: str) -> str:
    return re.sub(r"^#\d+ (\d+\.\d+ )?", "", line).strip()[:500]
