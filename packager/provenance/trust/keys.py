"""Bare keys: trusted one by one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from starfreight.errors import GateError, InputError
from starfreight.packager.provenance.signing.bundle import Bundle
from starfreight.packager.provenance.signing.envelope import pre_authentication_encoding
from starfreight.packager.provenance.signing.local_key import check_signature, key_hint, read_public_key
from starfreight.packager.provenance.signing.verified import SignerIdentity
from starfreight.packager.provenance.trust.interface import UnknownSignerError, WrongSignatureError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ec


@dataclass(frozen=True)
class TrustedKey:
    """A public key: ECDSA on P-256.

    Attributes:
        name: for people, such as its file's name.
        key: the key.
    """

    name: str
    key: ec.EllipticCurvePublicKey

    @classmethod
    def read(cls, path: Path) -> TrustedKey:
        """Read a public key in PEM.

        Raises:
            InputError: no such key.
        """
        return cls(path.name, read_public_key(path))

    @classmethod
    def parse(cls, name: str, pem: str) -> TrustedKey:
        """Read a public key from a text in PEM.

        Raises:
            InputError: not such a key.
        """
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ec

        try:
            key = serialization.load_pem_public_key(pem.encode())
        except (ValueError, UnsupportedAlgorithm) as error:
            raise InputError(
                "The public key cannot be read.", where=name, fix="give a public key in PEM"
            ) from error
        if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
            raise InputError(
                "The public key is not an ECDSA key on the curve P-256.",
                where=name,
                fix="give one of this kind",
            )
        return cls(name, key)


class KeyVerifier:
    """Verifies bundles that name one of the trusted keys by its hint."""

    def __init__(self, keys: Sequence[TrustedKey]) -> None:
        self._keys = {key_hint(each.key): each for each in keys}

    def accepts(self, bundle: Bundle) -> bool:
        """See :meth:`BundleVerifier.accepts`."""
        return bundle.signature.material.certificate is None

    def verify(self, bundle: Bundle, data: bytes) -> SignerIdentity:
        """See :meth:`BundleVerifier.verify`."""
        hint = bundle.signature.material.key_hint or ""
        trusted = self._keys.get(hint)
        if trusted is None:
            raise UnknownSignerError("is signed with a key that is not trusted")
        try:
            check_signature(trusted.key, pre_authentication_encoding(bundle.payload), bundle.signature.value)
        except GateError as error:
            raise WrongSignatureError(
                f"names the key {trusted.name}, but its signature is of another key, or its statement has "
                "changed since it was signed"
            ) from error
        return SignerIdentity("key", trusted.name, hint)
