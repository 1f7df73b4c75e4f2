"""Certificates of a private CA, as firms without access to Sigstore's services have them.

    authority = TimestampAuthority("https://tsa.example.org/")
    signer = CertificateSigner(LocalKey.load(key, None), read_certificate(path), authority)

The certificate says who signs: ``gh`` reads the repository and the workflow from the extensions that Fulcio
defines. The timestamp proves that the certificate was valid when it signed.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from starfreight.errors import InputError
from starfreight.files import read_limited
from starfreight.packager.provenance.signing.interface import Key, Material, Signature
from starfreight.packager.provenance.signing.local_key import key_has_signed, key_hint
from starfreight.packager.provenance.signing.timestamp_authority import TimestampAuthority

_LIMIT = 256 << 10


class CertificateSigner:
    """A key with a certificate.

    Raises:
        InputError: the certificate is of another key, or not valid now.
    """

    def __init__(
        self, key: Key, certificate: x509.Certificate, authority: TimestampAuthority, where: str = ""
    ) -> None:
        spki = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        try:
            certified = certificate.public_key().public_bytes(*spki)
        except (ValueError, UnsupportedAlgorithm):
            certified = b""  # Of a kind of key that no key here is.
        if certified != key.public_key().public_bytes(*spki):
            raise InputError(
                "The certificate is of another key.", where=where or None, fix="give the key that it is about"
            )
        now = datetime.now(UTC)
        if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
            raise InputError(
                f"The certificate is valid from {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} to "
                f"{certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC, not now.",
                where=where or None,
                fix="get a new one from your CA",
            )
        self._key, self._certificate, self._authority = key, certificate, authority
        self.name = certificate.subject.rfc4514_string() or key.name

    @property
    def key(self) -> Key:
        """The key, for formats that take no timestamp."""
        return self._key

    @property
    def certificate(self) -> bytes:
        """The certificate in DER."""
        return self._certificate.public_bytes(Encoding.DER)

    def sign_statement(self, payload: bytes) -> Signature:
        """See :meth:`Signer.sign_statement`."""
        value = self._key.sign_statement(payload).value
        stamp = self._authority.stamp(value)
        return Signature(value, Material(certificate=self.certificate, timestamps=(stamp,)))

    def has_signed(self, payload: bytes, signature: Signature) -> bool:
        """See :meth:`Signer.has_signed`."""
        material = signature.material
        if material.certificate != self.certificate or not material.timestamps:
            return False
        public = self._key.public_key()
        return key_has_signed(public, payload, Signature(signature.value, Material(key_hint(public))))


def read_certificate(path: Path) -> x509.Certificate:
    """Reads the first certificate of a PEM file: the signer's own.

    Raises:
        InputError: no such file, or no certificate in it.
    """
    try:
        return x509.load_pem_x509_certificates(read_limited(path, _LIMIT, "certificate"))[0]
    except ValueError as error:
        raise InputError(
            "The certificate cannot be read.", where=str(path), fix="give a certificate in PEM"
        ) from error
