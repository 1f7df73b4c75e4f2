"""Certificates of a private CA, with RFC 3161 timestamps: no logs, no network.

The trusted root is the one that ``gh attestation verify --custom-trusted-root`` takes.
"""

from __future__ import annotations

from collections.abc import Sequence

from starfreight.packager.provenance.signing.bundle import Bundle
from starfreight.packager.provenance.signing.envelope import pre_authentication_encoding
from starfreight.packager.provenance.signing.verified import SignerIdentity
from starfreight.packager.provenance.trust.certificate_chain import chain_problem
from starfreight.packager.provenance.trust.certificates import certificate_hint, trusted_certificate
from starfreight.packager.provenance.trust.identity import TrustedIdentity
from starfreight.packager.provenance.trust.interface import WrongSignatureError
from starfreight.packager.provenance.trust.signature_algorithms import signature_problem
from starfreight.packager.provenance.trust.timestamps import proven_times
from starfreight.packager.provenance.trust.trusted_root import TrustedRoot


class PrivateCaVerifier:
    """Verifies bundles with a certificate under a root without transparency logs."""

    def __init__(self, root: TrustedRoot, identities: Sequence[TrustedIdentity]) -> None:
        self._root, self._identities = root, tuple(identities)

    def accepts(self, bundle: Bundle) -> bool:
        """See :meth:`BundleVerifier.accepts`."""
        return bundle.signature.material.certificate is not None

    def verify(self, bundle: Bundle, data: bytes) -> SignerIdentity:
        """See :meth:`BundleVerifier.verify`."""
        root, signature = self._root, bundle.signature
        certificate, claims = trusted_certificate(bundle, root.authorities, self._identities)
        message = pre_authentication_encoding(bundle.payload)
        problem = signature_problem(certificate, message, signature.value)
        if problem is not None:
            raise WrongSignatureError(problem)
        times = proven_times(signature.material.timestamps, signature.value, root.timestamp_authorities)
        for time in times:
            problem = chain_problem(certificate, root.authorities, time)
            if problem is not None:
                raise WrongSignatureError(problem)
        return SignerIdentity(
            "private-ca",
            certificate.subject.rfc4514_string() or claims.identity,
            certificate_hint(certificate),
            claims.identity,
            claims.issuer,
            claims.values,
            min(times),
        )
