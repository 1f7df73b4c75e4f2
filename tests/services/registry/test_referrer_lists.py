"""Lists of referrers as registries answer with them: in pages, with null for nothing, or malformed."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from listeners import DESCRIPTOR, Answer, Listener, reader, writer

from starfreight.errors import ServiceError
from starfreight.package import Attachment, Descriptor
from starfreight.packager.registry.remote_manifest import attached
from starfreight.registry.media_types import OCI_INDEX, OCI_MANIFEST
from starfreight.registry.referrers import unlisted

FIRST, SECOND = (Descriptor(media_type=OCI_MANIFEST, digest="sha256:" + digit * 64, size=2) for digit in "12")
ATTACHMENTS = [
    Attachment(subject=DESCRIPTOR.digest, artifact_type="text/x", manifest=each) for each in (FIRST, SECOND)
]


def page(*entries: Descriptor) -> bytes:
    listed = [{"mediaType": each.media_type, "digest": each.digest, "size": each.size} for each in entries]
    return json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": listed}).encode()


def pages(link: str) -> Callable[[str, str | None], Answer]:
    def answer(path: str, authorization: str | None) -> Answer:
        if "/referrers/" not in path:
            return 404, {}, b""
        if "last=" in path:
            return 200, {}, page(SECOND)
        return 200, {"Link": link.format(path=path)}, page(FIRST)

    return answer


@pytest.fixture
def registry(listen: Callable[[str], Listener]) -> Listener:
    return listen("127.0.0.1")


@pytest.mark.parametrize(
    "link",
    [
        '<{path}?last=1>; rel="next"', '<{path}>; rel="prev", <{path}?last=1>; rel=next',
        '<?last=1>; Rel="last NEXT"',
        # Behind a proxy: the registry's name inside, https that the proxy takes off, another path.
        '<http://registry.internal:5000{path}?last=1>; rel="next"',
        '<https://127.0.0.1:1/artifactory/x?last=1>; rel="next"',
    ],
)  # fmt: skip
def test_every_page_is_read(link: str, registry: Listener) -> None:
    registry.answer = pages(link)
    assert attached(reader(registry.host), DESCRIPTOR.digest, "here") == (FIRST, SECOND)
    assert unlisted(writer(registry.host), ATTACHMENTS) == ()


@pytest.mark.parametrize(
    "link",
    [
        '<http://[bad/x>; rel="next"', '<{path}>; rel="next"', ";;;",
        '<file:///etc/passwd>; rel="next"', '<//a..b:x>; rel="next"', "<" * 3000,
    ],
)  # fmt: skip
def test_a_link_to_nowhere_or_elsewhere_ends_the_list(link: str, registry: Listener) -> None:
    registry.answer = pages(link)
    assert attached(reader(registry.host), DESCRIPTOR.digest, "here") == (FIRST,)
    assert unlisted(writer(registry.host), ATTACHMENTS) == (ATTACHMENTS[1],)


@pytest.mark.parametrize("status", [403, 404, 500])
def test_a_list_that_breaks_off_is_not_taken_for_whole(
    status: int, registry: Listener, impatient: None
) -> None:
    first = pages('<{path}?last=1>; rel="next"')
    registry.answer = lambda path, authorization: (
        (status, {}, b"") if "last=" in path else first(path, authorization)
    )
    with pytest.raises(ServiceError):
        attached(reader(registry.host), DESCRIPTOR.digest, "here")


@pytest.mark.parametrize(
    ("status", "busy"), [(400, False), (405, False), (500, False), (503, True), (429, True)]
)
def test_a_busy_registry_is_not_taken_for_one_without_lists(
    status: int, busy: bool, registry: Listener, impatient: None
) -> None:
    registry.answer = lambda path, authorization: (status if "/referrers/" in path else 404, {}, b"")
    if busy:
        with pytest.raises(ServiceError, match=f"kept failing after retries \\({status}"):
            attached(reader(registry.host), DESCRIPTOR.digest, "here")
    else:
        assert attached(reader(registry.host), DESCRIPTOR.digest, "here") == ()


def test_a_malformed_link_ends_the_list_of_tags(registry: Listener) -> None:
    registry.answer = lambda path, authorization: (
        200, {"Link": '<http://[bad/x>; rel="next"'}, b'{"tags": ["1.0"]}'
    )  # fmt: skip
    assert reader(registry.host).tags() == ("1.0",)


def test_a_list_without_an_end_is_given_up(registry: Listener) -> None:
    registry.answer = lambda path, authorization: (
        (200, {"Link": f'<{path.partition("?")[0]}?{len(registry.asked)}>; rel="next"'}, page(FIRST))
        if "/referrers/" in path
        else (404, {}, b"")
    )
    assert attached(reader(registry.host), DESCRIPTOR.digest, "here") == (FIRST,)
    assert len(registry.asked) < 50


@pytest.mark.parametrize("where", ["/referrers/", "/manifests/sha256-"])
def test_null_is_an_empty_list(where: str, registry: Listener) -> None:
    nothing = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": None}).encode()
    registry.answer = lambda path, authorization: (200, {}, nothing) if where in path else (404, {}, b"")
    assert attached(reader(registry.host), DESCRIPTOR.digest, "here") == ()
    assert unlisted(writer(registry.host), ATTACHMENTS) == tuple(ATTACHMENTS)
