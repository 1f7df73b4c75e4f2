"""Signers' certificates, as both kinds of certificate verifiers read them."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from starfreight.packager.provenance.signing.bundle import Bundle
from starfreight.packager.provenance.trust.certificate_chain import is_issued_by
from starfreight.packager.provenance.trust.fulcio_extensions import CertificateClaims, read_claims
from starfreight.packager.provenance.trust.identity import TrustedIdentity, identity_misfit
from starfreight.packager.provenance.trust.interface import UnknownSignerError
from starfreight.packager.provenance.trust.trusted_root import Authority

_MAX_CERTIFICATE_BYTES = 64 << 10


def trusted_certificate(
    bundle: Bundle, authorities: Sequence[Authority], identities: Sequence[TrustedIdentity]
) -> tuple[x509.Certificate, CertificateClaims]:
    """The certificate of a bundle, if a trusted authority issued it to a trusted identity.

    Its validity is not checked.

    Raises:
        UnknownSignerError: the certificate is of another authority or identity, or cannot be read.
    """
    data = bundle.signature.material.certificate or b""
    if len(data) > _MAX_CERTIFICATE_BYTES:
        raise UnknownSignerError(f"has a certificate of more than {_MAX_CERTIFICATE_BYTES:,} bytes")
    try:
        certificate = x509.load_der_x509_certificate(data)
        issued = is_issued_by(certificate, authorities)
    except (ValueError, x509.InvalidVersion) as error:
        raise UnknownSignerError("has a certificate that cannot be read") from error
    if not issued:
        raise UnknownSignerError("has a certificate that none of the trusted authorities issued")
    try:
        claims = read_claims(certificate)
    except ValueError as error:
        raise UnknownSignerError(str(error)) from error
    misfit = identity_misfit(identities, claims)
    if misfit is not None:
        raise UnknownSignerError(misfit)
    return certificate, claims


def certificate_hint(certificate: x509.Certificate) -> str:
    """SHA-256 of the public key's DER encoding, in base64."""
    try:
        der = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except (ValueError, UnsupportedAlgorithm):
        der = certificate.public_bytes(Encoding.DER)
    return base64.b64encode(hashlib.sha256(der).digest()).decode()
