"""Authentication as a conversation with an imitation of a registry and its token service."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any

import pytest
from token_server import IDENTITY, PASSWORD, USERNAME, TokenServer

from starfreight.errors import GateError, ServiceError
from starfreight.files import sha256_bytes
from starfreight.package import Descriptor
from starfreight.registry import DigestReference, TagReference
from starfreight.registry.client import RegistryClient
from starfreight.registry.fetch_blob import fetch_blob
from starfreight.registry.media_types import OCI_MANIFEST
from starfreight.registry.publishing import PublishingClient

BLOB = b"bytes of a blob"
DESCRIPTOR = Descriptor(media_type="text/plain", digest=sha256_bytes(BLOB), size=len(BLOB))
MANIFEST = json.dumps({"schemaVersion": 2, "mediaType": OCI_MANIFEST}).encode()


class Memory:
    def open(self, descriptor: Descriptor) -> contextlib.closing[IO[bytes]]:
        return contextlib.closing(io.BytesIO(BLOB))

    def where(self, descriptor: Descriptor) -> str:
        return "memory"


def advance(amount: float, what: str | None = None) -> None:
    """No progress to show."""


def push(server: TokenServer, name: str = "team/coder") -> PublishingClient:
    client = PublishingClient(TagReference(server.host, name, "1.0"), insecure=True)
    client.connect()
    client.upload(Memory(), DESCRIPTOR, advance)
    client.put_manifest("1.0", OCI_MANIFEST, MANIFEST)
    return client


def read(server: TokenServer, to: Path, name: str = "team/coder") -> None:
    client = RegistryClient(DigestReference(server.host, name, DESCRIPTOR.digest), insecure=True)
    assert client.get_manifest("1.0", OCI_MANIFEST) == MANIFEST
    fetch_blob(client, DESCRIPTOR, to / "blob", advance, keep_partial=False)
    assert (to / "blob").read_bytes() == BLOB


@pytest.fixture
def signed_in(monkeypatch: pytest.MonkeyPatch, token_server: TokenServer) -> None:
    monkeypatch.setenv("STARFREIGHT_REGISTRY_USERNAME", USERNAME)
    monkeypatch.setenv("STARFREIGHT_REGISTRY_PASSWORD", PASSWORD)
    monkeypatch.setenv("STARFREIGHT_REGISTRY_HOST", token_server.host)


@pytest.fixture
def skopeo(require_service: Callable[[str], str], tmp_path: Path) -> Callable[..., int]:
    """Runs skopeo and gives its exit code."""
    program = require_service("skopeo")

    def run(*arguments: str) -> int:
        done = subprocess.run([program, *arguments], capture_output=True, check=False, timeout=60)
        return done.returncode

    return run


def bearer(server: TokenServer, scope: str) -> str:
    asked = f',scope="{scope}"' if scope else ""
    return f'Bearer realm="{server.realm}",service="imitation"{asked}'


CHALLENGES: dict[str, Callable[[TokenServer, str], list[str]]] = {
    "plain": lambda server, scope: [bearer(server, scope)],
    "negotiate in the same header": lambda server, scope: [f"Negotiate, {bearer(server, scope)}"],
    "negotiate in a header before": lambda server, scope: ["Negotiate YII=", bearer(server, scope)],
    "an unknown scheme with parameters": lambda server, scope: [
        f'Digest realm="x, Basic y", qop="auth", {bearer(server, scope)}'
    ],
    "a quote left open before": lambda server, scope: ['Digest realm="x', bearer(server, scope)],
    "unquoted": lambda server, scope: [bearer(server, scope).replace('"', "")],
    "empty parameters": lambda server, scope: [f'{bearer(server, scope)},error="",x=,y'],
    "an empty scope": lambda server, scope: [f'Bearer realm="{server.realm}",service="imitation",scope=""'],
    "names in capitals": lambda server, scope: [
        bearer(server, scope)
        .replace("realm", "REALM")
        .replace("Bearer", "BEARER")
        .replace("scope=", "Scope = ")
    ],
    "a relative realm": lambda server, scope: [bearer(server, scope).replace(f"http://{server.host}", "")],
    "a realm without scheme": lambda server, scope: [bearer(server, scope).replace("http://", "")],
    "a realm with a query": lambda server, scope: [bearer(server, scope).replace("/token", "/token?a=b&c")],
    "no service": lambda server, scope: [bearer(server, scope).replace(',service="imitation"', "")],
    "bad realms before": lambda server, scope: [
        'Bearer realm="http://[",service="s"', 'Bearer realm="http://h:99999/"', "Bearer",
        'Bearer realm="file:///etc/passwd"', 'Bearer realm="http://\x80.example/"', bearer(server, scope),
    ],
}  # fmt: skip


@pytest.mark.usefixtures("signed_in")
@pytest.mark.parametrize("kind", CHALLENGES)
def test_a_challenge_is_understood_in_every_form(
    kind: str, token_server: TokenServer, tmp_path: Path
) -> None:
    token_server.quirks.challenges = lambda scope: CHALLENGES[kind](token_server, scope)
    push(token_server)
    read(token_server, tmp_path)
    assert token_server.manifests["1.0"][0] == MANIFEST


@pytest.mark.usefixtures("signed_in")
@pytest.mark.parametrize("kind", ["plain", "empty parameters", "an empty scope", "names in capitals"])
def test_the_token_is_the_one_that_skopeo_asks_for(
    kind: str, token_server: TokenServer, skopeo: Callable[..., int], tmp_path: Path
) -> None:
    token_server.quirks.challenges = lambda scope: CHALLENGES[kind](token_server, scope)
    push(token_server)
    read(token_server, tmp_path)
    ours, token_server.asked = token_server.asked, []
    (tmp_path / "image").mkdir()
    image = f"docker://{token_server.host}/team/coder:1.0"
    account = f"{USERNAME}:{PASSWORD}"
    write_image(tmp_path / "image")
    assert not skopeo(
        "copy", "--dest-tls-verify=false", "--dest-creds", account, f"dir:{tmp_path}/image", image
    )
    assert not skopeo("inspect", "--raw", "--tls-verify=false", "--creds", account, image)
    assert [(each.method, each.scopes, each.authorization) for each in ours] == [
        (each.method, each.scopes, each.authorization) for each in token_server.asked
    ]
    names = {"scope", "service", "account"}
    assert [set(each.fields) for each in ours] == [names, names]
    assert [set(each.fields) for each in token_server.asked] == [names, names]


def write_image(folder: Path) -> None:
    """An image for skopeo, of one layer."""
    config = json.dumps({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers"}}).encode()
    blobs = {sha256_bytes(data): data for data in (config, BLOB)}
    kinds = ("application/vnd.oci.image.config.v1+json", "application/vnd.oci.image.layer.v1.tar")
    described = [
        {"mediaType": kind, "digest": digest, "size": len(data)}
        for kind, (digest, data) in zip(kinds, blobs.items(), strict=True)
    ]
    manifest = {
        "schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": described[0], "layers": described[1:],
    }  # fmt: skip
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (folder / "version").write_text("Directory Transport Version: 1.1\n")
    for digest, data in blobs.items():
        (folder / digest.removeprefix("sha256:")).write_bytes(data)


@pytest.mark.usefixtures("signed_in")
def test_one_token_serves_a_whole_publication(token_server: TokenServer) -> None:
    push(token_server)
    assert [each.scopes for each in token_server.asked] == [
        frozenset(("repository:team/coder:pull", "repository:team/coder:push"))
    ]


@pytest.mark.usefixtures("signed_in")
@pytest.mark.parametrize("too_small", ["bearer", "basic", "403"])
def test_a_scope_that_is_too_small_is_asked_for_again_or_answered_with_basic(
    too_small: str, token_server: TokenServer, tmp_path: Path
) -> None:
    """The repository has another name at the token service, and Harbor asks for ``Basic``."""
    token_server.quirks.too_small, token_server.quirks.basic = too_small, True
    push(token_server)
    client = RegistryClient(
        DigestReference(token_server.host, "team/coder", DESCRIPTOR.digest), insecure=True
    )
    assert client.get_manifest("1.0", OCI_MANIFEST) == MANIFEST
    token_server.asked.clear()
    # A request that needs more than this client asks for by itself.
    response = client._ask("testing", f"http://{token_server.host}/v2/team/coder/blobs/uploads/", "POST")
    assert response.status_code == 202
    if too_small != "basic":
        assert "repository:team/coder:push" in token_server.asked[-1].scopes


@pytest.mark.usefixtures("signed_in")
def test_a_refusal_without_a_way_out_ends_the_conversation(token_server: TokenServer) -> None:
    token_server.quirks.grants = lambda scope: not scope.endswith(":push")
    with pytest.raises(ServiceError, match=r"requires valid credentials \(401: DENIED no") as caught:
        push(token_server)
    assert caught.value.exit_code == 4
    assert len(token_server.asked) <= 2
    token_server.quirks.too_small = "denied"
    token_server.asked.clear()
    with pytest.raises(ServiceError, match=r"denies access \(403"):
        push(token_server)
    assert len(token_server.asked) == 1


@pytest.mark.usefixtures("signed_in")
def test_a_registry_that_never_has_enough_is_given_up(token_server: TokenServer) -> None:
    wishes = iter(range(1000))
    token_server.quirks.grants = lambda scope: False
    token_server.quirks.challenges = lambda scope: [
        bearer(token_server, f"repository:other/{next(wishes)}:pull")
    ]
    with pytest.raises(ServiceError, match="requires valid credentials"):
        push(token_server)
    assert len(token_server.asked) < 10


@pytest.mark.usefixtures("signed_in")
def test_a_token_that_the_registry_ends_early_is_replaced(token_server: TokenServer, tmp_path: Path) -> None:
    client = push(token_server)
    token_server.tokens.clear()
    assert client.get_manifest("1.0", OCI_MANIFEST) == MANIFEST
    assert len(token_server.asked) == 2


@pytest.mark.usefixtures("signed_in")
@pytest.mark.parametrize(
    ("fields", "tokens"),
    [
        ({"expires_in": 300}, 1),
        ({"expires_in": 300, "issued_at": "1999-01-01T00:00:00Z"}, 1),
        ({"expires_in": 300, "issued_at": "2999-01-01T00:00:00Z"}, 1),
        ({}, 1),
        ({"expires_in": "rubbish"}, 1),
        ({"expires_in": -7}, 1),
        ({"expires_in": 1e400}, 1),
        ({"expires_in": 100}, 2),
    ],
)
def test_a_token_is_kept_for_as_long_as_it_lasts_by_our_own_clock(
    fields: dict[str, Any], tokens: int, token_server: TokenServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr("starfreight.registry.tokens.time.monotonic", lambda: now[0])
    token_server.quirks.answer = lambda token: {"token": token, **fields}
    token_server.quirks.lifetime = 1e9
    client = push(token_server)
    now[0] += 50 if tokens == 1 else 95
    token_server.seen.clear()
    assert client.get_manifest("1.0", OCI_MANIFEST) == MANIFEST
    assert len(token_server.asked) == tokens
    # Replaced before it is refused.
    assert len(token_server.seen) == 1


@pytest.mark.usefixtures("signed_in")
def test_an_upload_begins_with_a_token_that_has_half_of_its_life_left(
    token_server: TokenServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr("starfreight.registry.tokens.time.monotonic", lambda: now[0])
    token_server.quirks.answer = lambda token: {"token": token, "expires_in": 100}
    token_server.quirks.lifetime = 1e9
    client = push(token_server)
    now[0] += 60
    token_server.blobs.clear()
    assert client.upload(Memory(), DESCRIPTOR, advance)
    assert len(token_server.asked) == 2


@pytest.mark.usefixtures("signed_in")
def test_a_blob_is_mounted_with_a_token_for_both_repositories(token_server: TokenServer) -> None:
    client = push(token_server)
    assert client.mount(DESCRIPTOR, "team/base")
    assert token_server.asked[-1].scopes == {
        "repository:team/coder:pull", "repository:team/coder:push", "repository:team/base:pull",
    }  # fmt: skip
    token_server.quirks.grants = lambda scope: "hidden" not in scope
    assert not client.mount(DESCRIPTOR, "team/hidden")
    client.put_manifest("1.0", OCI_MANIFEST, MANIFEST)  # The client still works.


@pytest.mark.parametrize("answer", ["token", "access_token", "both", "empty token"])
def test_a_token_has_one_of_two_names(
    answer: str, token_server: TokenServer, tmp_path: Path, signed_in: None
) -> None:
    answers: dict[str, Callable[[str], Any]] = {
        "token": lambda token: {"token": token},
        "access_token": lambda token: {"access_token": token},
        "both": lambda token: {"token": token, "access_token": token},
        "empty token": lambda token: {"token": "", "access_token": token},
    }
    token_server.quirks.answer = answers[answer]
    push(token_server)
    read(token_server, tmp_path)


@pytest.mark.usefixtures("signed_in")
@pytest.mark.parametrize(
    "answer",
    [
        b"<html>sign in</html>", b"", b"[]", b"null", b"{}", b'{"token": 1}',
        b'{"token": "a\\r\\nX-Evil: 1"}',
        b'{"token": "\xc3\xa9"}', b"[" * 100_000, b'{"token": NaN}', b"\xff\xfe{}",
    ],
)  # fmt: skip
def test_an_answer_without_a_token_is_one_clear_error(answer: bytes, token_server: TokenServer) -> None:
    token_server.quirks.answer = lambda token: answer
    with pytest.raises(ServiceError, match="token service did not answer with a token") as caught:
        push(token_server)
    assert token_server.host in str(caught.value.where)
    assert caught.value.exit_code == 4


@pytest.mark.parametrize("source", ["environment", "auths", "helper"])
@pytest.mark.parametrize("methods", [("POST",), ("GET",)])
@pytest.mark.parametrize("refused", [404, 405])
def test_an_identity_token_is_exchanged(
    refused: int, methods: tuple[str, ...], source: str, token_server: TokenServer, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    token_server.quirks.methods, token_server.quirks.refused_method = methods, refused
    give_identity(source, token_server.host, tmp_path, monkeypatch)
    client = push(token_server)
    request = token_server.asked[-1]
    assert request.method == methods[0]
    if methods == ("POST",):
        assert request.fields["grant_type"] == ["refresh_token"]
        assert request.authorization is None
    assert IDENTITY in client.secrets


def give_identity(source: str, host: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(folder))
    config: dict[str, Any] = {}
    if source == "environment":
        monkeypatch.setenv("STARFREIGHT_REGISTRY_USERNAME", "<token>")
        monkeypatch.setenv("STARFREIGHT_REGISTRY_PASSWORD", IDENTITY)
    elif source == "auths":
        auth = base64.b64encode(b"00000000-0000-0000-0000-000000000000:").decode()
        config = {"auths": {host: {"auth": auth, "identitytoken": IDENTITY}}}
    else:
        helper = folder / "docker-credential-cloud"
        helper.write_text(f"#!/bin/sh\necho '{json.dumps({'Username': '<token>', 'Secret': IDENTITY})}'\n")
        helper.chmod(0o755)
        monkeypatch.setenv("PATH", str(folder), prepend=":")
        config = {"credHelpers": {host: "cloud"}}
    (folder / "config.json").write_text(json.dumps(config))


def test_an_identity_token_of_skopeo_is_used_as_skopeo_does(
    token_server: TokenServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, skopeo: Callable[..., int]
) -> None:
    give_identity("auths", token_server.host, tmp_path, monkeypatch)
    push(token_server)
    ours, token_server.asked = token_server.asked, []
    image = f"docker://{token_server.host}/team/coder:1.0"
    assert not skopeo("inspect", "--raw", "--tls-verify=false", image)
    theirs = token_server.asked
    assert [each.method for each in (*ours, *theirs)] == ["POST", "POST"]
    assert set(ours[0].fields) == set(theirs[0].fields)


def test_a_service_that_only_knows_post_gets_the_password_by_post(
    token_server: TokenServer, signed_in: None
) -> None:
    token_server.quirks.methods = ("POST",)
    push(token_server)
    assert token_server.asked[-1].fields["grant_type"] == ["password"]


def test_an_identity_token_stays_with_the_service_that_it_is_meant_for(
    token_server: TokenServer, listen: Callable[[str], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """POST sends it in the body, which a redirection with 307 would repeat."""
    give_identity("environment", token_server.host, tmp_path, monkeypatch)
    elsewhere = listen("127.0.0.2")
    token_server.quirks.challenges = lambda scope: [
        bearer(token_server, scope).replace("/token", "/v2/redirect")
    ]
    token_server.quirks.first = []
    original = token_server.RequestHandlerClass

    class Redirecting(original):  # type: ignore[misc, valid-type]
        def do_POST(self) -> None:
            if self.path.startswith("/v2/redirect"):
                self.body = self._read()
                self._say(307, b"", [("Location", f"http://{elsewhere.host}/token")])
            else:
                self._serve()

    token_server.RequestHandlerClass = Redirecting
    with pytest.raises(ServiceError, match="gets no password"):
        push(token_server)
    assert not elsewhere.asked


def test_anybody_may_read_what_is_public(
    token_server: TokenServer, tmp_path: Path, signed_in: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    push(token_server)
    for name in ("USERNAME", "PASSWORD", "HOST"):
        monkeypatch.delenv(f"STARFREIGHT_REGISTRY_{name}")
    token_server.quirks.anonymous = True
    token_server.asked.clear()
    read(token_server, tmp_path)
    assert [(each.authorization, each.scopes) for each in token_server.asked] == [
        (None, frozenset(("repository:team/coder:pull",)))
    ]


def test_an_unreachable_token_service_does_not_hide_basic(
    token_server: TokenServer, signed_in: None, impatient: None, free_port: Callable[[], int]
) -> None:
    token_server.quirks.basic = True
    monkey = f'Bearer realm="http://127.0.0.1:{free_port()}/none",service="s"'
    token_server.quirks.challenges = lambda scope: [monkey, 'Basic realm="r"']
    push(token_server)
    assert not token_server.asked


@pytest.mark.usefixtures("signed_in")
@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_token_service_is_named(
    status: int, token_server: TokenServer, impatient: None, listen: Callable[[str], Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    busy = listen("127.0.0.1")
    busy.answer = lambda path, authorization: (status, {}, b"")
    monkeypatch.setenv("STARFREIGHT_REGISTRY_REALM", busy.host)
    token_server.quirks.challenges = lambda scope: [f'Bearer realm="http://{busy.host}/token"']
    with pytest.raises(ServiceError, match=f"token service kept failing \\({status}"):
        push(token_server)


LENGTHS: dict[str, Callable[[int], str | None]] = {
    "right": str,
    "too small": lambda size: str(size - 1),
    "too large": lambda size: str(size + 1),
    "missing": lambda size: None,
    "no number": lambda size: "many",
}


@pytest.mark.usefixtures("signed_in")
@pytest.mark.parametrize("kind", LENGTHS)
@pytest.mark.parametrize("status", [200, 405])
def test_a_blob_is_there_in_its_whole_length_only(kind: str, status: int, token_server: TokenServer) -> None:
    client = push(token_server)
    token_server.quirks.head = status
    token_server.quirks.length = LENGTHS[kind]
    whole = kind in ("right", "missing", "no number") or status == 405
    assert client.has_blob(DESCRIPTOR) is whole
    token_server.blobs[DESCRIPTOR.digest] = BLOB[:3]
    token_server.quirks.length = str
    assert client.stored_size(DESCRIPTOR) == 3
    assert not client.has_blob(DESCRIPTOR)
    token_server.blobs.clear()
    token_server.quirks.head = None
    assert client.stored_size(DESCRIPTOR) is None


@pytest.mark.usefixtures("signed_in")
@pytest.mark.parametrize("digest", ["", "rubbish", "sha256:abc", "sha512:" + "0" * 128])
def test_a_digest_in_a_header_that_is_none_is_not_believed(digest: str, token_server: TokenServer) -> None:
    client = push(token_server)
    headers = {"Docker-Content-Digest": digest, "Content-Length": "0"}
    token_server.quirks.first = [(200, headers)]
    assert client.manifest_digest("1.0", OCI_MANIFEST) == sha256_bytes(MANIFEST)


@pytest.mark.usefixtures("signed_in")
def test_a_manifest_with_another_digest_than_requested_is_refused(token_server: TokenServer) -> None:
    client = push(token_server)
    digest = sha256_bytes(MANIFEST)
    assert client.get_manifest(digest, OCI_MANIFEST) == MANIFEST
    token_server.manifests[digest] = (MANIFEST + b" ", OCI_MANIFEST)
    with pytest.raises(GateError, match="does not match the digest"):
        client.get_manifest(digest, OCI_MANIFEST)


@pytest.mark.usefixtures("signed_in")
@pytest.mark.parametrize("page", [b"<!doctype html><title>Sign in</title>", b"\xef\xbb\xbf \n<html>"])
def test_a_web_page_is_no_answer_of_a_registry(
    page: bytes, token_server: TokenServer, listen: Callable[[str], Any]
) -> None:
    client = push(token_server)
    token_server.manifests["2.0"] = (page, OCI_MANIFEST)
    with pytest.raises(ServiceError, match="answers with a web page"):
        client.get_manifest("2.0", OCI_MANIFEST)
    portal = listen("127.0.0.1")
    portal.answer = lambda path, authorization: (200, {}, page)
    with pytest.raises(ServiceError, match="answers with a web page"):
        PublishingClient(TagReference(portal.host, "team/coder", "1.0"), insecure=True).connect()


@pytest.mark.usefixtures("signed_in")
def test_threads_share_one_token(token_server: TokenServer) -> None:
    push(token_server)
    token_server.asked.clear()
    client = RegistryClient(
        DigestReference(token_server.host, "team/coder", DESCRIPTOR.digest), insecure=True
    )
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda tag: client.get_manifest(tag, OCI_MANIFEST), ["1.0"] * 24))
    assert answers == [MANIFEST] * 24
    assert len(token_server.asked) == 1
