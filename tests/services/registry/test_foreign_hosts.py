"""Credentials reach the host that they are meant for; every other server of a test is watched."""

from __future__ import annotations

import contextlib
import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import pytest
import requests
from listeners import (
    BASIC,
    BLOB,
    DESCRIPTOR,
    PASSWORD,
    USERNAME,
    Answer,
    Listener,
    basic,
    bearer,
    pull,
    reader,
    trust,
    writer,
)  # fmt: skip

from starfreight.errors import InputError, ServiceError
from starfreight.package import Descriptor
from starfreight.registry import TagReference
from starfreight.registry.client import RegistryClient
from starfreight.registry.origins import origin_of
from starfreight.registry.publishing import PublishingClient


@pytest.mark.parametrize("scheme", ["basic", "bearer"])
def test_the_host_of_a_source_does_not_get_the_credentials_for_another(
    scheme: str, home: Listener, elsewhere: Listener, entitle: Callable[[str], None], tmp_path: Path
) -> None:
    entitle(home.host)
    if scheme == "bearer":
        elsewhere.answer = lambda path, authorization: (
            (401, {}, b"")
            if authorization is None and path.startswith("/token")
            else bearer(f"http://{elsewhere.host}/token")(path, authorization)
        )
    with pytest.raises(ServiceError, match="requires valid credentials"):
        pull(reader(elsewhere.host), tmp_path)
    assert elsewhere.asked
    assert not elsewhere.authorizations


def test_a_recipe_that_names_a_source_does_not_get_the_credentials_for_publishing(
    home: Listener, elsewhere: Listener, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("STARFREIGHT_REGISTRY_USERNAME", USERNAME)
    monkeypatch.setenv("STARFREIGHT_REGISTRY_PASSWORD", PASSWORD)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "recipe.yaml").write_text(
        "version: 1\nname: stolen\nbase: {model: 'builtin:starter'}\n"
        f"data: [{{source: 'oci://{elsewhere.host}/team/data@{DESCRIPTOR.digest}', license: MIT}}]\n"
        f"publish: {{reference: '{home.host}/team/coder:1.0', insecure: true}}\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "starfreight", "data", "inspect", str(tmp_path / "recipe.yaml")],
        capture_output=True, check=False, text=True,
    )  # fmt: skip
    assert done.returncode == 4
    assert f"set STARFREIGHT_REGISTRY_HOST={elsewhere.host}" in " ".join(done.stderr.split())
    assert elsewhere.asked
    assert not elsewhere.authorizations + home.authorizations


def test_what_is_meant_for_a_host_reaches_it(
    home: Listener, entitle: Callable[[str], None], tmp_path: Path
) -> None:
    entitle(home.host)
    writer(home.host).connect()
    home.answer = bearer(f"http://{home.host}/token")
    pull(writer(home.host), tmp_path)
    assert home.authorizations == [BASIC, BASIC, "Bearer token-of-home"]


def test_a_host_that_is_named_is_the_only_one_even_for_publishing(
    home: Listener, elsewhere: Listener, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("STARFREIGHT_REGISTRY_USERNAME", USERNAME)
    monkeypatch.setenv("STARFREIGHT_REGISTRY_PASSWORD", PASSWORD)
    monkeypatch.setenv("STARFREIGHT_REGISTRY_HOST", home.host)
    with pytest.raises(ServiceError, match=f"are kept for {home.host}"):
        writer(elsewhere.host).connect()
    pull(reader(home.host), tmp_path)
    assert home.authorizations == [BASIC]
    assert not elsewhere.authorizations


@pytest.mark.parametrize("value", ["https://registry.example.org", "registry.example.org/team", "a b"])
@pytest.mark.parametrize("variable", ["STARFREIGHT_REGISTRY_HOST", "STARFREIGHT_REGISTRY_REALM"])
def test_a_name_that_is_no_host_is_refused(
    variable: str, value: str, home: Listener, elsewhere: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STARFREIGHT_REGISTRY_USERNAME", USERNAME)
    monkeypatch.setenv("STARFREIGHT_REGISTRY_PASSWORD", PASSWORD)
    monkeypatch.setenv(variable, value)
    home.answer = bearer(f"http://{elsewhere.host}/token")
    with pytest.raises(InputError, match=f"{variable} is not a host"):
        writer(home.host).connect()


def test_a_token_service_elsewhere_gets_nothing_unless_it_is_named(
    home: Listener, elsewhere: Listener, entitle: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    entitle(home.host)
    home.answer = bearer(f"http://{elsewhere.host}/token")
    elsewhere.answer = bearer("")
    with pytest.raises(ServiceError, match=f"set STARFREIGHT_REGISTRY_REALM={elsewhere.host}") as caught:
        writer(home.host).connect()
    assert caught.value.exit_code == 4
    assert not elsewhere.authorizations + home.authorizations
    monkeypatch.setenv("STARFREIGHT_REGISTRY_REALM", elsewhere.host)
    writer(home.host).connect()
    assert (elsewhere.authorizations, home.authorizations) == ([BASIC], ["Bearer token-of-home"])


def test_a_token_service_elsewhere_may_give_tokens_to_anyone(
    home: Listener, elsewhere: Listener, tmp_path: Path
) -> None:
    home.answer = bearer(f"http://{elsewhere.host}/token")
    elsewhere.answer = bearer("")
    pull(reader(home.host), tmp_path)
    assert (elsewhere.authorizations, home.authorizations) == ([], ["Bearer token-of-home"])


def test_a_token_service_over_plain_http_gets_nothing_from_a_registry_over_https(
    locked_registry: Any, elsewhere: Listener, entitle: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    entitle(locked_registry.host)
    monkeypatch.setenv("STARFREIGHT_REGISTRY_REALM", elsewhere.host)
    trust(locked_registry, monkeypatch)
    client = PublishingClient(TagReference(locked_registry.host, "team/coder", "1.0"), insecure=False)
    challenge = bearer(f"http://{elsewhere.host}/token")("/v2/", None)[1]
    original = client._provider.session.request

    def request(method: str, url: str, **options: Any) -> Any:
        response = original(method, url, **options)
        response.headers.update(challenge)
        return response

    monkeypatch.setattr(client._provider.session, "request", request)
    with pytest.raises(ServiceError, match="token service uses plain http"):
        client.connect()
    assert not elsewhere.asked


@pytest.mark.parametrize("challenge", ["basic", "bearer", "none"])
def test_a_blob_elsewhere_is_fetched_without_credentials(
    challenge: str, home: Listener, elsewhere: Listener, entitle: Callable[[str], None], tmp_path: Path
) -> None:
    entitle(home.host)
    home.answer = lambda path, authorization: (
        basic(path, authorization)
        if authorization is None
        else (307, {"Location": f"http://{elsewhere.host}/bucket/blob"}, b"")
    )
    if challenge == "none":
        elsewhere.answer = lambda path, authorization: (200, {}, BLOB)
        pull(writer(home.host), tmp_path)
        assert (tmp_path / "blob").read_bytes() == BLOB
    else:
        elsewhere.answer = basic if challenge == "basic" else bearer(f"http://{elsewhere.host}/token")
        with pytest.raises(ServiceError, match=r"the target of a redirection by .*refused \(401"):
            pull(writer(home.host), tmp_path)
    assert elsewhere.asked
    assert home.authorizations == [BASIC]
    assert not elsewhere.authorizations


@pytest.mark.parametrize(
    ("path", "refused"),
    [
        ("/v2/", True), ("/v2/a/b/manifests/1.0", True), ("/v2/a/b/tags/list?n=1", True), ("/token", True),
        (f"/v2/a/b/referrers/{DESCRIPTOR.digest}", True), (f"/x?/blobs/{DESCRIPTOR.digest}x", True),
        (f"/v2/a/b/blobs/{DESCRIPTOR.digest}", False), (f"/v2/a/b/manifests/{DESCRIPTOR.digest}", False),
    ],
)  # fmt: skip
def test_only_what_has_a_digest_may_come_over_plain_http_from_a_registry_over_https(
    path: str, refused: bool
) -> None:
    client = RegistryClient(TagReference("registry.example", "a/b", "1.0"), insecure=False)
    response = requests.Response()
    response.status_code, response.url = 307, f"https://registry.example{path}"
    for target in ("http://registry.example/x", "HTTP://cdn.example/x"):
        response.headers["Location"] = target
        outcome = pytest.raises(ServiceError, match="plain http") if refused else contextlib.nullcontext()
        with outcome:
            assert client._provider.session.get_redirect_target(response) == target
    for target in ("https://cdn.example/x", "/x", "//cdn.example/x"):
        response.headers["Location"] = target
        assert client._provider.session.get_redirect_target(response) == target


@pytest.mark.parametrize("challenge", ["basic", "bearer"])
def test_the_challenge_of_a_redirections_target_is_not_answered(
    challenge: str, home: Listener, elsewhere: Listener, entitle: Callable[[str], None]
) -> None:
    entitle(home.host)
    home.answer = lambda path, authorization: (302, {"Location": f"http://{elsewhere.host}{path}"}, b"")
    elsewhere.answer = basic if challenge == "basic" else bearer(f"http://{elsewhere.host}/token")
    with pytest.raises(ServiceError, match=r"the target of a redirection by .*refused \(401"):
        writer(home.host).connect()
    assert elsewhere.asked
    assert not elsewhere.authorizations + home.authorizations


def test_a_token_service_that_redirects_takes_no_credentials_along(
    home: Listener, elsewhere: Listener, entitle: Callable[[str], None]
) -> None:
    entitle(home.host)
    answers = bearer(f"http://{home.host}/token")
    home.answer = lambda path, authorization: (
        (307, {"Location": f"http://{elsewhere.host}/token"}, b"")
        if path.startswith("/token")
        else answers(path, authorization)
    )
    with pytest.raises(ServiceError, match="requires valid credentials"):
        writer(home.host).connect()
    assert elsewhere.asked
    assert not elsewhere.authorizations
    assert home.authorizations == [BASIC]


@pytest.mark.parametrize(
    "disguise", ["http://{0}/upload", "http://{0}\\@{1}/upload", "http://{1}@{0}/upload"]
)
def test_an_upload_elsewhere_is_sent_without_credentials(
    disguise: str, home: Listener, elsewhere: Listener, entitle: Callable[[str], None]
) -> None:
    entitle(home.host)
    location = disguise.format(elsewhere.host, home.host)

    def answer(path: str, authorization: str | None) -> Answer:
        if authorization is None:
            return basic(path, None)
        if "/uploads/" in path:
            return 202, {"Location": location}, b""
        return 404, {}, b""

    home.answer = answer
    elsewhere.answer = lambda path, authorization: (201, {}, b"")

    assert writer(home.host).upload(_Memory(), DESCRIPTOR, lambda amount, what=None: None)
    assert [each for each in elsewhere.asked if each.startswith("PUT ")]
    assert not elsewhere.authorizations


class _Memory:
    def open(self, descriptor: Descriptor) -> contextlib.closing[IO[bytes]]:
        return contextlib.closing(io.BytesIO(BLOB))

    def where(self, descriptor: Descriptor) -> str:
        return "memory"


@pytest.mark.parametrize("trusted", [False, True])
def test_netrc_is_not_read(
    trusted: bool, home: Listener, elsewhere: Listener, entitle: Callable[[str], None], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    (tmp_path / "netrc").write_text("default login somebody password private\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    entitle(home.host)
    home.answer = lambda path, authorization: (
        basic(path, authorization)
        if authorization is None
        else (307, {"Location": f"http://{elsewhere.host}/bucket/blob"}, b"")
    )
    elsewhere.answer = lambda path, authorization: (200, {}, BLOB)
    client = writer(home.host)
    if trusted:  # As a token service is.
        origin = origin_of(f"http://{elsewhere.host}")
        assert origin is not None
        client._provider._trusting.trusted.add(origin)
    pull(client, tmp_path)
    assert home.authorizations == [BASIC]
    assert not elsewhere.authorizations


ADDRESSES = (
    "http://[", "http://[::1", "http://h:99999/", "http://h:-1/", "http://h:x/", "http://h:1:2/", "http://a..b/",
    "http://" + "a" * 64 + ".b/", "http://.../", "http://[]/", "http://[v1.x", "http://*/", "http:///x",
    "//[", "http://user:pw@[/", "ftp://h/", "javascript:1", "http://\u2100.example/".encode().decode("latin-1"),
)  # fmt: skip


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize("place", ["redirection", "blob", "realm", "upload"])
def test_an_address_that_no_library_can_parse_is_one_error(
    place: str, address: str, home: Listener, tmp_path: Path, impatient: None
) -> None:
    answers: dict[str, Answer] = {
        "redirection": (302, {"Location": address}, b""),
        "blob": (307, {"Location": address}, b""),
        "realm": (401, {"WWW-Authenticate": f'Bearer realm="{address}"'}, b""),
        "upload": (202, {"Location": address}, b""),
    }
    home.answer = lambda path, authorization: (
        (404, {}, b"") if place == "upload" and "/uploads/" not in path else answers[place]
    )
    with pytest.raises(ServiceError) as caught:
        if place == "blob":
            pull(reader(home.host), tmp_path)
        elif place == "upload":
            writer(home.host).upload(_Memory(), DESCRIPTOR, lambda amount, what=None: None)
        else:
            reader(home.host).get_manifest("1.0", "text/plain")
    assert caught.value.exit_code == 4
    assert home.host in str(caught.value.where)
    assert not list(tmp_path.iterdir())
