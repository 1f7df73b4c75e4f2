"""A private CA with a timestamp authority, as a firm without Sigstore's services runs them.

The certificates have the extensions that Fulcio defines, which ``gh`` reads. The timestamps are OpenSSL's.
"""

from __future__ import annotations

import base64
import json
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

REPOSITORY = "https://github.com/acme/coder"
WORKFLOW = f"{REPOSITORY}/.github/workflows/train.yml@refs/heads/main"
_DAY = timedelta(days=1)
_FULCIO = "1.3.6.1.4.1.57264.1"
_TSA_SETTINGS = """[tsa]
default_tsa = t
[t]
serial = serial
signer_cert = tsa.pem
signer_key = tsa.key
signer_digest = sha256
default_policy = 1.2.3.4
digests = sha256
accuracy = secs:1
ess_cert_id_alg = sha256
"""

Pair = tuple[ec.EllipticCurvePrivateKey, x509.Certificate]


@dataclass(frozen=True)
class PrivateCa:
    """A running CA.

    Attributes:
        folder: its files.
        key: the signer's private key, not encrypted.
        certificate: the signer's.
        trusted_root: both roots, in the form that gh takes.
        timestamps: the address of the timestamp authority.
        issue: makes another certificate of the key: ``issue(valid_for)``.
    """

    folder: Path
    key: Path
    certificate: Path
    trusted_root: Path
    timestamps: str
    issue: Callable[..., Path]


def _name(common: str) -> x509.Name:
    # gh wants exactly one organization in the name of the CA.
    organization = x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Acme")
    return x509.Name([organization, x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(not ca, False, False, False, False, ca, ca, False, False)


def _root(common: str) -> Pair:
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(_name(common)).issuer_name(_name(common))
    builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now - _DAY).not_valid_after(now + 365 * _DAY)
    builder = builder.add_extension(x509.BasicConstraints(True, 1), True).add_extension(_usage(ca=True), True)
    own = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    return key, builder.add_extension(own, False).sign(key, hashes.SHA256())


def _leaf(
    issuer: Pair,
    key: ec.EllipticCurvePrivateKey,
    subject: x509.Name,
    purpose: x509.ObjectIdentifier,
    valid: tuple[timedelta, timedelta],
    extensions: tuple[x509.ExtensionType, ...] = (),
) -> x509.Certificate:
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer[1].subject)
    builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now + valid[0]).not_valid_after(now + valid[1])
    builder = builder.add_extension(_usage(ca=False), True)
    stamps = purpose == ExtendedKeyUsageOID.TIME_STAMPING
    builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), stamps)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
    by = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer[0].public_key())
    for extension in (by, *extensions):
        builder = builder.add_extension(extension, False)
    return builder.sign(issuer[0], hashes.SHA256())


def _fulcio() -> tuple[x509.ExtensionType, ...]:
    """The identity of a workflow of GitHub Actions."""
    commit = "a" * 40
    values = {
        8: "https://token.actions.githubusercontent.com", 9: WORKFLOW, 10: commit, 11: "github-hosted",
        12: REPOSITORY, 13: commit, 14: "refs/heads/main", 15: "1", 16: REPOSITORY.rsplit("/", 1)[0], 17: "2",
        18: WORKFLOW, 19: commit, 20: "push", 21: f"{REPOSITORY}/actions/runs/1/attempts/1", 22: "public",
    }  # fmt: skip
    extensions: list[x509.ExtensionType] = [
        x509.SubjectAlternativeName([x509.UniformResourceIdentifier(WORKFLOW)])
    ]
    for number, text in values.items():
        data = text.encode()
        length = bytes([len(data)]) if len(data) < 128 else b"\x81" + bytes([len(data)])
        oid = x509.ObjectIdentifier(f"{_FULCIO}.{number}")
        extensions.append(x509.UnrecognizedExtension(oid, b"\x0c" + length + data))
    return tuple(extensions)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _chain(*certificates: x509.Certificate) -> dict[str, Any]:
    ders = (each.public_bytes(serialization.Encoding.DER) for each in certificates)
    return {"certificates": [{"rawBytes": base64.b64encode(der).decode()} for der in ders]}


def _trusted_root(ca: x509.Certificate, stamp: x509.Certificate, stamp_root: x509.Certificate) -> bytes:
    valid = {"start": (datetime.now(UTC) - _DAY).strftime("%Y-%m-%dT%H:%M:%SZ")}
    root = {
        "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
        "tlogs": [],
        "ctlogs": [],
        "certificateAuthorities": [
            {"subject": {"organization": "acme", "commonName": "ca"}, "uri": "https://ca.test",
             "certChain": _chain(ca), "validFor": valid},
        ],
        "timestampAuthorities": [
            {"subject": {"organization": "acme", "commonName": "tsa"}, "uri": "https://tsa.test",
             "certChain": _chain(stamp, stamp_root), "validFor": valid},
        ],
    }  # fmt: skip
    return json.dumps(root).encode() + b"\n"


class _Stamps(BaseHTTPRequestHandler):
    """Answers queries with OpenSSL, one at a time: it counts serial numbers in a file."""

    folder: Path
    lock = threading.Lock()

    def do_POST(self) -> None:
        with self.lock:
            (self.folder / "query").write_bytes(self.rfile.read(int(self.headers["Content-Length"])))
            command = [
                "openssl",
                "ts",
                "-reply",
                "-config",
                "tsa.cnf",
                "-queryfile",
                "query",
                "-out",
                "answer",
            ]
            subprocess.run(command, cwd=self.folder, check=True, capture_output=True)
            answer = (self.folder / "answer").read_bytes()
        self.send_response(200)
        self.send_header("Content-Type", "application/timestamp-reply")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


@pytest.fixture(scope="session")
def private_ca(
    require_service: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PrivateCa]:
    """The CA, and a signer's certificate that outlives the longest session of tests."""
    require_service("openssl")
    folder = tmp_path_factory.mktemp("ca")
    ca, stamp_root = _root("ca"), _root("tsa-root")
    key, stamp_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    long = (-_DAY, 300 * _DAY)
    stamp = _leaf(stamp_root, stamp_key, _name("tsa"), ExtendedKeyUsageOID.TIME_STAMPING, long)

    def issue(name: str = "signer.pem", valid: tuple[timedelta, timedelta] = (-_DAY, _DAY)) -> Path:
        purpose = ExtendedKeyUsageOID.CODE_SIGNING
        path = folder / name
        path.write_bytes(_pem(_leaf(ca, key, x509.Name([]), purpose, valid, _fulcio())))
        return path

    for file, data in {
        "signer.key": _private(key), "tsa.key": _private(stamp_key), "tsa.pem": _pem(stamp),
        "serial": b"01\n", "tsa.cnf": _TSA_SETTINGS.encode(),
        "trusted_root.jsonl": _trusted_root(ca[1], stamp, stamp_root[1]),
    }.items():  # fmt: skip
        (folder / file).write_bytes(data)
    handler = type("Stamps", (_Stamps,), {"folder": folder})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield PrivateCa(
        folder,
        folder / "signer.key",
        issue(),
        folder / "trusted_root.jsonl",
        f"http://127.0.0.1:{server.server_port}/",
        issue,
    )
    server.shutdown()
    server.server_close()
