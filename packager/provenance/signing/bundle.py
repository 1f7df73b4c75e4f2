"""Sigstore bundles, version 0.3: a DSSE envelope and the material to verify it.

    bundle = Bundle(payload, signature)
    path.write_bytes(bundle.as_bytes())
    parse_bundle(path.read_bytes()) == bundle

Source: https://github.com/sigstore/protobuf-specs (``sigstore_bundle.proto``). Verifiers written in Go refuse
unknown fields, more than one signature, and a chain of certificates; so does :func:`parse_bundle`.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from starfreight.errors import GateError
from starfreight.packager.provenance.signing.envelope import PAYLOAD_TYPE
from starfreight.packager.provenance.signing.interface import Material, Signature
from starfreight.strict_json import strict_loads

MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
MAX_BUNDLE_BYTES = 16 << 20
"""As much as ``actions/attest`` takes."""


@dataclass(frozen=True)
class Bundle:
    """A signed statement.

    Attributes:
        payload: the statement.
        signature: over its encoding by :mod:`starfreight.packager.provenance.signing.envelope`.
    """

    payload: bytes
    signature: Signature

    def as_bytes(self) -> bytes:
        """The bundle as compact JSON. Equal bundles have equal bytes."""
        material = self.signature.material
        shown: dict[str, Any] = {}
        if material.certificate is not None:
            shown["certificate"] = {"rawBytes": _text(material.certificate)}
        else:
            shown["publicKey"] = {"hint": material.key_hint}
        if material.log_entries or material.certificate is not None:
            shown["tlogEntries"] = list(material.log_entries)
        if material.timestamps:
            stamps = [{"signedTimestamp": _text(each)} for each in material.timestamps]
            shown["timestampVerificationData"] = {"rfc3161Timestamps": stamps}
        envelope = {
            "payload": _text(self.payload),
            "payloadType": PAYLOAD_TYPE,
            "signatures": [{"sig": _text(self.signature.value)}],
        }
        bundle = {"mediaType": MEDIA_TYPE, "verificationMaterial": shown, "dsseEnvelope": envelope}
        return json.dumps(bundle, separators=(",", ":")).encode()


def parse_bundle(data: bytes, where: str) -> Bundle:
    """Reads a bundle of anybody.

    Args:
        data: the JSON.
        where: its place, for errors.

    Raises:
        GateError: not such a bundle; names the first wrong field.
    """
    if len(data) > MAX_BUNDLE_BYTES:
        raise _refused(f"is larger than {MAX_BUNDLE_BYTES:,} bytes", where)
    try:
        read = _Bundle.model_validate(strict_loads(data))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        at = ".".join(str(part) for part in first["loc"])
        raise _refused(f"is not one of version 0.3: {at or 'it'}: {first['msg']}", where) from error
    except ValueError as error:
        raise _refused(f"is not valid JSON: {error}", where) from error
    material, envelope = read.verificationMaterial, read.dsseEnvelope
    if (material.publicKey is None) == (material.certificate is None):
        raise _refused("needs either a certificate or the hint of a public key", where)
    stamps = material.timestampVerificationData
    try:
        return Bundle(
            _bytes(envelope.payload),
            Signature(
                _bytes(envelope.signatures[0].sig),
                Material(
                    material.publicKey.hint if material.publicKey else None,
                    _bytes(material.certificate.rawBytes) if material.certificate else None,
                    tuple(_bytes(each.signedTimestamp) for each in stamps.rfc3161Timestamps)
                    if stamps
                    else (),
                    tuple(material.tlogEntries),
                ),
            ),
        )
    except (binascii.Error, ValueError) as error:
        raise _refused("has a field that is not valid base64", where) from error


def _refused(what: str, where: str) -> GateError:
    return GateError(f"The Sigstore bundle {what}.", where=where, fix="sign the package again")


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _bytes(text: str) -> bytes:
    data = base64.b64decode(text, validate=True)
    if _text(data) != text:  # Bits that decoders ignore would be a second spelling.
        raise ValueError("not canonical")
    return data


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class _PublicKey(_Part):
    hint: Annotated[str, Field(max_length=200)]


class _Certificate(_Part):
    rawBytes: str


class _Timestamp(_Part):
    signedTimestamp: str


class _Timestamps(_Part):
    rfc3161Timestamps: Annotated[list[_Timestamp], Field(max_length=8)]


class _Material(_Part):
    publicKey: _PublicKey | None = None
    certificate: _Certificate | None = None
    tlogEntries: Annotated[list[dict[str, Any]], Field(max_length=8)] = []
    timestampVerificationData: _Timestamps | None = None


class _Signature(_Part):
    sig: Annotated[str, Field(min_length=1)]
    keyid: str = ""


class _Envelope(_Part):
    payload: str
    payloadType: Annotated[str, Field(pattern=f"^{PAYLOAD_TYPE.replace('+', '[+]')}$")]
    signatures: Annotated[list[_Signature], Field(min_length=1, max_length=1)]


class _Bundle(_Part):
    mediaType: Annotated[str, Field(pattern=f"^{MEDIA_TYPE.replace('+', '[+]').replace('.', '[.]')}$")]
    verificationMaterial: _Material
    dsseEnvelope: _Envelope
