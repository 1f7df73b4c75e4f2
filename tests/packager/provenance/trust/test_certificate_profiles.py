"""Certificates of many kinds of CA: never accepted where the real ``gh`` refuses, and rarely the reverse."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import private_ca
import pytest
from attach_bundle import run_gh
from ca_lab import DAY, HOUR, TimestampLab, fulcio
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from starfreight.packager.provenance.signing.bundle import Bundle, parse_bundle
from starfreight.packager.provenance.signing.envelope import pre_authentication_encoding
from starfreight.packager.provenance.signing.interface import Material, Signature
from starfreight.packager.provenance.trust import load_trust
from starfreight.packager.provenance.trust.interface import WrongSignatureError

FILE = b"a model"
PAYLOAD = json.dumps(
    {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [
            {
                "name": "model",
                "digest": {"sha256": "97ff8a35544dcf40ad84047074439dd6aa3a0be469ea578a1b1c017d939ec61c"},
            }
        ],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {},
    }
).encode()

Extensions = Sequence[tuple[x509.ExtensionType, bool]]
Window = tuple[timedelta, timedelta]
LONG, NOW = (-DAY, 300 * DAY), (-HOUR, HOUR)
CA_USAGE = (private_ca._usage(ca=True), True)
USAGE = (private_ca._usage(ca=False), True)
CODE = (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), False)
EMAIL = (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION]), False)
ANY = (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE]), False)
FULCIO = [(each, False) for each in fulcio()]
LEAF: Extensions = [USAGE, CODE, *FULCIO]


def ca(length: int | None = 1, *, critical: bool = True) -> tuple[x509.ExtensionType, bool]:
    return x509.BasicConstraints(True, length), critical


ROOT: Extensions = (ca(), CA_USAGE)


def issue(
    subject: x509.Name, issuer: x509.Name, key: Any, by: Any, extensions: Extensions, valid: Window
) -> x509.Certificate:
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder(issuer, subject, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now + valid[0]).not_valid_after(now + valid[1])
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    return builder.sign(by, None if isinstance(by, ed25519.Ed25519PrivateKey) else hashes.SHA256())


def p256() -> Any:
    return ec.generate_private_key(ec.SECP256R1())


def sign(key: Any, message: bytes, kind: hashes.HashAlgorithm) -> bytes:
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(message, padding.PKCS1v15(), kind)
    if isinstance(key, ed25519.Ed25519PrivateKey):
        return key.sign(message)
    return key.sign(message, ec.ECDSA(kind))  # type: ignore[no-any-return]


def make(
    folder: Path,
    *,
    root: Extensions = ROOT,
    root_key: Callable[[], Any] = p256,
    root_valid: Window = LONG,
    middle: Extensions | None = None,
    middle_valid: Window = LONG,
    leaf: Extensions = LEAF,
    key: Callable[[], Any] = p256,
    kind: hashes.HashAlgorithm | None = None,
) -> tuple[bytes, Path]:
    """A bundle, and the root to trust."""
    name, keys = private_ca._name("ca"), (root_key(), key())
    top = issue(name, name, keys[0], keys[0], root, root_valid)
    chain, issuer, by = [top], name, keys[0]
    if middle is not None:
        issuer, by = private_ca._name("sub"), p256()
        chain.insert(0, issue(issuer, name, by, keys[0], middle, middle_valid))
    certificate = issue(x509.Name([]), issuer, keys[1], by, leaf, NOW)
    tsa = TimestampLab(folder / "tsa")
    data = json.loads(private_ca._trusted_root(top, tsa.certificate, tsa.root[1]))
    data["certificateAuthorities"][0] |= {
        "certChain": private_ca._chain(*chain),
        "validFor": {"start": "2000-01-01T00:00:00Z"},
    }
    trusted = folder / "root.jsonl"
    trusted.write_text(json.dumps(data) + "\n")  # gh ignores a last line without its end.
    value = sign(keys[1], pre_authentication_encoding(PAYLOAD), kind or hashes.SHA256())
    material = Material(certificate=certificate.public_bytes(Encoding.DER), timestamps=(tsa.stamp(value),))
    return Bundle(PAYLOAD, Signature(value, material)).as_bytes(), trusted


def p384() -> Any:
    return ec.generate_private_key(ec.SECP384R1())


def rsa_key(size: int = 2048) -> Any:
    return rsa.generate_private_key(65537, size)


ACCEPTED: dict[str, dict[str, Any]] = {
    "plain": {},
    "of OpenSSL's defaults": {"root": (ca(None),)},
    "constraints not critical": {"root": (ca(None, critical=False), CA_USAGE)},
    "RSA root": {"root_key": rsa_key},
    "RSA": {"key": rsa_key},
    "Ed25519": {"key": ed25519.Ed25519PrivateKey.generate},
    "P-384 with SHA-384": {"key": p384, "kind": hashes.SHA384()},
    "P-384 with SHA-256": {"key": p384, "kind": hashes.SHA256()},
    "P-521": {"key": lambda: ec.generate_private_key(ec.SECP521R1()), "kind": hashes.SHA512()},
    "P-384 root": {"root_key": p384},
    "no key usage": {"leaf": [CODE, *FULCIO]},
    "intermediate": {"middle": (ca(0), CA_USAGE)},
    "intermediate for code": {"middle": (ca(0), CA_USAGE, CODE)},
}
REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "root without constraints": ({"root": (CA_USAGE,)}, "no basicConstraints"),
    "root is not a CA": ({"root": ((x509.BasicConstraints(False, None), True),)}, "must be asserted in a CA"),
    "root may not sign certificates": ({"root": (ca(), USAGE)}, "may not sign certificates"),
    "root expired": ({"root_valid": (-9 * DAY, -DAY)}, "not valid at validation time"),
    "intermediate expired": (
        {"middle": (ca(0), CA_USAGE), "middle_valid": (-9 * DAY, -DAY)},
        "not valid at validation time",
    ),
    "intermediate is not a CA": ({"middle": (CA_USAGE,)}, "no basicConstraints"),
    "intermediate for mail": ({"middle": (ca(0), CA_USAGE, EMAIL)}, "lacks code signing"),
    "path too long": ({"root": (ca(0), CA_USAGE), "middle": (ca(0), CA_USAGE)}, "path length"),
    "unknown critical extension": (
        {"leaf": [*LEAF, (x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3"), b"\x05\x00"), True)]},
        "critical extensions",
    ),
}
STRICTER: dict[str, tuple[dict[str, Any], str]] = {
    "weak RSA root": ({"root_key": lambda: rsa_key(1024)}, "too weak"),
    "Ed25519 root": ({"root_key": ed25519.Ed25519PrivateKey.generate}, "Forbidden"),
    "no extended key usage": ({"leaf": [USAGE, *FULCIO]}, "missing required extension"),
    "any extended key usage": ({"leaf": [USAGE, ANY, *FULCIO]}, "lacks code signing"),
    "signer is a CA": ({"leaf": [USAGE, ca(0), CODE, *FULCIO]}, "is a certificate authority itself"),
    "signer may not sign data": ({"leaf": [CA_USAGE, CODE, *FULCIO]}, "lacks digital signatures"),
}
"""Refused here, and accepted by gh."""


def verdict(data: bytes, root: Path) -> str | None:
    """``None`` or the problem."""
    (verifier,) = load_trust(identity="https://github.com/acme/**", trusted_roots=[root]).verifiers()
    try:
        verifier.verify(parse_bundle(data, "b"), data)
    except WrongSignatureError as error:
        return str(error)
    return None


@pytest.mark.usefixtures("openssl")
@pytest.mark.parametrize("options", ACCEPTED.values(), ids=ACCEPTED)
def test_accepted_as_by_gh(options: dict[str, Any], tmp_path: Path) -> None:
    data, root = make(tmp_path, **options)
    assert verdict(data, root) is None
    assert run_gh(FILE, data, root, tmp_path)


@pytest.mark.usefixtures("openssl")
@pytest.mark.parametrize(("options", "words"), REFUSED.values(), ids=REFUSED)
def test_refused_as_by_gh(options: dict[str, Any], words: str, tmp_path: Path) -> None:
    data, root = make(tmp_path, **options)
    assert words in str(verdict(data, root))
    assert not run_gh(FILE, data, root, tmp_path)


@pytest.mark.usefixtures("openssl")
@pytest.mark.parametrize(("options", "words"), STRICTER.values(), ids=STRICTER)
def test_refused_though_gh_accepts(options: dict[str, Any], words: str, tmp_path: Path) -> None:
    data, root = make(tmp_path, **options)
    assert words in str(verdict(data, root))
