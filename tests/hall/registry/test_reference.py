"""References pullable by every client are parsed; others are refused with a clear error."""

from __future__ import annotations

import pytest

from starfreight.errors import InputError
from starfreight.registry import Reference, TagReference, is_local, parse_reference, parse_tag_reference


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ghcr.io/acme/coder:1.0", Reference("ghcr.io", "acme/coder", "1.0")),
        ("localhost:5000/team/my-coder:v1_2", Reference("localhost:5000", "team/my-coder", "v1_2")),
        ("10.0.0.1:80/a/b.c:latest", Reference("10.0.0.1:80", "a/b.c", "latest")),
        ("registry/a-b/c__d:_x", Reference("registry", "a-b/c__d", "_x")),
    ],
)
def test_a_sound_reference_is_read_and_written_alike(text: str, expected: Reference) -> None:
    assert parse_reference(text) == expected
    assert str(parse_reference(text)) == text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("coder:1.0", "1 parts"),
        ("acme/coder:1.0", "2 parts"),
        ("ghcr.io/acme/team/coder:1.0", "4 parts"),
        ("ghcr.io/acme/coder", "no tag"),
        ("ghcr.io/acme/coder:", "the tag ''"),
        ("ghcr.io/acme/coder@sha256:" + "0" * 64, "digest"),
        ("https://ghcr.io/acme/coder:1", "scheme"),
        ("oci://ghcr.io/acme/coder:1", "scheme"),
        ("ghcr.io/acme.org/coder:1", "namespace 'acme.org'"),
        ("ghcr.io/Acme/coder:1", "namespace 'Acme'"),
        ("ghcr.io/acme/Coder:1", "name 'Coder'"),
        ("ghcr.io/acme/coder:-1", "tag '-1'"),
        ("ghcr.io/acme/coder:1:2", "tag '1:2'"),
        ("ghcr.io/acme/co der:1", "name 'co der'"),
        ("ghcr.io/../coder:1", "namespace '..'"),
        ("user@ghcr.io/acme/coder:1", "user name or a password"),
        ("[::1]:5000/acme/coder:1", r"host '\[::1\]:5000'"),
        ("ghcr.io:99999/acme/coder:1", "port 99999"),
        ("/acme/coder:1", "host ''"),
        ("ghcr.io/" + "a" * 81 + "/coder:1", "81 characters"),
        ("ghcr.io/acme/" + "a" * 81 + ":1", "81 characters"),
        ("ghcr.io/acme/coder:" + "1" * 70, "tag of 70 characters"),
        ("ghcr.io/acme/coder:1.0-oci", "reserved for publishing"),
        ("ghcr.io/acme/coder:1\n", "tag '1"),
        ("", "1 parts"),
    ],
)
def test_a_reference_that_some_client_could_not_pull_is_refused(text: str, said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        parse_reference(text)
    assert caught.value.exit_code == 2
    assert caught.value.fix


def test_a_very_long_reference_is_refused_quickly() -> None:
    with pytest.raises(InputError):
        parse_reference("a/" + "-" * 10_000_000 + "/b:1")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ghcr.io/acme/trainer:1.0", TagReference("ghcr.io", "acme/trainer", "1.0")),
        ("localhost/trainer:1", TagReference("localhost", "trainer", "1")),
        ("registry:5000/a/b/c/d:" + "t" * 128, TagReference("registry:5000", "a/b/c/d", "t" * 128)),
    ],
)
def test_an_image_may_lie_at_any_depth(text: str, expected: TagReference) -> None:
    assert parse_tag_reference(text) == expected
    assert str(parse_tag_reference(text)) == text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("trainer:1.0", "registry's host"),
        ("acme/trainer:1.0", "registry's host"),
        ("ghcr.io/", "registry's host"),
        ("ghcr.io/acme/trainer", "no tag"),
        ("ghcr.io/acme/trainer:", "the tag ''"),
        ("ghcr.io/acme/trainer:" + "t" * 129, "tag of 129 characters"),
        ("ghcr.io/acme/trainer:sha256-" + "0" * 64, "reserved for lists of referrers"),
        ("ghcr.io/acme/trainer@sha256:" + "0" * 64, "names a digest"),
        ("http://localhost:5000/trainer:1", "scheme"),
        ("me:secret@ghcr.io/trainer:1", "user name or a password"),
        ("ghcr.io/../trainer:1", r"the part '\.\.'"),
        ("ghcr.io/acme//trainer:1", "the part ''"),
        ("ghcr.io/Acme/trainer:1", "the part 'Acme'"),
        ("ghcr.io/acme/trainer:1:2", "the part 'trainer:1'"),
        ("ghcr.io:0/acme/trainer:1", "port 0"),
        ("ghcr.io/" + "a/" * 124 + "trainer:1", "characters of host and path"),
        ("a." + "-" * 10_000_000 + "/b:1", "characters"),
    ],
)
def test_what_is_no_place_for_an_image_is_refused(text: str, said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        parse_tag_reference(text)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("localhost", True), ("LOCALHOST:5000", True), ("127.0.0.1:5000", True), ("127.9.9.9", True),
        ("localhost.example.org", False), ("127.example.org", False), ("10.0.0.1:5000", False), ("", False),
    ],
)  # fmt: skip
def test_only_this_machine_is_local(host: str, local: bool) -> None:
    assert is_local(host) is local
