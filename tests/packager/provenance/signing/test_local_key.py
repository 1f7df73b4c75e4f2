"""Keys: encrypted, never overwritten, of one kind; signatures that OpenSSL verifies."""

from __future__ import annotations

import stat
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from starfreight.errors import GateError, InputError
from starfreight.packager.provenance.signing.envelope import pre_authentication_encoding
from starfreight.packager.provenance.signing.local_key import (
    LocalKey,
    check_signature,
    generate_key,
    read_public_key,
)

PASSWORD = b"correct horse"
PRIVATE = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8)


def test_the_encoding_is_that_of_the_specification() -> None:
    # The example of https://github.com/secure-systems-lab/dsse/blob/master/protocol.md.
    encoded = pre_authentication_encoding(b"hello world", "http://example.com/HelloWorld")
    assert encoded == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"


def test_openssl_verifies_a_signature(
    make_key: Callable[..., Any], require_service: Callable[[str], str], tmp_path: Path
) -> None:
    pair = make_key()
    (tmp_path / "message").write_bytes(b"a statement")
    signature = LocalKey.load(pair.private, PASSWORD).sign(b"a statement")
    (tmp_path / "signature").write_bytes(signature.value)
    command = [require_service("openssl"), "dgst", "-sha256", "-verify", pair.public]
    command += ["-signature", tmp_path / "signature", tmp_path / "message"]
    assert subprocess.run(command, check=True, capture_output=True).stdout == b"Verified OK\n"
    check_signature(read_public_key(pair.public), b"a statement", signature.value)


def test_equal_messages_have_equal_signatures(make_key: Callable[..., Any]) -> None:
    key = LocalKey.load(make_key().private, PASSWORD)
    assert key.sign(b"a") == key.sign(b"a") != key.sign(b"b")


def test_another_key_or_message_is_refused(make_key: Callable[..., Any]) -> None:
    value = LocalKey.load(make_key().private, PASSWORD).sign(b"a").value
    for key, message, signature in (
        (make_key("other"), b"a", value),
        (make_key("third"), b"b", value),
        (make_key("fourth"), b"a", b""),
        (make_key("fifth"), b"a", value[:-1]),
    ):
        with pytest.raises(GateError, match="not of this key"):
            check_signature(read_public_key(key.public), message, signature)


def test_the_private_key_is_encrypted_and_its_owners_alone(make_key: Callable[..., Any]) -> None:
    private = make_key().private
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    assert private.read_text().startswith("-----BEGIN ENCRYPTED PRIVATE KEY-----")
    for password in (None, b"", b"wrong"):
        with pytest.raises(InputError) as caught:
            LocalKey.load(private, password)
        assert "correct" not in str(caught.value)


@pytest.mark.parametrize("taken", ["acme.key", "acme.pub"])
def test_a_key_is_never_overwritten(tmp_path: Path, taken: str) -> None:
    (tmp_path / taken).write_text("mine")
    with pytest.raises(InputError, match="never overwritten"):
        generate_key(tmp_path / "acme.key", tmp_path / "acme.pub", PASSWORD)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["mine"]


def test_an_empty_password_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="empty"):
        generate_key(tmp_path / "acme.key", tmp_path / "acme.pub", b"")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "key",
    [
        ec.generate_private_key(ec.SECP384R1()),
        ed25519.Ed25519PrivateKey.generate(),
        rsa.generate_private_key(65537, 2048),
    ],
    ids=["P-384", "ed25519", "RSA"],
)
def test_other_kinds_of_key_are_refused(key: Any, tmp_path: Path) -> None:
    private, public = tmp_path / "k", tmp_path / "p"
    private.write_bytes(key.private_bytes(*PRIVATE, serialization.NoEncryption()))
    spki = (serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    public.write_bytes(key.public_key().public_bytes(*spki))
    for load in (lambda: LocalKey.load(private, None), lambda: read_public_key(public)):
        with pytest.raises(InputError, match="P-256"):
            load()


def test_an_unencrypted_key_takes_no_password(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    path = tmp_path / "k"
    path.write_bytes(key.private_bytes(*PRIVATE, serialization.NoEncryption()))
    assert LocalKey.load(path, None).sign(b"a")
    with pytest.raises(InputError, match="not encrypted"):
        LocalKey.load(path, b"one")


@pytest.mark.parametrize("data", [b"", b"-----BEGIN PRIVATE KEY-----\n", b"\xff" * 100, b"x" * (1 << 17)])
def test_garbage_is_refused(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "k"
    path.write_bytes(data)
    for load in (lambda: LocalKey.load(path, b"x"), lambda: read_public_key(path)):
        with pytest.raises(InputError):
            load()
