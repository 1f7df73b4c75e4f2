"""Files of Ollama keys, sign-ins, tokens, addresses and gateway files."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from fuzzing import changed_bytes, changed_values, fuzz, holds, texts
from hypothesis import given
from hypothesis import strategies as st

from starfreight.packager.gateway.load import parse_settings
from starfreight.packager.ollama_access import (
    AccessRefused,
    AuthorizedKeys,
    Exchange,
    SignedAddresses,
    Signer,
    parse_authorized_keys,
)

PRIVATE = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
LINE = PRIVATE.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
KEYS = LINE + b" alice repositories=team/*,lab/coder expires=2027-01-31\n# a comment\n\n" + LINE + b"\n"
BLOB = LINE.split()[1].decode()
AUTHORIZED = parse_authorized_keys(LINE + b" alice")
URL = "https://a/token?nonce=0123456789abcdef&scope=repository:a/b:pull&service=starfreight&ts=1800000000"
SETTINGS = {
    "host": "models.example.com", "listen": "127.0.0.1:8443", "repositories": ["team/*"],
    "registry": {"url": "https://a", "credential": {"username": "u", "password": {"file": "p"}}},
    "users": {"authorized_keys": "k", "token_lifetime": "5m"}, "tls": {"certificate": "a", "key": "b"},
}  # fmt: skip
lines = st.one_of(texts, st.text(alphabet=BLOB + ' =",*/-\t\\', max_size=120))


def keys() -> AuthorizedKeys:
    return AUTHORIZED


def exchange() -> Exchange:
    return Exchange(keys, Signer(b"s" * 32), clock=lambda: 1_800_000_000.0)


@fuzz
@given(
    data=st.one_of(
        changed_bytes(KEYS),
        st.lists(lines, max_size=4).map(lambda found: "\n".join(found).encode("utf-8", "surrogatepass")),
        lines.map(lambda rest: LINE + b" " + rest.encode("utf-8", "surrogatepass")),
    )
)
def test_a_file_of_keys(data: bytes) -> None:
    def parse() -> None:
        found = parse_authorized_keys(data)
        assert all(key.fingerprint.startswith("SHA256:") and key.public_key() for key in found.keys)
        assert len({key.blob for key in found.keys}) == len(found.keys)

    holds(parse)


@fuzz
@given(
    query=st.one_of(texts, changed_bytes(URL.encode()).map(lambda data: data.decode("latin-1"))), header=texts
)
def test_a_sign_in_that_alice_did_not_sign_is_refused(query: str, header: str) -> None:
    signature = base64.b64encode(b"x" * 64).decode()
    for authorization in (None, header, f"{BLOB}:{header}", f"{BLOB}:{signature}"):
        with pytest.raises(AccessRefused):
            exchange().answer(query, authorization)


@fuzz
@given(token=st.one_of(texts, changed_bytes(b"Bearer WzE4MF0.QUJD").map(lambda data: data.decode("latin-1"))))
def test_a_forged_token_or_address_is_refused(token: str) -> None:
    for header in (token, f"Bearer {token}", f"Bearer {'A' * 40}.{token}"):
        with pytest.raises(AccessRefused):
            exchange().check(header, "a/b")
    addresses = SignedAddresses(keys, Signer(b"s" * 32))
    for query in (token, f"exp=9999999999&key={'A' * 43}&sig={token}", f"exp={token}&key=a&sig=b"):
        with pytest.raises(AccessRefused):
            addresses.check("a/b", "sha256:" + "0" * 64, query)


@fuzz
@given(value=changed_values(SETTINGS))
def test_a_gateway_file(value: object) -> None:
    import json

    data = json.dumps(value).encode("utf-8", "surrogatepass")
    holds(lambda: parse_settings(data, "gateway.yaml", Path("/etc")))


@fuzz
@given(data=changed_bytes(b"host: a\nregistry: {url: 'http://b'}\nrepositories: [a/*]\nscheme: http\n"))
def test_the_bytes_of_a_gateway_file(data: bytes) -> None:
    holds(lambda: parse_settings(data, "gateway.yaml", Path("/etc")))
