"""The plug points of signing: keys sign messages, and signers sign statements, with ECDSA on P-256."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ec


@dataclass(frozen=True)
class Material:
    """Material to verify a signature with. Exactly one of the first two is given.

    Attributes:
        key_hint: identifies the public key, which the verifier has already.
        certificate: the signer's, in DER.
        timestamps: RFC 3161 answers about the signature, in DER.
        log_entries: entries of a transparency log, as the bundle's JSON has them.
    """

    key_hint: str | None = None
    certificate: bytes | None = None
    timestamps: tuple[bytes, ...] = ()
    log_entries: tuple[object, ...] = ()


@dataclass(frozen=True)
class Signature:
    """A signature.

    Attributes:
        value: in DER.
        material: for its verification.
    """

    value: bytes
    material: Material


class Signer(Protocol):
    """Signs statements."""

    @property
    def name(self) -> str:
        """Name for people, without secrets."""
        ...

    def sign_statement(self, payload: bytes) -> Signature:
        """Signs the DSSE encoding of an in-toto statement.

        Raises:
            InputError: the key cannot be used.
            ServiceError: a service of the signer does not answer.
        """
        ...

    def has_signed(self, payload: bytes, signature: Signature) -> bool:
        """True for a valid signature of this signer, so that it need not sign the statement again."""
        ...


@runtime_checkable
class Key(Signer, Protocol):
    """A private key: in a file, in a token, or in a service."""

    def sign(self, message: bytes) -> Signature:
        """Signs the SHA-256 of a message.

        Raises:
            InputError: the key cannot be used.
            ServiceError: a service of the signer does not answer.
        """
        ...

    def public_key(self) -> ec.EllipticCurvePublicKey:
        """Its public half."""
        ...
