"""The result of checking a package's signatures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal


@dataclass(frozen=True)
class SignerIdentity:
    """The signer of a bundle that verified.

    Attributes:
        kind: a bare key, a certificate of a private CA, or one of Sigstore's.
        name: for people: the key's file and hint, or the certificate's identity.
        key_hint: SHA-256 of the public key's DER encoding, in base64.
        identity: the certificate's subject alternative name; of a workflow, its address with its ref.
        issuer: the OpenID Connect issuer in the certificate.
        claims: more of Fulcio's extensions by name: ``source_repository``, ``build_signer_uri``, ``run``...
        signed_at: time proven by a timestamp authority or a log; ``None`` for a bare key.
    """

    kind: Literal["key", "private-ca", "sigstore"]
    name: str
    key_hint: str
    identity: str | None = None
    issuer: str | None = None
    claims: Mapping[str, str] = field(default_factory=dict)
    signed_at: datetime | None = None


@dataclass(frozen=True)
class VerifiedSignature:
    """A bundle of a trusted signer about this package.

    Attributes:
        subject: digest of the manifest that it is attached to.
        predicate_type: of the signed statement.
        payload: the signed statement.
        signer: whose signature it is.
        bundle: digest of the bundle.
    """

    subject: str
    predicate_type: str
    payload: bytes
    signer: SignerIdentity
    bundle: str


@dataclass(frozen=True)
class SignatureReport:
    """All signatures of a package.

    Attributes:
        checked: true if the user named a signer to trust. Without one, signatures are only counted.
        signatures: those that verified.
        problems: signatures that are wrong, one sentence each; they refuse the package.
        unknown: bundles of other signers than the trusted ones.
        unsigned: tags of the manifests without a trusted signature of the provenance.
    """

    checked: bool
    signatures: tuple[VerifiedSignature, ...] = ()
    problems: tuple[str, ...] = ()
    unknown: int = 0
    unsigned: tuple[str, ...] = ()

    @property
    def signers(self) -> tuple[SignerIdentity, ...]:
        """The signers of the provenance, each once."""
        return tuple({each.signer.key_hint: each.signer for each in self.signatures}.values())
