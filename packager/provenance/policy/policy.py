"""A policy that was read: its keys, and the signers that it trusts."""

from __future__ import annotations

from dataclasses import dataclass

from starfreight.opt_out_list import OptOutList
from starfreight.packager.provenance.policy.models import PolicyFile
from starfreight.packager.provenance.signing.local_key import key_hint
from starfreight.packager.provenance.signing.verified import (
    SignatureReport,
    SignerIdentity,
    VerifiedSignature,
)
from starfreight.packager.provenance.trust import Trust
from starfreight.packager.provenance.trust.fulcio_extensions import CertificateClaims
from starfreight.packager.provenance.trust.identity import identity_misfit


@dataclass(frozen=True)
class Policy:
    """A user's rules for packages.

    Attributes:
        file: the keys.
        trust: the signers; empty without ``signers``.
        where: the file.
        digest: its ``sha256:...``.
        opt_out: the list of ``data.opt_out``.
    """

    file: PolicyFile
    trust: Trust
    where: str
    digest: str
    opt_out: OptOutList | None = None

    def trusts(self, signer: SignerIdentity) -> bool:
        """True for one of the policy's signers; without ``signers``, for every one that verified."""
        if not self.trust:
            return True
        if signer.kind == "key":
            return any(key_hint(each.key) == signer.key_hint for each in self.trust.keys)
        claims = CertificateClaims(signer.identity or "", signer.issuer, signer.claims)
        return any(identity_misfit(each.identities, claims) is None for each in self.trust.rooted)

    def signatures(self, report: SignatureReport) -> tuple[VerifiedSignature, ...]:
        """The signatures of the policy's signers."""
        return tuple(each for each in report.signatures if self.trusts(each.signer))
