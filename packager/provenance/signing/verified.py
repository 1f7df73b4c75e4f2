"""The result of checking a package's signatures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from starfreight.pages.visible_text import visible

SignerKind = Literal["key", "private-ca", "sigstore"]


@dataclass(frozen=True)
class SignerIdentity:
    """The signer of a bundle that verified.

    Attributes:
        kind: a bare key, a certificate of a private CA, or one of Sigstore's.
        name: for people: the key's file and hint, or the certificate's identity.
        key_hint: SHA-256 of the public key's DER encoding, in base64.
        identity: the certificate's subject alternative name; of a workflow, its address with its ref.
        issuer: the OpenID Connect issuer in the certificate.
        claims: Fulcio's other extensions by name: ``source_repository_uri``, ``build_signer_uri``,
            ``run_invocation_uri`` ... (:mod:`starfreight.packager.provenance.trust.fulcio_extensions`).
        signed_at: time proven by a timestamp authority or a log; ``None`` for a bare key.
    """

    kind: SignerKind
    name: str
    key_hint: str
    identity: str | None = None
    issuer: str | None = None
    claims: Mapping[str, str] = field(default_factory=dict)
    signed_at: datetime | None = None

    def in_words(self) -> str:
        """E.g. ``the key acme.pub``, ``https://github.com/... (issuer https://...)``."""
        if self.kind == "key":
            return f"the key {visible(self.name)}"
        issuer = f" (issuer {visible(self.issuer)})" if self.issuer else ""
        return f"{visible(self.identity or self.name)}{issuer}"

    def as_dict(self) -> dict[str, Any]:
        """The signer for ``--json``."""
        return {
            "kind": self.kind,
            "name": self.name,
            "key_hint": self.key_hint,
            "identity": self.identity,
            "issuer": self.issuer,
            "claims": dict(self.claims),
            "signed_at": self.signed_at.isoformat() if self.signed_at else None,
        }


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
        problems: wrong signatures of trusted signers, one sentence each; they refuse the package.
        unknown: number of bundles of other signers than the trusted ones, and of unreadable ones.
        unsigned: tags of the manifests without a trusted signature of the provenance.
        untrusted: the reason for each bundle in ``unknown``, each sentence once.
        unsigned_statements: predicate type of each statement of the package, besides its provenance, without
            a trusted signature: what was added after signing.
    """

    checked: bool
    signatures: tuple[VerifiedSignature, ...] = ()
    problems: tuple[str, ...] = ()
    unknown: int = 0
    unsigned: tuple[str, ...] = ()
    untrusted: tuple[str, ...] = ()
    unsigned_statements: tuple[str, ...] = ()

    @property
    def verified(self) -> bool:
        """True if every manifest has a trusted signature, and no trusted signature is wrong."""
        return self.checked and not self.problems and not self.unsigned

    @property
    def signers(self) -> tuple[SignerIdentity, ...]:
        """The signers of all signatures that verified, each once."""
        found = {(each.signer.key_hint, each.signer.identity): each.signer for each in self.signatures}
        return tuple(found.values())
