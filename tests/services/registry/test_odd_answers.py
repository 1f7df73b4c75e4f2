"""Answers beside the specification, as proxies, storages and smaller registries give them."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from listeners import BLOB, DESCRIPTOR, Listener, pull, reader, writer

from starfreight.console import Console
from starfreight.errors import ServiceError
from starfreight.packager.registry.list_tags import list_tags
from starfreight.packager.registry.push import publish
from starfreight.registry.blob_transfer import Transfer
from starfreight.registry.media_types import OCI_MANIFEST
from starfreight.registry.partial_file import open_partial


def unseen(amount: float, what: str | None = None) -> None:
    """Progress that nobody watches."""


@pytest.fixture
def server(listen: Callable[[str], Listener]) -> Listener:
    return listen("127.0.0.1")


def test_a_registry_that_refuses_large_pages_is_asked_for_its_own(server: Listener, console: Console) -> None:
    server.answer = lambda path, authorization: (
        (400, {}, b'{"errors": [{"code": "PAGINATION_NUMBER_INVALID"}]}') if "n=1000" in path
        else (200, {}, b'{"tags": ["a", "b"]}')
    )  # fmt: skip
    assert reader(server.host).tags() == ("a", "b")


def test_a_registry_that_refuses_every_page_is_one_error(server: Listener, console: Console) -> None:
    server.answer = lambda path, authorization: (400, {}, b"")
    with pytest.raises(ServiceError, match="refused \\(400"):
        list_tags(f"{server.host}/a/b", insecure=True, console=console)
    assert len(server.asked) < 5


def test_a_storage_that_takes_get_alone_tells_a_blobs_length(
    server: Listener, listen: Callable[[str], Listener]
) -> None:
    storage = listen("127.0.0.2")
    server.answer = lambda path, authorization: (307, {"Location": f"http://{storage.host}{path}"}, b"")
    storage.answer = lambda path, authorization: (
        (403, {}, b"SignatureDoesNotMatch") if storage.asked[-1].startswith("HEAD")
        else (206, {"Content-Range": f"bytes 0-0/{len(BLOB)}"}, BLOB[:1])
    )  # fmt: skip
    assert reader(server.host).stored_size(DESCRIPTOR) == len(BLOB)


def test_a_refusal_by_the_storage_is_not_blamed_on_the_account(
    server: Listener, listen: Callable[[str], Listener], tmp_path: Path
) -> None:
    storage = listen("127.0.0.2")
    server.answer = lambda path, authorization: (307, {"Location": f"http://{storage.host}/x?sig=abc"}, b"")
    storage.answer = lambda path, authorization: (403, {}, b"<Error>expired</Error>")
    with pytest.raises(ServiceError, match=f"{storage.host}, the target of a redirection") as caught:
        pull(reader(server.host), tmp_path)
    fix = str(caught.value.fix)
    assert "docker login" not in fix and "expired" in fix


def test_a_stream_that_always_breaks_at_the_same_place_is_given_up(
    server: Listener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """nginx cuts answers at 1 GiB by default: each attempt receives that much, and none more."""
    monkeypatch.setattr("starfreight.registry.session.BACKOFF_FACTOR", 0.001)
    monkeypatch.setattr("starfreight.registry.blob_transfer._CHUNK", 4)
    server.answer = lambda path, authorization: (200, {"Transfer-Encoding": "chunked"}, b"5\r\nbytes\r\n")
    with open_partial(tmp_path / "blob", DESCRIPTOR) as partial:
        transfer = Transfer(reader(server.host), DESCRIPTOR, partial, unseen, 1, ranges=False)
        ended: list[BaseException] = []

        def run() -> None:
            try:
                transfer.run()
            except BaseException as error:
                ended.append(error)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        thread.join(20)
        assert not thread.is_alive()
    assert isinstance(ended[0], ServiceError)


@pytest.mark.parametrize("status", [200, 201, 202])
def test_each_success_of_a_manifest_is_one(status: int, server: Listener) -> None:
    server.answer = lambda path, authorization: (status, {}, b"")
    writer(server.host).put_manifest("1.0", OCI_MANIFEST, b"{}")


@pytest.mark.parametrize("odd", ["{}#top", "  {}  ", "{}?digest=sha256:0&_state=a%2Fb", "{}?_state=a&"])
def test_an_upload_address_is_read_as_others_read_it(odd: str, server: Listener) -> None:
    uploaded: list[str] = []

    def answer(path: str, authorization: str | None) -> Any:
        method = server.asked[-1].partition(" ")[0]
        if method == "POST":
            return 202, {"Location": odd.format("/v2/team/coder/blobs/uploads/7")}, b""
        if method == "PUT":
            uploaded.append(path)
            return 201, {}, b""
        return 404, {}, b""

    server.answer = answer
    writer(server.host).upload(_Source(), DESCRIPTOR, unseen)
    (path,) = uploaded
    assert path.startswith("/v2/team/coder/blobs/uploads/7?")
    assert path.count("digest=") == 1 and "&&" not in path
    assert ("_state=a" in path) == ("_state" in odd)


class _Source:
    """The blob of :mod:`listeners`."""

    def open(self, descriptor: Any) -> Any:
        return io.BytesIO(BLOB)

    def where(self, descriptor: Any) -> str:
        return "here"


def test_a_page_in_place_of_an_upload_is_named_as_such(server: Listener) -> None:
    server.answer = lambda path, authorization: (
        (404, {}, b"") if server.asked[-1].startswith("HEAD") else (200, {}, b"<html>sign in</html>")
    )
    with pytest.raises(ServiceError, match=r"not that of a registry \(200\)"):
        writer(server.host).upload(_Source(), DESCRIPTOR, unseen)


def test_an_upload_that_leads_to_https_says_so(server: Listener, impatient: None) -> None:
    """docker-registry with ``http.host: https://...`` behind a port for plain http."""
    server.answer = lambda path, authorization: (
        (404, {}, b"") if server.asked[-1].startswith("HEAD")
        else (202, {"Location": f"https://{server.host}/v2/team/coder/blobs/uploads/7"}, b"")
    )  # fmt: skip
    with pytest.raises(ServiceError, match="leads from plain http to https") as caught:
        writer(server.host).upload(_Source(), DESCRIPTOR, unseen)
    assert "--insecure" not in str(caught.value.fix)


def test_a_manifest_that_is_accepted_and_gone_is_missed(
    faulty: Any, fault: Any, package_folder: Path, repository: str, console: Console
) -> None:
    faulty.faults.append(fault("PUT", "/manifests/1.0$", status=201))
    with pytest.raises(ServiceError, match="accepted the manifest, but does not hold it"):
        publish(package_folder, f"{faulty.host}/{repository}:1.0", insecure=True, console=console)


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_registry_that_fails_to_mount_is_asked_once(status: int, server: Listener, impatient: None) -> None:
    server.answer = lambda path, authorization: (status, {"Retry-After": "0"}, b"")
    client = writer(server.host)
    assert not client.mount(DESCRIPTOR, "team/base")
    asked = len(server.asked)
    assert not client.mount(DESCRIPTOR, "team/base")
    assert len(server.asked) == asked


def test_an_upload_opened_in_place_of_a_mount_may_be_left(server: Listener) -> None:
    server.answer = lambda path, authorization: (
        (202, {"Location": "http://a..b/"}, b"") if server.asked[-1].startswith("POST") else (500, {}, b"")
    )
    client = writer(server.host)
    assert not client.mount(DESCRIPTOR, "team/base")
    assert not client.mount(DESCRIPTOR, "team/base")
    assert len(server.asked) == 2


@pytest.mark.parametrize(
    ("status", "said"), [(409, b""), (412, b""), (400, b'{"errors": [{"message": "The tag is immutable"}]}')]
)
def test_an_immutable_tag_is_named_as_a_cause(status: int, said: bytes, server: Listener) -> None:
    server.answer = lambda path, authorization: (status, {}, said)
    with pytest.raises(ServiceError, match=f"refused \\({status}") as caught:
        writer(server.host).put_manifest("1.0", OCI_MANIFEST, b"{}")
    assert "choose a tag" in str(caught.value.fix)
