"""Identities in certificates: whose signatures to trust."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from starfreight.errors import InputError
from starfreight.packager.provenance.trust.fulcio_extensions import CLAIMS, CertificateClaims
from starfreight.packager.provenance.trust.pattern import matches

_MAX_LENGTH = 2000


@dataclass(frozen=True)
class TrustedIdentity:
    """A signer known by its certificate. Everything that is given has to match.

    Attributes:
        identity: subject alternative name: exact, or with ``*`` and ``**`` as in
            :mod:`starfreight.packager.provenance.trust.pattern`.
        issuer: the exact OpenID Connect issuer; ``None`` accepts any, which is right only under a root that
            is the user's own.
        claims: exact values or patterns of Fulcio's claims by name, e.g. ``source_repository_uri``.

    Raises:
        InputError: nothing is given, or a claim is unknown.
    """

    identity: str | None = None
    issuer: str | None = None
    claims: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.identity is None and not self.claims:
            raise InputError(
                "A signer's identity needs a name or a claim.",
                fix="give --identity, such as https://github.com/ORG/REPO/.github/workflows/train.yml@refs/tags/*",
            )
        unknown = [name for name in self.claims if name not in CLAIMS]
        if unknown:
            raise InputError(
                f"Certificates have no claim {unknown[0][:80]!r}.", fix=f"known claims: {', '.join(CLAIMS)}"
            )
        for text in (self.identity, self.issuer, *self.claims.values()):
            if text is not None and not 0 < len(text) <= _MAX_LENGTH:
                raise InputError(
                    f"A signer's identity is empty or longer than {_MAX_LENGTH:,} characters.",
                    fix="write it as certificates have it, with * for a part and ** for any text",
                )

    def misfit(self, found: CertificateClaims) -> str | None:
        """The first difference to a certificate; ``None`` if it is this signer."""
        if self.identity is not None and not matches(self.identity, found.identity):
            return f"is signed by {found.identity}"
        if self.issuer is not None and self.issuer != found.issuer:
            return f"has a certificate of the issuer {found.issuer or '(none)'}"
        for name, value in self.claims.items():
            if not matches(value, found.values.get(name, "")):
                return f"has a certificate with {name} {found.values.get(name, '(none)')}"
        return None


def identity_misfit(identities: Iterable[TrustedIdentity], found: CertificateClaims) -> str | None:
    """``None`` if a certificate is of one of the identities; else a reason, of the first one."""
    reasons = [each.misfit(found) for each in identities]
    return None if None in reasons or not reasons else reasons[0]
