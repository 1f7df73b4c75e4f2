"""Signatures by the key in a certificate, with the hash that belongs to its kind."""

from __future__ import annotations

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

_CURVES: dict[str, tuple[hashes.HashAlgorithm, ...]] = {
    "secp256r1": (hashes.SHA256(),),
    # Some signers hash for every curve as for P-256. gh takes both.
    "secp384r1": (hashes.SHA384(), hashes.SHA256()),
    "secp521r1": (hashes.SHA512(), hashes.SHA256()),
}
_MIN_RSA, _MAX_RSA = 2048, 8192


def signature_problem(certificate: x509.Certificate, message: bytes, signature: bytes) -> str | None:
    """``None`` for a valid signature; else completes the sentence "It ...".

    ECDSA on NIST's curves, RSA with PKCS #1 v1.5 and SHA-256, and Ed25519, as Sigstore's clients do.
    """
    try:
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return "has a certificate with an unknown kind of key"
    try:
        if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in _CURVES:
            if not any(_is_ecdsa(key, message, signature, kind) for kind in _CURVES[key.curve.name]):
                raise InvalidSignature
        elif isinstance(key, rsa.RSAPublicKey) and _MIN_RSA <= key.key_size <= _MAX_RSA:
            key.verify(signature, message, padding.PKCS1v15(), hashes.SHA256())
        elif isinstance(key, ed25519.Ed25519PublicKey):
            key.verify(signature, message)
        else:
            return "has a certificate with a kind of key that is not accepted"
    except InvalidSignature:
        return "has a signature of another key than its certificate's, or of another statement"
    return None


def _is_ecdsa(
    key: ec.EllipticCurvePublicKey, message: bytes, signature: bytes, kind: hashes.HashAlgorithm
) -> bool:
    try:
        key.verify(signature, message, ec.ECDSA(kind))
    except InvalidSignature:
        return False
    return True
