"""A private Sigstore on this machine: identity tokens, certificates, a transparency log and timestamps.

It answers as Fulcio and Rekor (version 2) do, with real signatures: sigstore-python verifies its bundles.
Each entry is in a log of its own, with that entry alone.
"""

from __future__ import annotations

import base64
import hashlib
import json
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID
from private_ca import WORKFLOW, PrivateCa, _chain, _root, _usage

ISSUER = "https://token.actions.githubusercontent.com"
REQUEST_TOKEN = "canary-request-token"
_FULCIO = "1.3.6.1.4.1.57264.1"
_SCTS = x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")
_MINUTES = timedelta(minutes=10)


@dataclass
class PrivateSigstore:
    """A running Sigstore.

    Attributes:
        trust_config: for ``--trust-config``.
        trusted_root: for verifiers.
        url: of all services.
        tokens: the identity tokens that were handed out.
        broken: the part that answers 500: ``token``, ``fulcio`` or ``rekor``; empty for none.
    """

    trust_config: Path
    trusted_root: Path
    url: str
    tokens: list[str] = field(default_factory=list)
    broken: str = ""


def _spki(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _sign(key: ec.EllipticCurvePrivateKey, data: bytes) -> bytes:
    return key.sign(data, ec.ECDSA(hashes.SHA256()))


def _issue(
    ca: tuple[ec.EllipticCurvePrivateKey, x509.Certificate],
    ct: ec.EllipticCurvePrivateKey,
    request: x509.CertificateSigningRequest,
    identity: str,
) -> x509.Certificate:
    """A certificate for an identity, with the promise of a certificate log in it."""
    now = datetime.now(UTC).replace(microsecond=0)
    public: Any = request.public_key()
    builder = x509.CertificateBuilder().subject_name(x509.Name([])).issuer_name(ca[1].subject)
    builder = builder.public_key(public).serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now).not_valid_after(now + _MINUTES)
    builder = builder.add_extension(_usage(ca=False), True)
    builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), False)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(public), False)
    by = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca[0].public_key())
    builder = builder.add_extension(by, False)
    names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(identity)])
    builder = builder.add_extension(names, True)
    text = ISSUER.encode()
    for number, value in ((1, text), (8, b"\x0c" + bytes([len(text)]) + text)):
        oid = x509.ObjectIdentifier(f"{_FULCIO}.{number}")
        builder = builder.add_extension(x509.UnrecognizedExtension(oid, value), False)
    body = builder.sign(ca[0], hashes.SHA256()).tbs_certificate_bytes
    issuer = hashlib.sha256(_spki(ca[0])).digest()
    time = int(now.timestamp()) * 1000
    entry = struct.pack("!BBQH", 0, 0, time, 1) + issuer + len(body).to_bytes(3, "big") + body
    signature = _sign(ct, entry + b"\0\0")
    promise = b"\0" + hashlib.sha256(_spki(ct)).digest() + struct.pack("!Q", time) + b"\0\0\x04\x03"
    promise += struct.pack("!H", len(signature)) + signature
    listed = struct.pack("!HH", len(promise) + 2, len(promise)) + promise
    octets = (
        b"\x04" + (bytes([len(listed)]) if len(listed) < 128 else b"\x81" + bytes([len(listed)])) + listed
    )
    return builder.add_extension(x509.UnrecognizedExtension(_SCTS, octets), False).sign(
        ca[0], hashes.SHA256()
    )


def _log(key: ec.EllipticCurvePrivateKey, asked: dict[str, Any]) -> dict[str, Any]:
    """The entry of a signature in a log of its own."""
    given = asked["hashedRekordRequestV002"]
    body = {
        "apiVersion": "0.0.2",
        "kind": "hashedrekord",
        "spec": {
            "hashedRekordV002": {
                "data": {"algorithm": "SHA2_256", "digest": given["digest"]},
                "signature": given["signature"],
            }
        },
    }
    data = json.dumps(body, sort_keys=True, separators=(",", ":")).encode()
    root = hashlib.sha256(b"\0" + data).digest()
    identifier = hashlib.sha256(_spki(key)).digest()
    note = f"log.test\n1\n{_b64(root)}\n"
    line = f"\u2014 log.test {_b64(identifier[:4] + _sign(key, note.encode()))}\n"
    return {
        "logIndex": "0",
        "logId": {"keyId": _b64(identifier)},
        "kindVersion": {"kind": "hashedrekord", "version": "0.0.2"},
        "inclusionProof": {
            "logIndex": "0",
            "rootHash": _b64(root),
            "treeSize": "1",
            "hashes": [],
            "checkpoint": {"envelope": f"{note}\n{line}"},
        },
        "canonicalizedBody": _b64(data),
    }


@pytest.fixture
def private_sigstore(
    private_ca: PrivateCa, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[PrivateSigstore]:
    """A Sigstore, and the environment of a workflow of GitHub Actions."""
    ca = _root("fulcio")
    ct, log = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    state = PrivateSigstore(tmp_path / "trust.json", tmp_path / "trusted_root.json", "")

    class Handler(BaseHTTPRequestHandler):
        def answer(self, part: str, data: Any, status: int = 200) -> None:
            body = json.dumps(data).encode()
            self.send_response(500 if state.broken == part else status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:
            assert self.path == "/token?v=1&audience=sigstore"
            assert self.headers["Authorization"] == f"bearer {REQUEST_TOKEN}"
            now = int(datetime.now(UTC).timestamp())
            claims = {
                "iss": ISSUER, "aud": "sigstore", "sub": "repo:acme/coder:ref:refs/heads/main", "iat": now,
                "nbf": now, "exp": now + 300, "job_workflow_ref": WORKFLOW.removeprefix("https://github.com/"),
            }  # fmt: skip
            state.tokens.append(jwt.encode(claims, "k" * 32))
            self.answer("token", {"value": state.tokens[-1]})

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if self.path == "/api/v2/log/entries":
                self.answer("rekor", _log(log, asked), 201)
                return
            assert self.path == "/api/v2/signingCert"
            token = self.headers["Authorization"].removeprefix("Bearer ")
            claims = jwt.decode(token, options={"verify_signature": False})
            request = x509.load_pem_x509_csr(base64.b64decode(asked["certificateSigningRequest"]))
            leaf = _issue(ca, ct, request, f"https://github.com/{claims['job_workflow_ref']}")
            pems = [each.public_bytes(serialization.Encoding.PEM).decode() for each in (leaf, ca[1])]
            chain = {"certificates": pems}
            self.answer("fulcio", {"signedCertificateEmbeddedSct": {"chain": chain}})

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    state.url = f"http://127.0.0.1:{server.server_port}"
    valid = {"start": "2026-01-01T00:00:00Z"}

    def logged(key: ec.EllipticCurvePrivateKey) -> dict[str, Any]:
        public = {"rawBytes": _b64(_spki(key)), "keyDetails": "PKIX_ECDSA_P256_SHA_256", "validFor": valid}
        identifier = {"keyId": _b64(hashlib.sha256(_spki(key)).digest())}
        return {"baseUrl": state.url, "hashAlgorithm": "SHA2_256", "publicKey": public, "logId": identifier}

    def service(version: int, url: str = state.url) -> list[dict[str, Any]]:
        return [{"url": url, "majorApiVersion": version, "validFor": valid, "operator": "acme"}]

    root = json.loads(private_ca.trusted_root.read_bytes())
    root |= {"tlogs": [logged(log)], "ctlogs": [logged(ct)]}
    root["certificateAuthorities"] = [
        {"subject": {"organization": "Acme", "commonName": "fulcio"}, "uri": state.url,
         "certChain": _chain(ca[1]), "validFor": valid}
    ]  # fmt: skip
    state.trusted_root.write_text(json.dumps(root))
    state.trust_config.write_text(
        json.dumps(
            {
                "mediaType": "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json",
                "trustedRoot": root,
                "signingConfig": {
                    "mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
                    "caUrls": service(1),
                    "oidcUrls": service(1),
                    "rekorTlogUrls": service(2),
                    "rekorTlogConfig": {"selector": "ANY"},
                    "tsaUrls": service(1, private_ca.timestamps),
                    "tsaConfig": {"selector": "ANY"},
                },
            }
        )
    )
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN", REQUEST_TOKEN)
    monkeypatch.setenv("ACTIONS_ID_TOKEN_REQUEST_URL", f"{state.url}/token?v=1")
    yield state
    server.shutdown()
    server.server_close()
