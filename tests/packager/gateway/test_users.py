"""Only holders of the listed Ollama keys pull, and the audit log knows who."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from ollama_client import OllamaClient, OllamaError, public_key, sign
from servers import Server

ALICE, BOB, CAROL, EVE = (Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32) for seed in (1, 2, 3, 4))
KEYS = f"""\
# The team.
{public_key(ALICE)} alice
{public_key(BOB)} bob repositories=team/other
{public_key(CAROL)} carol expires=2020-01-01
"""


@pytest.fixture(scope="module")
def gateway(
    start_gateway: Callable[..., Any],
    locked: dict[str, Any],
    certificates: tuple[Path, Path, Path],
    model: Any,
) -> Any:
    """A gateway with users and TLS, to the registry with htpasswd and TLS."""
    authority, certificate, key = certificates
    tls = {"certificate": str(certificate), "key": str(key)}
    return start_gateway({"registry": locked, "tls": tls}, authority, KEYS)


@pytest.fixture
def client(gateway: Any) -> Callable[[Ed25519PrivateKey], OllamaClient]:
    """Ollama with somebody's key."""
    return lambda key: OllamaClient(gateway.host, key=key, authority=gateway.authority, least_part=200_000)


@pytest.fixture
def revoke(gateway: Any) -> Any:
    """Rewrites the file of keys, which is put back after the test."""
    path = gateway.folder / "keys"
    yield path.write_text
    path.write_text(KEYS)


def test_the_right_key_pulls_and_the_log_says_who_what_and_from_where(
    gateway: Any, model: Any, client: Callable[..., OllamaClient], tmp_path: Path
) -> None:
    alice = client(ALICE)
    assert alice.pull("team/coder:1.0", tmp_path) == json.loads(model.manifest)
    mine = [each for each in gateway.audit if each["who"] == "alice"]
    assert {each["event"] for each in mine} == {"token", "manifest", "blob", "part"}
    assert all(
        each["granted"] and each["from"] == "127.0.0.1" and each["key"].startswith("SHA256:") for each in mine
    )
    assert all(each["repository"] == "team/coder" for each in mine)
    (manifest,) = [each for each in mine if each["event"] == "manifest"]
    assert (manifest["reference"], manifest["method"]) == ("1.0", "GET")
    assert any(each["reference"] == model.layer and each["range"] for each in mine if each["event"] == "part")
    assert [each.status for each in alice.asked[:3]] == [401, 200, 200]
    assert (gateway.folder / "audit.jsonl").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("key", "status", "who", "reason"),
    [
        (EVE, "401", "", "this key may not pull"),
        (BOB, "403", "bob", "this key may not pull team/coder"),
        (CAROL, "401", "carol", "this key has expired"),
    ],
)
def test_other_keys_do_not_pull_and_the_log_says_why(
    gateway: Any, client: Callable[..., OllamaClient], tmp_path: Path,
    key: Ed25519PrivateKey, status: str, who: str, reason: str,
) -> None:  # fmt: skip
    with pytest.raises(OllamaError, match=f"{status}: .*{reason}"):
        client(key).pull("team/coder:1.0", tmp_path)
    last = gateway.audit[-1]
    assert (last["event"], last["granted"], last["who"], last["reason"]) == ("token", False, who, reason)


def test_nobody_gets_anything_without_a_token(gateway: Any, model: Any) -> None:
    for path in ("/v2/team/coder/manifests/1.0", f"/v2/team/coder/blobs/{model.layer}"):
        for method in ("GET", "HEAD"):
            answer = gateway.get(path, method)
            assert answer.status_code == 401
            assert answer.headers["WWW-Authenticate"] == (
                f'Bearer realm="{gateway.url}/token",service="starfreight",scope="repository:team/coder:pull"'
            )
    for header in ("Bearer a.b", "Basic cGlsb3Q6eA==", "Bearer " + "A" * 90 + "." + "B" * 43, "x" * 5000):
        assert gateway.get(path, headers={"Authorization": header}).status_code == 401


def token_for(gateway: Any, key: Ed25519PrivateKey, **changes: str) -> Any:
    """The answer to a sign-in."""
    fields = {"nonce": os.urandom(8).hex(), "scope": "repository:team/coder:pull", "service": "starfreight",
              "ts": str(int(time.time()))} | changes  # fmt: skip
    from urllib.parse import urlencode

    path = f"/token?{urlencode(sorted(fields.items()))}"
    return gateway.get(path, headers={"Authorization": sign(key, gateway.url + path)})


def test_a_sign_in_works_once_at_its_time_for_pulling(gateway: Any) -> None:
    nonce = os.urandom(8).hex()
    assert token_for(gateway, ALICE, nonce=nonce).status_code == 200
    assert token_for(gateway, ALICE, nonce=nonce).status_code == 401
    for change, status in (
        ({"ts": str(int(time.time()) - 100)}, 401),
        ({"ts": str(int(time.time()) + 100)}, 401),
        ({"scope": "repository:team/coder:pull,push"}, 403),
        ({"scope": "repository:*:pull"}, 403),
        ({"service": "other"}, 401),
    ):
        assert token_for(gateway, ALICE, **change).status_code == status, change
    assert gateway.get("/token?a=b").status_code == 401


def test_a_token_is_for_one_repository(gateway: Any, model: Any) -> None:
    token = token_for(gateway, ALICE).json()["token"]
    bearer = {"Authorization": f"Bearer {token}"}
    assert gateway.get("/v2/team/coder/manifests/1.0", headers=bearer).status_code == 200
    assert gateway.get("/v2/team/other/manifests/1.0", headers=bearer).status_code == 401
    # Not offered by this gateway, whatever the key may.
    for path in ("/v2/other/coder/manifests/1.0", "/v2/_catalog", "/v2/team/coder/tags/list"):
        assert gateway.get(path, headers=bearer).status_code == 404


def test_an_address_needs_no_token_and_is_for_one_blob(gateway: Any, model: Any) -> None:
    bearer = {"Authorization": f"Bearer {token_for(gateway, ALICE).json()['token']}"}
    path = f"/v2/team/coder/blobs/{model.layer}"
    location = gateway.get(path, headers=bearer).headers["Location"]
    assert location.startswith(f"{gateway.url}{path}?exp=")
    signed = location.removeprefix(gateway.url)
    answer = gateway.get(signed, headers={"Range": "bytes=0-99"})
    assert answer.status_code == 206 and len(answer.content) == 100
    other = json.loads(model.manifest)["config"]["digest"]
    for wrong in (
        signed.replace(model.layer, other),
        signed.replace("team/coder", "team/other"),
        signed.replace("exp=1", "exp=2"),
        signed[:-1] + ("A" if signed[-1] != "A" else "B"),
    ):
        assert gateway.get(wrong).status_code == 403, wrong
    assert gateway.get(signed + "&x=y").status_code == 404
    assert gateway.get(signed.replace(path, "/v2/team/coder/manifests/1.0")).status_code == 404


def test_a_revoked_key_ends_at_once_with_its_tokens_and_addresses(
    gateway: Any,
    model: Any,
    client: Callable[..., OllamaClient],
    revoke: Callable[[str], object],
    tmp_path: Path,
) -> None:
    bearer = {"Authorization": f"Bearer {token_for(gateway, ALICE).json()['token']}"}
    path = f"/v2/team/coder/blobs/{model.layer}"
    signed = gateway.get(path, headers=bearer).headers["Location"].removeprefix(gateway.url)
    revoke(KEYS.replace(f"{public_key(ALICE)} alice\n", ""))
    assert gateway.get(path, headers=bearer).status_code == 401
    assert gateway.get(signed).status_code == 403
    with pytest.raises(OllamaError, match="401"):
        client(ALICE).pull("team/coder:1.0", tmp_path)
    revoke(KEYS + "ssh-ed25519 broken line\n")
    assert gateway.get(signed).status_code == 200  # Her line is good again; the broken one grants nothing.
    assert any(each["event"] == "keys" and "line 5" in each["reason"] for each in gateway.audit)


def test_no_secret_is_in_the_log(gateway: Any, model: Any, eventually: Callable[..., None]) -> None:
    token = token_for(gateway, ALICE).json()["token"]
    path = f"/v2/team/coder/blobs/{model.layer}"
    signed = gateway.get(path, headers={"Authorization": f"Bearer {token}"}).headers["Location"]
    gateway.get(signed.removeprefix(gateway.url))
    gateway.get("/v2/team/coder/manifests/the-last")
    eventually(lambda: "the-last" in gateway.log)
    lines = [line for line in gateway.log.splitlines() if line.startswith('{"time"')]
    assert lines and all(json.loads(line) for line in lines)
    assert not any(token in line or "sig=" in line or "nonce=" in line for line in lines)


def test_ollama_refuses_a_realm_on_another_host(gateway: Any) -> None:
    challenge = gateway.get("/v2/team/coder/manifests/1.0").headers["WWW-Authenticate"]
    assert f'realm="{gateway.url}/token"' in challenge  # Host and port are the registry's.


def test_nothing_passes_when_the_token_service_cannot_answer(
    start_gateway: Callable[..., Any], locked: dict[str, Any], model: Any, tmp_path: Path
) -> None:
    gateway = start_gateway({"registry": locked}, None, KEYS)
    token = token_for(gateway, ALICE).json()["token"]
    bearer = {"Authorization": f"Bearer {token}"}
    assert gateway.get("/v2/team/coder/manifests/1.0", headers=bearer).status_code == 200
    (gateway.folder / "audit.jsonl").unlink()
    (gateway.folder / "audit.jsonl").mkdir()  # Cannot be written any more.
    assert gateway.get("/v2/team/coder/manifests/1.0", headers=bearer).status_code == 502
    assert token_for(gateway, ALICE).status_code == 503


def test_the_registry_never_sees_a_client(locked_registry: Server, gateway: Any) -> None:
    """The registry would answer 401 to a bearer token: the gateway sends its own credential instead."""
    bearer = {"Authorization": f"Bearer {token_for(gateway, ALICE).json()['token']}"}
    assert gateway.get("/v2/team/coder/manifests/1.0", headers=bearer).status_code == 200
