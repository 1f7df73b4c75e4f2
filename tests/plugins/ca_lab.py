"""Certificates, timestamps and bundles of a private CA, right ones and wrong ones.

    lab = CaLab(folder)
    data = lab.bundle(payload)                                   # as gh and we accept it
    data = lab.bundle(payload, lab.certificate(purpose=ExtendedKeyUsageOID.EMAIL_PROTECTION))

The authorities are those of :mod:`private_ca`.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path

import private_ca
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from starfreight.packager.provenance.signing.bundle import Bundle
from starfreight.packager.provenance.signing.envelope import pre_authentication_encoding
from starfreight.packager.provenance.signing.interface import Material, Signature

FULCIO = "1.3.6.1.4.1.57264.1"
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
NOW = (-HOUR, HOUR)
Issued = tuple[ec.EllipticCurvePrivateKey, x509.Certificate]


def utf8(text: str) -> bytes:
    """A DER UTF8String."""
    data = text.encode()
    length = bytes([len(data)]) if len(data) < 128 else b"\x82" + len(data).to_bytes(2, "big")
    return b"\x0c" + (length if len(data) < 128 or len(data) > 255 else b"\x81" + bytes([len(data)])) + data


def fulcio(
    changes: Mapping[int, bytes | None] | None = None, names: Sequence[x509.GeneralName] | None = None
) -> tuple[x509.ExtensionType, ...]:
    """Fulcio's extensions, with other values of some numbers or other subject alternative names."""
    san, *others = private_ca._fulcio()
    values = {each.oid.dotted_string: each.value for each in others}  # type: ignore[attr-defined]
    for number, value in (changes or {}).items():
        values[f"{FULCIO}.{number}"] = value
    if names is not None:
        san = x509.SubjectAlternativeName(names)
    kept = [(oid, value) for oid, value in values.items() if value is not None]
    more = [x509.UnrecognizedExtension(x509.ObjectIdentifier(oid), value) for oid, value in kept]
    return (san, *more)


class TimestampLab:
    """A timestamp authority."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.folder, self.root = folder, private_ca._root("tsa-root")
        key = ec.generate_private_key(ec.SECP256R1())
        valid = (-DAY, 300 * DAY)
        purpose = ExtendedKeyUsageOID.TIME_STAMPING
        self.certificate = private_ca._leaf(self.root, key, private_ca._name("tsa"), purpose, valid)
        for file, data in {
            "tsa.key": private_ca._private(key), "tsa.pem": private_ca._pem(self.certificate),
            "serial": b"01\n", "tsa.cnf": private_ca._TSA_SETTINGS.encode(),
        }.items():  # fmt: skip
            (folder / file).write_bytes(data)

    def stamp(self, signature: bytes) -> bytes:
        """A timestamp of a signature."""
        (self.folder / "signature").write_bytes(signature)
        query = "openssl ts -query -data signature -sha256 -cert -out query"
        reply = "openssl ts -reply -config tsa.cnf -queryfile query -out answer"
        for command in (query, reply):
            subprocess.run(command.split(), cwd=self.folder, check=True, capture_output=True)
        return (self.folder / "answer").read_bytes()


class CaLab:
    """A CA with its timestamp authority."""

    def __init__(self, folder: Path) -> None:
        self.ca, self.tsa = private_ca._root("ca"), TimestampLab(folder / "tsa")
        self.trusted_root = folder / "trusted_root.jsonl"
        data = private_ca._trusted_root(self.ca[1], self.tsa.certificate, self.tsa.root[1])
        self.trusted_root.write_bytes(data)

    def certificate(
        self,
        *,
        issuer: Issued | None = None,
        valid: tuple[timedelta, timedelta] = NOW,
        purpose: x509.ObjectIdentifier = ExtendedKeyUsageOID.CODE_SIGNING,
        extensions: tuple[x509.ExtensionType, ...] | None = None,
        key: ec.EllipticCurvePrivateKey | None = None,
    ) -> Issued:
        """A signer's key and certificate."""
        key = key or ec.generate_private_key(ec.SECP256R1())
        chosen = fulcio() if extensions is None else extensions
        name = x509.Name([])
        return key, private_ca._leaf(issuer or self.ca, key, name, purpose, valid, chosen)

    def bundle(
        self,
        payload: bytes,
        issued: Issued | None = None,
        *,
        stamps: Sequence[bytes] | None = None,
        tsa: TimestampLab | None = None,
        signed: bytes | None = None,
    ) -> bytes:
        """A bundle of a payload; ``signed`` is the one that the signature is about."""
        key, certificate = issued or self.certificate()
        message = pre_authentication_encoding(payload if signed is None else signed)
        kind = hashes.SHA256() if key.curve.name == "secp256r1" else hashes.SHA384()
        value = key.sign(message, ec.ECDSA(kind))
        found = ((tsa or self.tsa).stamp(value),) if stamps is None else tuple(stamps)
        material = Material(certificate=certificate.public_bytes(Encoding.DER), timestamps=found)
        return Bundle(payload, Signature(value, material)).as_bytes()
