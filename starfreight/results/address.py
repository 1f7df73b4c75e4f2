"""Addresses of results: ``oci://HOST/NAMESPACE/NAME``, ``s3://BUCKET/PREFIX``; ``:RUN-ID`` is one of them.

An address is in recipes and in annotations of jobs, and never contains credentials.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from starfreight.errors import InputError
from starfreight.registry.reference import parse_digest_reference

REGISTRY_SCHEMES = ("oci", "oci+http")
"""``oci+http`` is a registry over plain http."""
STORAGE_SCHEMES = ("s3", "gs", "az")
_SCHEMES = (*REGISTRY_SCHEMES, *STORAGE_SCHEMES)

RESULT_NAME = r"[a-z0-9][a-z0-9._-]{0,127}"
"""The name of a run or a package, also valid as a tag."""
PACKAGE_SUFFIX = ".package"
"""End of the name of a package; the rest is the name of its run or its job."""

_LONGEST = 500
_ADDRESS = re.compile(r"([a-z0-9+]{2,10})://(.*)", re.DOTALL)
_NAME = re.compile(RESULT_NAME)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,221}")
_PREFIX = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}")
_SHAPE = "write oci://HOST/NAMESPACE/NAME, s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or az://CONTAINER/PREFIX"


@dataclass(frozen=True)
class Place:
    """A repository of a registry, or a prefix of a bucket.

    Attributes:
        scheme: one of ``oci``, ``oci+http``, ``s3``, ``gs`` and ``az``.
        host: the registry's host with its port, or the name of the bucket.
        path: the repository, or the prefix of all objects; empty for a whole bucket.
    """

    scheme: str
    host: str
    path: str

    def __str__(self) -> str:
        """As in a recipe."""
        return f"{self.scheme}://{self.host}" + (f"/{self.path}" if self.path else "")


@dataclass(frozen=True)
class ResultAddress:
    """One result.

    Attributes:
        place: its registry or bucket.
        name: the run's id, or the name of the job; ``None`` for a digest.
        digest: of the result, ``sha256:...``; ``None`` for a name.
    """

    place: Place
    name: str | None
    digest: str | None

    def __str__(self) -> str:
        """As on a command line."""
        return f"{self.place}@{self.digest}" if self.digest else f"{self.place}:{self.name}"


def is_address(text: str | Path) -> bool:
    """True for text that is an address rather than a path or the name of a job."""
    found = _ADDRESS.match(str(text))
    return found is not None and found[1] in _SCHEMES


def parse_place(text: str) -> Place:
    """Parse the address where a recipe keeps its results.

    Raises:
        InputError: malformed, or with credentials.
    """
    shown = repr(text[:200])
    found = _ADDRESS.fullmatch(text)
    if found is None or len(text) > _LONGEST:
        raise _wrong(shown, "is not valid", _SHAPE)
    scheme, rest = found.groups()
    if scheme not in _SCHEMES:
        raise _wrong(shown, f"has the unknown scheme {scheme!r}", _SHAPE)
    host, _, path = rest.partition("/")
    if "@" in host:
        raise _wrong("(not shown)", "contains a user name or a password", "omit it; keep it in a Secret")
    if scheme in REGISTRY_SCHEMES:
        try:  # The rules of references for reading: a path of any depth in lower case.
            parse_digest_reference(f"{rest}@sha256:{'0' * 64}")
        except InputError:
            raise _wrong(
                shown, "has no valid host or path", "write oci://HOST/NAMESPACE/NAME, in lower case"
            ) from None
        return Place(scheme, host, path)
    if not _BUCKET.fullmatch(host):
        raise _wrong(shown, f"has the bucket {host[:80]!r}", _SHAPE)
    path = path.rstrip("/")
    if path and not all(_PREFIX.fullmatch(part) for part in path.split("/")):
        raise _wrong(shown, f"has the prefix {path[:80]!r}", "use letters, digits, dots, dashes and slashes")
    return Place(scheme, host, path)


def parse_address(text: str) -> ResultAddress:
    """Parse the address of one result: a place with ``:NAME`` or ``@sha256:...``.

    Raises:
        InputError: malformed, or without a name.
    """
    shown = repr(text[:200])
    rest, at, digest = text.rpartition("@")
    if at and rest:
        if not _DIGEST.fullmatch(digest):
            # The text after an @ may be a password's end.
            parse_place(text)
            raise _wrong(shown, "has no valid digest", "write sha256: and 64 hex digits in lower case")
        return ResultAddress(parse_place(rest), None, digest)
    start, colon, name = text.rpartition(":")
    if not colon or "/" in name:
        place = parse_place(text)
        raise _wrong(shown, "names no run", f"append its id or the name of its job: {place}:RUN-ID")
    place = parse_place(start)
    if not _NAME.fullmatch(name):
        raise _wrong(shown, f"has the name {name[:80]!r}", f"append the id of a run: {place}:RUN-ID")
    return ResultAddress(place, name, None)


def _wrong(shown: str, what: str, fix: str) -> InputError:
    return InputError(f"The address of results {what}.", where=shown, fix=fix)
