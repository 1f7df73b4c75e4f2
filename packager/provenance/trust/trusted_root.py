"""Trusted roots: the certificates, timestamp authorities and logs of a Sigstore instance or a private CA.

    for root in read_trusted_roots(Path("trusted_root.jsonl")):
        print(root.authorities, root.timestamp_authorities, root.has_logs)

One JSON document, or JSON Lines as ``gh attestation trusted-root`` writes them. Source:
https://github.com/sigstore/protobuf-specs (``sigstore_trustroot.proto``).
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

from cryptography import x509
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from starfreight.console import human_count
from starfreight.errors import InputError
from starfreight.files import read_limited
from starfreight.strict_json import strict_loads

MAX_ROOT_BYTES = 4 << 20
_MAX_ROOTS = 32
_MEDIA_TYPE = re.compile(
    r"application/vnd\.dev\.sigstore\.trustedroot(\+json;version=0\.[12]|\.v0\.[12]\+json)"
)
_FIX = "give the file that gh takes as --custom-trusted-root, or trusted_root.json of a Sigstore instance"


@dataclass(frozen=True)
class Authority:
    """A certificate or timestamp authority.

    Attributes:
        certificates: from the leaf or the lowest CA up to the root.
        start: begin of its validity; ``None`` for always.
        end: end of its validity; ``None`` while it is in use.
    """

    certificates: tuple[x509.Certificate, ...]
    start: datetime | None
    end: datetime | None

    def is_valid_at(self, time: datetime) -> bool:
        """True if it was in use at a time."""
        return (self.start is None or self.start <= time) and (self.end is None or time <= self.end)


@dataclass(frozen=True)
class TrustedRoot:
    """A root of trust.

    Attributes:
        where: its file and line.
        authorities: for signers' certificates.
        timestamp_authorities: for RFC 3161 timestamps.
        has_logs: true for an instance with transparency logs; its bundles need an entry in one of them.
        data: its JSON.
    """

    where: str
    authorities: tuple[Authority, ...]
    timestamp_authorities: tuple[Authority, ...]
    has_logs: bool
    data: bytes


def read_trusted_roots(path: Path) -> tuple[TrustedRoot, ...]:
    """Read the roots in a file of at most 4 MiB.

    Raises:
        InputError: missing, too large, or not such a file; names the line.
    """
    return parse_trusted_roots(read_limited(path, MAX_ROOT_BYTES, "trusted root"), str(path))


def parse_trusted_roots(data: bytes, where: str) -> tuple[TrustedRoot, ...]:
    """Parse one root in JSON, or several in JSON Lines.

    Raises:
        InputError: see :func:`read_trusted_roots`.
    """
    try:
        strict_loads(data)
    except ValueError:
        lines = [(number, line) for number, line in enumerate(data.split(b"\n"), 1) if line.strip()]
    else:
        lines = [(0, data)]
    if not 0 < len(lines) <= _MAX_ROOTS:
        raise InputError(
            f"The trusted root has {human_count(len(lines), 'lines')}; it needs 1 to {_MAX_ROOTS}.",
            where=where,
            fix=_FIX,
        )
    return tuple(_root(line, f"{where}, line {number}" if number else where) for number, line in lines)


def _root(data: bytes, where: str) -> TrustedRoot:
    try:
        read = _Root.model_validate(strict_loads(data))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        at = ".".join(str(part) for part in first["loc"])[:200]
        raise InputError(
            f"The trusted root is not valid: {at or 'it'}: {first['msg']}.", where=where, fix=_FIX
        ) from error
    except ValueError as error:
        raise InputError(f"The trusted root is not valid JSON: {error}.", where=where, fix=_FIX) from error
    if not _MEDIA_TYPE.fullmatch(read.mediaType):
        raise InputError(
            f"The trusted root has the unknown media type {read.mediaType[:80]!r}.", where=where, fix=_FIX
        )
    if not read.certificateAuthorities:
        raise InputError("The trusted root has no certificate authority.", where=where, fix=_FIX)
    if not read.tlogs and not read.timestampAuthorities:
        raise InputError(
            "The trusted root has neither a timestamp authority nor a log to prove the time of signatures.",
            where=where,
            fix=_FIX,
        )
    return TrustedRoot(
        where=where,
        authorities=tuple(_authorities(read.certificateAuthorities, where)),
        timestamp_authorities=tuple(_authorities(read.timestampAuthorities, where)),
        has_logs=bool(read.tlogs),
        data=data,
    )


def _authorities(found: list[_Authority], where: str) -> Iterator[Authority]:
    for each in found:
        try:
            certificates = tuple(
                x509.load_der_x509_certificate(base64.b64decode(one.rawBytes, validate=True))
                for one in each.certChain.certificates
            )
            period = each.validFor or _Period()
            yield Authority(certificates, _time(period.start), _time(period.end))
        except (binascii.Error, ValueError, OverflowError) as error:
            raise InputError(
                "The trusted root has a certificate or a time that cannot be read.", where=where, fix=_FIX
            ) from error


def _time(text: str | None) -> datetime | None:
    if text is None:
        return None
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError("a time without an offset")
    return found


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)


class _Certificate(_Part):
    rawBytes: Annotated[str, Field(max_length=100_000)]


class _Chain(_Part):
    certificates: Annotated[list[_Certificate], Field(min_length=1, max_length=10)]


class _Period(_Part):
    start: Annotated[str, Field(max_length=50)] | None = None
    end: Annotated[str, Field(max_length=50)] | None = None


class _Authority(_Part):
    certChain: _Chain
    validFor: _Period | None = None


class _Root(_Part):
    mediaType: str
    tlogs: Annotated[list[dict[str, Any]], Field(max_length=100)] = []
    certificateAuthorities: Annotated[list[_Authority], Field(max_length=100)] = []
    ctlogs: Annotated[list[dict[str, Any]], Field(max_length=100)] = []
    timestampAuthorities: Annotated[list[_Authority], Field(max_length=100)] = []
