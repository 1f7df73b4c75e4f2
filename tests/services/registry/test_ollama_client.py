"""The replay of Ollama's pull itself: it works and fails where Ollama does, in Ollama's words."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_ssh_public_key
from listeners import Answer, Listener
from ollama_client import ACCEPT, NO_LOCATION, OllamaClient, OllamaError, public_key
from servers import Server

from starfreight.console import Console
from starfreight.files import sha256_bytes, sha256_file
from starfreight.package import Package
from starfreight.packager.registry.push import publish

BLOB = b"sixteen bytes..." * 100
DIGEST = sha256_bytes(BLOB)
MANIFEST = json.dumps(
    {"schemaVersion": 2, "mediaType": ACCEPT, "config": {}, "layers": [{"digest": DIGEST, "size": len(BLOB)}]}
).encode()


def serves(location: str | None = "", data: bytes = BLOB) -> Callable[[str, str | None], Answer]:
    """A registry for everybody, with a Location unless that is ``None``; it knows no ranges."""

    def answer(path: str, authorization: str | None) -> Answer:
        if "/manifests/" in path:
            return 200, {}, MANIFEST
        if "/blobs/" in path:
            return 200, {} if location is None else {"Location": location or path}, data
        return 404, {}, b""

    return answer


def pull(host: str, into: Path, name: str = "acme/coder:1.0", **options: object) -> OllamaClient:
    client = OllamaClient(host, insecure=True, **options)  # type: ignore[arg-type]
    client.pull(name, into)
    return client


def test_pulls_in_many_parts_through_the_gateway(
    gateway: Server, repository: str, package_folder: Path, console: Console, tmp_path: Path
) -> None:
    publish(package_folder, f"{gateway.host}/{repository}:1.0", insecure=True, console=console)
    client = pull(gateway.host, tmp_path / "models", f"{repository}:1.0", least_part=100_000)
    gguf = Package.load(package_folder).default_variant.gguf
    assert sha256_file(tmp_path / "models/blobs" / gguf.digest.replace(":", "-")) == gguf.digest
    assert (tmp_path / "models/manifests" / gateway.host / repository / "1.0").is_file()
    parts = [asked for asked in client.asked if "Range" in asked.headers and gguf.digest in asked.url]
    assert len(parts) == -(-gguf.size // 100_000) > 3
    assert {asked.status for asked in parts} == {206}
    assert not any("Authorization" in asked.headers for asked in parts)


def test_a_plain_registry_fails_as_with_ollama(
    registry: Server, repository: str, package_folder: Path, console: Console, tmp_path: Path
) -> None:
    publish(package_folder, f"{registry.host}/{repository}:1.0", insecure=True, console=console)
    with pytest.raises(OllamaError) as refused:
        pull(registry.host, tmp_path, f"{repository}:1.0")
    assert str(refused.value) == NO_LOCATION == "http: no Location header in response"
    assert not (tmp_path / "manifests").exists()


def test_an_oci_manifest_does_not_exist_for_ollama(
    gateway: Server, repository: str, package_folder: Path, console: Console, tmp_path: Path
) -> None:
    publish(package_folder, f"{gateway.host}/{repository}:1.0", insecure=True, console=console)
    with pytest.raises(OllamaError, match=r"pull model manifest: .*(does not exist|404|OCI)"):
        pull(gateway.host, tmp_path, f"{repository}:1.0-oci")


@pytest.mark.parametrize(
    "name", ["acme/deep/coder:1.0", "ac.me/coder:1.0", "coder", "acme/coder:", f"acme/{'x' * 81}:1"]
)
def test_names_that_ollama_does_not_know(name: str, tmp_path: Path) -> None:
    with pytest.raises(OllamaError, match=r"^invalid model name$"):
        pull("127.0.0.1:1", tmp_path, name)


def test_a_damaged_blob_is_no_model(listen: Callable[[str], Listener], tmp_path: Path) -> None:
    server = listen("127.0.0.1")
    server.answer = serves(data=BLOB[:-1] + b"!")
    with pytest.raises(OllamaError, match=f"^digest mismatch, .*: want {DIGEST}, got sha256:"):
        pull(server.host, tmp_path)
    assert not list((tmp_path / "blobs").iterdir())


def test_parts_of_a_server_without_ranges_are_a_mismatch(
    listen: Callable[[str], Listener], tmp_path: Path
) -> None:
    server = listen("127.0.0.1")
    server.answer = serves(data=bytes(range(256)) * 4)
    with pytest.raises(OllamaError, match="digest mismatch"):
        pull(server.host, tmp_path, least_part=100)


def test_a_redirect_helps_only_to_another_host_name(
    listen: Callable[[str], Listener], tmp_path: Path
) -> None:
    front, same, other = listen("127.0.0.1"), listen("127.0.0.1"), listen("127.0.0.2")
    same.answer = other.answer = serves(None)

    def redirect(to: Listener) -> Callable[[str, str | None], Answer]:
        def answer(path: str, authorization: str | None) -> Answer:
            if "/manifests/" in path:
                return 200, {}, MANIFEST
            return 307, {"Location": f"http://{to.host}{path}"}, b""

        return answer

    front.answer = redirect(same)
    with pytest.raises(OllamaError, match=NO_LOCATION):
        pull(front.host, tmp_path / "same")
    front.answer = redirect(other)
    pull(front.host, tmp_path / "other")
    assert (tmp_path / "other/blobs" / DIGEST.replace(":", "-")).read_bytes() == BLOB
    assert not other.authorizations


def signed_by(authorization: str | None, host: str, path: str) -> str | None:
    """The public key that signed a token request, checked on its own."""
    key, _, signature = (authorization or "").partition(":")
    empty = base64.b64encode(hashlib.sha256(b"").hexdigest().encode()).decode()
    public = load_ssh_public_key(f"ssh-ed25519 {key}".encode())
    try:
        public.verify(base64.b64decode(signature), f"GET,http://{host}{path},{empty}".encode())  # type: ignore
    except InvalidSignature:
        return None
    return f"ssh-ed25519 {key}"


def locked(server: Listener, realm_host: str, allowed: str) -> Callable[[str, str | None], Answer]:
    open_registry = serves()

    def answer(path: str, authorization: str | None) -> Answer:
        if path.startswith("/token"):
            query = parse_qs(urlsplit(path).query)
            assert query["service"] == ["us"]
            assert query["scope"] == ["repository:acme/coder:pull", "again"]
            assert len(query["nonce"][0]) == 22
            assert query["ts"][0].isdigit()
            if signed_by(authorization, server.host, path) != allowed:
                return 401, {}, b"who are you"
            return 200, {}, b'{"token": "let-me-in"}'
        if authorization == "Bearer let-me-in":
            return open_registry(path, authorization)
        if "/blobs/" in path:
            return open_registry(path, authorization)  # As signed addresses would.
        challenge = (
            f'Bearer realm="http://{realm_host}/token",service="us",scope="repository:acme/coder:pull again"'
        )
        return 401, {"WWW-Authenticate": challenge}, b""

    return answer


def test_signs_in_with_its_key(listen: Callable[[str], Listener], tmp_path: Path) -> None:
    server, key = listen("127.0.0.1"), Ed25519PrivateKey.generate()
    server.answer = locked(server, server.host, public_key(key))
    client = pull(server.host, tmp_path, key=key)
    assert client.token == "let-me-in"
    with_range = [asked for asked in client.asked if "Range" in asked.headers]
    assert with_range
    assert not any("Authorization" in asked.headers for asked in with_range)


def test_another_key_is_refused(listen: Callable[[str], Listener], tmp_path: Path) -> None:
    server = listen("127.0.0.1")
    server.answer = locked(server, server.host, "ssh-ed25519 AAAA")
    with pytest.raises(OllamaError, match=r"^pull model manifest: 401: who are you$"):
        pull(server.host, tmp_path)


def test_a_realm_on_another_host_gets_no_signature(listen: Callable[[str], Listener], tmp_path: Path) -> None:
    server, other = listen("127.0.0.1"), listen("127.0.0.2")
    server.answer = locked(server, other.host, "")
    with pytest.raises(OllamaError) as refused:
        pull(server.host, tmp_path)
    expected = f'realm host "{other.host}" does not match original host "{server.host}"'
    assert str(refused.value) == f"pull model manifest: {expected}"
    assert not other.asked


def test_an_endless_401_ends(listen: Callable[[str], Listener], tmp_path: Path) -> None:
    server, key = listen("127.0.0.1"), Ed25519PrivateKey.generate()
    granting = locked(server, server.host, public_key(key))
    server.answer = lambda path, authorization: granting(
        path, authorization if path.startswith("/token") else None
    )
    with pytest.raises(OllamaError, match="unauthorized: access denied"):
        pull(server.host, tmp_path, key=key)
