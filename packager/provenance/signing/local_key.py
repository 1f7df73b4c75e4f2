"""Keys in files: ECDSA on P-256, encrypted, which every verifier reads.

generate_key(Path("starfreight.key"), Path("starfreight.pub"), password)
signer = LocalKey.load(Path("starfreight.key"), password)
check_signature(read_public_key(Path("starfreight.pub")), message, signer.sign(message).value)
"""

from __future__ import annotations

import base64
import hashlib
import os
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from starfreight.errors import GateError, InputError
from starfreight.files import disk_errors, read_limited
from starfreight.packager.provenance.signing.envelope import pre_authentication_encoding
from starfreight.packager.provenance.signing.interface import Material, Signature

_LIMIT = 64 << 10
_KINDS = "an ECDSA key on the curve P-256"


class LocalKey:
    """A private key, unlocked."""

    def __init__(self, key: ec.EllipticCurvePrivateKey, name: str) -> None:
        self._key = key
        self.name = name

    @classmethod
    def load(cls, path: Path, password: bytes | None) -> LocalKey:
        """Reads a private key in PEM (PKCS #8).

        Args:
            path: the file.
            password: of the key; ``None`` for one that is not encrypted.

        Raises:
            InputError: no such key, or another password.
        """
        data = read_limited(path, _LIMIT, "private key")
        try:
            key = serialization.load_pem_private_key(data, password)
        except TypeError as error:
            what = "is encrypted" if password is None else "is not encrypted"
            fix = "give its password" if password is None else "leave the password out"
            raise InputError(f"The private key {what}.", where=str(path), fix=fix) from error
        except (ValueError, UnsupportedAlgorithm) as error:
            raise InputError(
                "The private key cannot be read: its password is another one, or it is not a key in PEM.",
                where=str(path),
                fix="check the password; make a key with starfreight package keygen",
            ) from error
        if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
            raise InputError(
                f"The private key is not {_KINDS}.",
                where=str(path),
                fix="make one with starfreight package keygen",
            )
        return cls(key, path.name)

    def public_key(self) -> ec.EllipticCurvePublicKey:
        """Its public half."""
        return self._key.public_key()

    def sign(self, message: bytes) -> Signature:
        """See :meth:`Key.sign`. Equal messages have equal signatures (RFC 6979)."""
        value = self._key.sign(message, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
        return Signature(value, Material(key_hint=key_hint(self._key.public_key())))

    def sign_statement(self, payload: bytes) -> Signature:
        """See :meth:`Signer.sign_statement`."""
        return self.sign(pre_authentication_encoding(payload))

    def has_signed(self, payload: bytes, signature: Signature) -> bool:
        """See :meth:`Signer.has_signed`."""
        return key_has_signed(self.public_key(), payload, signature)


def is_encrypted(path: Path) -> bool:
    """True for a private key that needs a password.

    Raises:
        InputError: the file cannot be read.
    """
    return b"-----BEGIN ENCRYPTED PRIVATE KEY-----" in read_limited(path, _LIMIT, "private key")


def generate_key(private: Path, public: Path, password: bytes) -> None:
    """Makes a key and writes it to two new files, the private one readable by its owner alone.

    Raises:
        InputError: a file exists already, or the password is empty.
        ServiceError: the disk is full or not writable.
    """
    if not password:
        raise InputError("The password is empty.", fix="choose a password for the private key")
    key = ec.generate_private_key(ec.SECP256R1())
    encrypted = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(password),
    )
    open_text = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    _write_new(private, encrypted, 0o600)
    try:
        _write_new(public, open_text, 0o644)
    except BaseException:
        private.unlink()  # Made here; without its public half it would only stand in the way.
        raise


def read_public_key(path: Path) -> ec.EllipticCurvePublicKey:
    """Reads a public key in PEM.

    Raises:
        InputError: no such key.
    """
    try:
        key = serialization.load_pem_public_key(read_limited(path, _LIMIT, "public key"))
    except (ValueError, UnsupportedAlgorithm) as error:
        raise InputError(
            "The public key cannot be read.", where=str(path), fix="give a public key in PEM"
        ) from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise InputError(f"The public key is not {_KINDS}.", where=str(path), fix="give one of this kind")
    return key


def key_hint(key: ec.EllipticCurvePublicKey) -> str:
    """The hint of a public key in bundles: the SHA-256 of its DER encoding, in base64."""
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(der).digest()).decode()


def check_signature(key: ec.EllipticCurvePublicKey, message: bytes, signature: bytes) -> None:
    """Checks a signature of a message.

    Raises:
        GateError: it is of another key or another message.
    """
    try:
        key.verify(signature, message, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature as error:
        raise GateError(
            "The signature is not of this key, or the statement has changed since it was signed.",
            fix="check the public key, or get the package again from its source",
        ) from error


def key_has_signed(key: ec.EllipticCurvePublicKey, payload: bytes, signature: Signature) -> bool:
    """True for a valid signature of a statement that names this key."""
    if signature.material.key_hint != key_hint(key):
        return False
    try:
        check_signature(key, pre_authentication_encoding(payload), signature.value)
    except GateError:
        return False
    return True


def _write_new(path: Path, data: bytes, mode: int) -> None:
    with disk_errors(path):
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        except FileExistsError as error:
            raise InputError(
                "The file exists already, and a key is never overwritten.",
                where=str(path),
                fix="choose another name: --out NAME",
            ) from error
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
        except BaseException:
            path.unlink()
            raise
