"""Chains of signers' certificates: up to a trusted authority, at the time of signing."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import (
    Criticality,
    ExtensionPolicy,
    Policy,
    PolicyBuilder,
    Store,
    VerificationError,
)

from starfreight.packager.provenance.trust.trusted_root import Authority

_PURPOSES = (ExtendedKeyUsageOID.CODE_SIGNING, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE)


def is_issued_by(certificate: x509.Certificate, authorities: Iterable[Authority]) -> bool:
    """True if a CA of one of the authorities signed the certificate, at whatever time."""
    return any(
        _signed(certificate, ca)
        for authority in authorities
        for ca in authority.certificates
        if ca.subject == certificate.issuer
    )


def chain_problem(
    certificate: x509.Certificate, authorities: Iterable[Authority], time: datetime
) -> str | None:
    """``None`` for a certificate that may sign code and is valid at a time; else completes "It ...".

    Args:
        certificate: the signer's.
        authorities: trusted.
        time: of the signature.
    """
    if not certificate.not_valid_before_utc <= time <= certificate.not_valid_after_utc:
        return (
            f"was signed at {_utc(time)}, but its certificate is valid from "
            f"{_utc(certificate.not_valid_before_utc)} to {_utc(certificate.not_valid_after_utc)} only"
        )
    problem = "has a certificate of no trusted authority"
    for authority in authorities:
        if not any(_signed(certificate, ca) for ca in authority.certificates):
            continue
        if not authority.is_valid_at(time):
            problem = f"was signed at {_utc(time)}, when its certificate authority was not in use"
            continue
        try:
            _verify(certificate, authority, time)
        except (VerificationError, ValueError, x509.UnsupportedGeneralNameType) as error:
            reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
            problem = f"has a certificate that does not verify: {reason}"
            continue
        return None
    return problem


def _verify(certificate: x509.Certificate, authority: Authority, time: datetime) -> None:
    *intermediates, root = authority.certificates
    # Extensions of private CAs differ from those of the web's: OpenSSL's own roots have no key usage.
    ca = (
        ExtensionPolicy.permit_all()
        .require_present(x509.BasicConstraints, Criticality.AGNOSTIC, _is_ca)
        .may_be_present(x509.KeyUsage, Criticality.AGNOSTIC, _signs_certificates)
        .may_be_present(x509.ExtendedKeyUsage, Criticality.AGNOSTIC, _permits_code_signing)
    )
    signer = (
        ExtensionPolicy.permit_all()
        .require_present(x509.SubjectAlternativeName, Criticality.AGNOSTIC, None)
        .require_present(x509.ExtendedKeyUsage, Criticality.AGNOSTIC, _signs_code)
        .may_be_present(x509.KeyUsage, Criticality.AGNOSTIC, _signs_data)
        .may_be_present(x509.BasicConstraints, Criticality.AGNOSTIC, _is_not_ca)
    )
    builder = PolicyBuilder().store(Store([root])).time(time.replace(microsecond=0))
    verifier = builder.extension_policies(ca_policy=ca, ee_policy=signer).build_client_verifier()
    verifier.verify(certificate, intermediates)


def _signed(certificate: x509.Certificate, ca: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(ca)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _is_ca(policy: Policy, certificate: x509.Certificate, extension: x509.BasicConstraints) -> None:
    if not extension.ca:
        raise ValueError("an issuer is not a certificate authority")


def _is_not_ca(
    policy: Policy, certificate: x509.Certificate, extension: x509.BasicConstraints | None
) -> None:
    if extension is not None and extension.ca:
        raise ValueError("it is a certificate authority itself")


def _signs_certificates(
    policy: Policy, certificate: x509.Certificate, extension: x509.KeyUsage | None
) -> None:
    if extension is not None and not extension.key_cert_sign:
        raise ValueError("an issuer may not sign certificates")


def _signs_data(policy: Policy, certificate: x509.Certificate, extension: x509.KeyUsage | None) -> None:
    if extension is not None and not extension.digital_signature:
        raise ValueError("its key usage lacks digital signatures")


def _signs_code(policy: Policy, certificate: x509.Certificate, extension: x509.ExtendedKeyUsage) -> None:
    if ExtendedKeyUsageOID.CODE_SIGNING not in extension:
        raise ValueError("its extended key usage lacks code signing")


def _permits_code_signing(
    policy: Policy, certificate: x509.Certificate, extension: x509.ExtendedKeyUsage | None
) -> None:
    if extension is not None and not any(each in extension for each in _PURPOSES):
        raise ValueError("an issuer's extended key usage lacks code signing")


def _utc(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M:%S} UTC"
