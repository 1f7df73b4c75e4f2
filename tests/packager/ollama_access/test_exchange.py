"""Ollama's sign-in, tokens and signed addresses: who gets in, and every way in which nobody does."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlencode

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from starfreight.errors import InputError
from starfreight.packager.ollama_access import (
    AccessRefused,
    AuthorizedKeysFile,
    Exchange,
    SignedAddresses,
    Signer,
)

REALM = "https://models.example:8443/token"
DIGEST = "sha256:" + "ab" * 32
NOW = 1_800_000_000.5


class Person:
    """Somebody with an Ollama key."""

    def __init__(self, seed: int) -> None:
        self.private = Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32)
        public = self.private.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
        self.line = public.decode()

    def request(self, realm: str = REALM, query: str | None = None, **fields: str) -> tuple[str, str]:
        """Address and Authorization, as ``getAuthorizationToken`` and ``auth.Sign`` of Ollama make them."""
        values = {"service": "starfreight", "scope": "repository:team/coder:pull", "ts": str(int(NOW)),
                  "nonce": base64.urlsafe_b64encode(b"0123456789abcdef").rstrip(b"=").decode()}  # fmt: skip
        values |= fields
        url = f"{realm}?{urlencode(sorted(values.items())) if query is None else query}"
        empty = base64.b64encode(hashlib.sha256(b"").hexdigest().encode()).decode()
        signature = self.private.sign(f"GET,{url},{empty}".encode())
        return url, f"{self.line.split()[1]}:{base64.b64encode(signature).decode()}"


ALICE, BOB = Person(1), Person(2)


class Desk:
    """A server's side, whose clock a test sets."""

    def __init__(self, path: Path) -> None:
        self.path, self.now = path, NOW
        path.write_text(f"{ALICE.line} alice repositories=team/*\n")
        keys, signer = AuthorizedKeysFile(path), Signer(b"s" * 32)
        self.exchange = Exchange(keys.read, signer, clock=lambda: self.now)
        self.addresses = SignedAddresses(keys.read, signer, lifetime=600, clock=lambda: self.now)
        self.other = Exchange(keys.read, Signer(b"t" * 32), clock=lambda: self.now)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path / "keys")


def refused(action: Callable[[], object]) -> AccessRefused:
    with pytest.raises(AccessRefused) as error:
        action()
    return error.value


def test_the_holder_of_a_key_gets_a_token_for_one_repository_and_some_minutes(desk: Desk) -> None:
    issued = desk.exchange.answer(*ALICE.request())
    bearer = f"Bearer {issued.token}"
    assert issued.key.name == "alice" and desk.exchange.check(bearer, "team/coder") == issued.key
    error = refused(lambda: desk.exchange.check(bearer, "team/other"))
    assert (error.status, error.who) == (401, "alice")
    desk.now += issued.lifetime
    assert "expired" in refused(lambda: desk.exchange.check(bearer, "team/coder")).what


def test_the_challenge_is_read_by_ollamas_parser(desk: Desk) -> None:
    def value_of(header: str, key: str) -> str:  # getValue of server/routes.go
        start = header.index(f"{key}=") + len(key) + 2
        end = start
        while end < len(header):
            if header[end] == '"' and (end + 1 >= len(header) or header[end + 1] == ","):
                break
            end += 1
        return header[start:end]

    header = desk.exchange.challenge(REALM, "team/coder")
    assert header.startswith("Bearer ")
    assert value_of(header, "realm") == REALM
    assert value_of(header, "scope") == "repository:team/coder:pull"
    assert value_of(header, "service") == "starfreight"


def test_a_request_is_good_for_one_use(desk: Desk) -> None:
    request = ALICE.request(ts=str(int(NOW) + 60))  # From a clock that is ahead.
    desk.exchange.answer(*request)
    for later in (0.0, 60.0, 120.4):
        desk.now = NOW + later
        assert "used before" in refused(lambda: desk.exchange.answer(*request)).what
    desk.now = NOW + 121
    assert "61 seconds behind" in refused(lambda: desk.exchange.answer(*request)).what


@pytest.mark.parametrize(
    ("off", "good"), [(-61, False), (-60, True), (60, True), (61, False), (10**9, False)]
)
def test_the_clock_window(desk: Desk, off: int, good: bool) -> None:
    request = ALICE.request(ts=str(int(NOW) + off))
    if good:
        desk.exchange.answer(*request)
    else:
        assert "clock" in refused(lambda: desk.exchange.answer(*request)).what


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"scope": "repository:other/coder:pull"}, 403),
        ({"scope": "repository:team/coder:pull,push"}, 403),
        ({"scope": "repository:team/coder:*"}, 403),
        ({"scope": "registry:catalog:*"}, 403),
        ({"scope": "repository:team/../x:pull"}, 403),
        ({"scope": "repository:team/coder:pull repository:other/x:pull"}, 403),
        ({"scope": ""}, 403),
        ({"nonce": ""}, 401),
        ({"nonce": "short"}, 401),
        ({"ts": ""}, 401),
        ({"ts": "1e9"}, 401),
        ({"ts": "-1"}, 401),
        ({"ts": "٣٣٣"}, 401),
        ({"service": "registry.ollama.ai"}, 401),
        ({"account": "root"}, 401),
    ],
)
def test_signed_nonsense_is_refused(desk: Desk, fields: dict[str, str], status: int) -> None:
    assert refused(lambda: desk.exchange.answer(*ALICE.request(**fields))).status == status


@pytest.mark.parametrize(
    "query",
    ["", "scope", "a=%zz", "nonce=a&nonce=b", "scope=" + "x" * 5000,
     "&".join(f"a{number}=1" for number in range(20)),
     "nonce=MDEyMzQ1Njc4OWFiY2RlZg&scope=repository:team/coder:pull&scope=repository:other/x:pull"
     "&service=starfreight&ts=1800000000"],
)  # fmt: skip
def test_other_queries_are_refused(desk: Desk, query: str) -> None:
    assert refused(lambda: desk.exchange.answer(*ALICE.request(query=query))).status == 401


def test_the_signature_has_to_be_of_this_key_over_this_address(desk: Desk) -> None:
    url, signed = ALICE.request()
    blob, signature = signed.split(":")
    assert refused(lambda: desk.exchange.answer(*BOB.request())).who is None
    for where, header in (
        (url, f"{blob}:{BOB.request()[1].split(':')[1]}"),
        (url.replace("team", "tean"), signed),
        (url.replace("models.example", "evil.example"), signed),
        (url + "&", signed),
        (url, f"{blob}:{signature[:-4]}AA=="),
        (url, f"Bearer {signature}"),
        (url, f"{blob}:{signature}:x"),
        (url, f"{blob}:"),
        (url, ""),
    ):
        assert refused(lambda: desk.exchange.answer(where, header)).status == 401  # noqa: B023
    assert refused(lambda: desk.exchange.answer(url, None)).status == 401
    # A request that Alice signed for another server.
    other = ALICE.request("https://other.example/token")
    assert refused(
        lambda: desk.exchange.answer(REALM + other[0][len("https://other.example/token") :], other[1])
    )


def test_a_revoked_or_expired_key_ends_tokens_and_addresses_at_once(desk: Desk) -> None:
    issued = desk.exchange.answer(*ALICE.request())
    bearer = f"Bearer {issued.token}"
    query = desk.addresses.sign("team/coder", DIGEST, issued.key)
    assert desk.addresses.check("team/coder", DIGEST, query).name == "alice"
    for rest in ("alice expires=2020-01-01", "alice repositories=lab/*", None):
        desk.path.write_text(f"{ALICE.line} {rest}\n" if rest else "")
        refused(lambda: desk.exchange.check(bearer, "team/coder"))
        assert refused(lambda: desk.addresses.check("team/coder", DIGEST, query)).status == 403
        refused(lambda: desk.exchange.answer(*ALICE.request(nonce="another-nonce-0123")))


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer x.y", "Basic YTpi", "Bearer " + "a" * 3000, "Bearer " + "A" * 30 + "." + "B" * 43,
     "Bearer W10." + "A" * 43, "Bearer \n", "Bearer ..", "Bearer é"],
)  # fmt: skip
def test_forged_tokens_are_refused(desk: Desk, header: str) -> None:
    assert refused(lambda: desk.exchange.check(header, "team/coder")).status == 401


def test_a_token_of_another_server_or_with_a_changed_byte_is_refused(desk: Desk) -> None:
    foreign = desk.other.answer(*ALICE.request()).token
    assert (
        "not one of this server"
        in refused(lambda: desk.exchange.check(f"Bearer {foreign}", "team/coder")).what
    )
    token = desk.exchange.answer(*ALICE.request()).token
    for at in range(0, len(token), 7):
        changed = token[:at] + ("A" if token[at] != "A" else "B") + token[at + 1 :]
        refused(lambda: desk.exchange.check(f"Bearer {changed}", "team/coder"))  # noqa: B023


def test_an_address_is_of_one_blob_in_one_repository_for_some_time(desk: Desk) -> None:
    key = desk.exchange.answer(*ALICE.request()).key
    query = desk.addresses.sign("team/coder", DIGEST, key)
    for repository, digest, text in (
        ("team/other", DIGEST, query),
        ("team/coder", "sha256:" + "cd" * 32, query),
        ("team/coder", DIGEST, query.replace("exp=1", "exp=2")),
        ("team/coder", DIGEST, query + "&exp=9999999999"),
        ("team/coder", DIGEST, "&".join(reversed(query.split("&")))),
        ("team/coder", DIGEST, ""),
    ):
        assert refused(lambda: desk.addresses.check(repository, digest, text)).status == 403  # noqa: B023
    # A token's signature is not one of an address, whatever its fields.
    desk.now += 600
    assert "expired" in refused(lambda: desk.addresses.check("team/coder", DIGEST, query)).what


def test_a_secret_has_to_be_long_enough() -> None:
    with pytest.raises(InputError, match="at least 32"):
        Signer(b"short")


def test_fields_cannot_reach_into_each_other() -> None:
    signer = Signer(b"s" * 32)
    assert not signer.verify(signer.sign("a", "b", "c"), "a", "bc", "")
    assert not signer.verify(signer.sign("a", "1:b"), "a1:", "b")
    assert not signer.verify("é", "a")
