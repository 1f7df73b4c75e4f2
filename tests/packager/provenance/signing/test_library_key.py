"""Keys in a token and in a service: a real token of SoftHSM, and a server that answers as Vault does."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from softhsm import PIN, Token

from starfreight.cli import main
from starfreight.errors import InputError, ServiceError
from starfreight.package import Package
from starfreight.packager.provenance.signing.choose_signer import SignerChoice, open_signer
from starfreight.packager.provenance.signing.library_key import open_library_key
from starfreight.packager.provenance.signing.local_key import check_signature, read_public_key
from starfreight.packager.provenance.signing.pkcs11_uri import MODULE_VARIABLE, Pkcs11Uri, parse_pkcs11_uri

VARIABLE = "STARFREIGHT_KEY_PASSWORD"


def ask(prompt: str) -> str:
    assert "PIN" in prompt
    return PIN


def test_a_token_signs_as_the_public_key_beside_it(token: Token) -> None:
    key = open_library_key(token.uri, ask)
    public = read_public_key(token.public)
    check_signature(public, b"a statement", key.sign(b"a statement").value)
    signature = key.sign_statement(b"{}")
    assert key.has_signed(b"{}", signature) and not key.has_signed(b"[]", signature)
    assert PIN not in key.name


def test_a_package_is_signed_with_a_token_once(
    package: Path, token: Token, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(VARIABLE, PIN)
    sign = ["package", "sign", str(package), "--key", token.uri, "--legacy", "--model-signing"]
    assert main(sign) == 0
    signed = Package.load(package)
    assert main(sign) == 0  # ECDSA in a token is random: bytes cannot tell.
    assert Package.load(package) == signed
    assert main(["package", "verify", str(package), "--key", str(token.public)]) == 0
    output = "".join(capsys.readouterr())
    assert PIN not in output and not any(
        PIN.encode() in path.read_bytes() for path in package.rglob("*") if path.is_file()
    )


def test_a_wrong_pin_is_an_error_that_does_not_show_it(
    package: Path, token: Token, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(VARIABLE, "wrong-canary")
    before = Package.load(package)
    assert main(["package", "sign", str(package), "--key", token.uri]) == 4
    output = "".join(capsys.readouterr())
    assert "PinIncorrect" in output and "wrong-canary" not in output and "Traceback" not in output
    assert Package.load(package) == before


def test_other_tokens_keys_and_curves_are_errors(token: Token) -> None:
    with pytest.raises(InputError, match="not an ECDSA key on the curve P-256"):
        open_library_key(token.other, ask)
    with pytest.raises(ServiceError, match="No PKCS#11 token found"):
        open_library_key(token.uri.replace("release", "other"), ask)
    with pytest.raises(ServiceError, match="could not find ECDSA key"):
        open_library_key(token.uri.replace("%02", "%09"), ask)
    with pytest.raises(ServiceError, match="cannot be used"):
        open_library_key(f"pkcs11:token=release;id=%02?module-path={Path(__file__)}", ask)


def test_uris_of_keys_are_read(token: Token, monkeypatch: pytest.MonkeyPatch) -> None:
    assert parse_pkcs11_uri(token.uri) == Pkcs11Uri("release", 2, token.module)
    monkeypatch.setenv(MODULE_VARIABLE, token.module)
    assert parse_pkcs11_uri("pkcs11:id=%01%00;token=a%20b%3B") == Pkcs11Uri("a b;", 256, token.module)
    assert parse_pkcs11_uri("pkcs11:id=%02;type=private").token is None


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("pkcs11:token=a;id=%02?pin-value=canary", "holds a PIN"),
        ("pkcs11:token=a;id=%02?pin-source=file:/canary", "holds a PIN"),
        ("pkcs11:token=canary", "by an id"),
        ("pkcs11:id=", "by an id"),
        ("pkcs11:id=%00%02", "by an id"),
        ("pkcs11:id=123456789", "by an id"),
        ("pkcs11:id=%02;id=%03", "twice"),
        ("pkcs11:id=%02;object=canary", "not supported"),
        ("pkcs11:id", "not supported"),
        ("pkcs11:id=%02;token=%FF", "UTF-8"),
        ("pkcs11:id=%02?module-path=/canary", "does not exist"),
        ("pkcs11:id=%02?module-path=/%00", "does not exist"),
    ],
)
def test_other_uris_are_refused_and_not_quoted(
    uri: str, words: str, token: Token, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(MODULE_VARIABLE, token.module)
    with pytest.raises(InputError, match=words) as caught:
        parse_pkcs11_uri(uri)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("awskms:///", "not valid"),
        ("gcpkms://projects/p", "not valid"),
        ("azurekms://vault", "not valid"),
        ("hashivault://a/b", "not valid"),
        ("ssh://host/key", "not supported"),
        ("pkcs12:id=1", "not supported"),
    ],
)
def test_addresses_that_are_not_valid_are_refused(key: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        open_signer(SignerChoice(key=key), ask)


def test_a_missing_library_is_named() -> None:
    with pytest.raises(InputError, match="not installed") as caught:
        open_signer(SignerChoice(key="awskms:///alias/release"), ask)
    assert "starfreight[aws-kms]" in str(caught.value)


@pytest.fixture
def vault(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """Answers as Vault's transit engine does; ``broken`` makes it sign with another key."""
    keys = {
        "P-256": ec.generate_private_key(ec.SECP256R1()),
        "P-384": ec.generate_private_key(ec.SECP384R1()),
    }
    state: dict[str, Any] = {"key": keys["P-256"], "keys": keys, "broken": False, "tokens": set()}

    class Handler(BaseHTTPRequestHandler):
        def answer(self, data: Any, status: int = 200) -> None:
            state["tokens"].add(self.headers.get("X-Vault-Token"))
            body = json.dumps(data).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:
            if self.path != "/v1/transit/keys/release":
                self.answer({"errors": ["permission denied for canary-token"]}, 403)
                return
            pem = (
                state["key"]
                .public_key()
                .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
            )
            old = {"public_key": "old"}
            self.answer({"data": {"keys": {"9": old, "10": {"public_key": pem.decode()}}}})

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            assert asked["key_version"] == 10
            key = ec.generate_private_key(ec.SECP256R1()) if state["broken"] else state["key"]
            value = key.sign(base64.b64decode(asked["input"]), ec.ECDSA(hashes.SHA256()))
            self.answer({"data": {"signature": "vault:v10:" + base64.b64encode(value).decode()}})

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("VAULT_ADDR", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("VAULT_TOKEN", "canary-token")
    yield state
    server.shutdown()
    server.server_close()


@pytest.mark.usefixtures("plain_environment")
def test_vault_signs_with_the_newest_version_of_a_key(vault: dict[str, Any]) -> None:
    key = open_library_key("hashivault://release", ask)
    check_signature(vault["key"].public_key(), b"a statement", key.sign(b"a statement").value)
    assert vault["tokens"] == {"canary-token"}
    vault["broken"] = True
    with pytest.raises(ServiceError, match="not of the public key"):
        key.sign(b"a statement")


@pytest.mark.usefixtures("plain_environment")
def test_vault_refuses_without_showing_the_token(vault: dict[str, Any]) -> None:
    with pytest.raises(ServiceError, match="Forbidden") as caught:
        open_library_key("hashivault://other", ask)
    assert "canary" not in str(caught.value)
    vault["key"] = vault["keys"]["P-384"]
    with pytest.raises(InputError, match="P-256"):
        open_library_key("hashivault://release", ask)
