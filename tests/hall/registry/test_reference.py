"""References pullable by every client are parsed; others are refused with a clear error."""

from __future__ import annotations

import pytest

from starfreight.errors import InputError
from starfreight.registry import (
    Reference,
    TagReference,
    is_local,
    ollama_objection,
    parse_destination,
    parse_reference,
    parse_tag_reference,
)

OLLAMAS = ("cloud", "CLOUD", "local", "Local", "1.0-cloud", "edge-Cloud", "a-b-cloud", "_-cloud")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ghcr.io/acme/coder:cloudy", Reference("ghcr.io", "acme/coder", "cloudy")),
        ("ghcr.io/acme/coder:locale", Reference("ghcr.io", "acme/coder", "locale")),
        ("ghcr.io/acme/coder:1.0cloud", Reference("ghcr.io", "acme/coder", "1.0cloud")),
        ("ghcr.io/cloud/local:cloud-1", Reference("ghcr.io", "cloud/local", "cloud-1")),
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
        ("coder:1.0", "1 part between"),
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
        ("ghcr.io:080/acme/coder:1", "port 080"),
        ("/acme/coder:1", "host ''"),
        ("ghcr.io/" + "a" * 81 + "/coder:1", "81 characters"),
        ("ghcr.io/acme/" + "a" * 81 + ":1", "81 characters"),
        ("ghcr.io/acme/coder:" + "1" * 70, "tag of 70 characters"),
        ("ghcr.io/acme/coder:1.0-oci", "reserved for publishing"),
        ("ghcr.io/acme/coder:1.0-docker", "reserved for publishing"),
        *(
            (f"ghcr.io/acme/coder:{tag}", "the tag .*, to which Ollama gives a meaning of its own")
            for tag in OLLAMAS
        ),
        ("ghcr.io/acme/coder:1\n", "tag '1"),
        ("", "1 part between"),
    ],
)
def test_a_reference_that_some_client_could_not_pull_is_refused(text: str, said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        parse_reference(text)
    assert caught.value.exit_code == 2
    assert caught.value.fix


PLACES = {
    "europe-docker.pkg.dev/project/repo/name:1.0": "more than two parts",
    "123456789012.dkr.ecr.eu-west-1.amazonaws.com/team/models/coder:1.0": "more than two parts",
    "registry.gitlab.com/group/subgroup/project/coder:v1": "more than two parts",
    "acme.jfrog.io/docker-local/coder/q4:1": "more than two parts",
    "acme.azurecr.io/coder:1": "fewer than two parts",
    "localhost:5000/coder:1": "fewer than two parts",
    "artifacts.example.org/docker.local/coder:1": "has a dot",
    "ghcr.io/acme/" + "a" * 81 + ":1": "81 characters",
}


@pytest.mark.parametrize(("text", "objection"), PLACES.items())
def test_a_place_that_ollama_cannot_pull_from_is_a_destination_with_an_objection(
    text: str, objection: str
) -> None:
    target = parse_destination(text)
    assert not isinstance(target, Reference)
    assert str(target) == text
    assert objection in str(ollama_objection(target))


def test_a_place_that_ollama_can_pull_from_is_a_destination_without_one() -> None:
    for text in ("ghcr.io/acme/coder:1.0", "registry/team/coder:1.0"):
        target = parse_destination(text)
        assert target == parse_reference(text)
        assert ollama_objection(target) is None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("coder:1.0", "registry's host"),
        ("acme/coder:1.0", "registry's host"),
        ("a/b/c/d:1.0", "registry's host"),
        ("ghcr.io/a/b/c", "no tag"),
        ("ghcr.io/a/b/c:cloud", "meaning of its own"),
        ("ghcr.io/a/b/c:x-LOCAL-Cloud", "meaning of its own"),
        ("ghcr.io/a/b/c:1-docker", "reserved for publishing"),
        ("ghcr.io/a/b/c:" + "t" * 120, "tag of 120 characters"),
        ("ghcr.io/a/b:" + "t" * 70, "tag of 70 characters"),
        ("ghcr.io/a/../c:1", r"the (part|name|namespace) '\.\.'"),
        ("ghcr.io/Acme/coder:1", "namespace 'Acme'"),
        ("ghcr.io//coder:1", "namespace ''"),
        ("https://ghcr.io/a/b/c:1", "scheme"),
        ("me:secret@ghcr.io/a/b/c:1", "user name or a password"),
        ("", "registry's host"),
        ("ghcr.io:99999/a/b/c:1", "port 99999"),
    ],
)
def test_a_malformed_destination_is_refused(text: str, said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        parse_destination(text)
    assert caught.value.exit_code == 2
    assert "secret" not in str(caught.value)


def test_a_very_long_reference_is_refused_quickly() -> None:
    with pytest.raises(InputError):
        parse_destination("a/" * 5_000_000 + "b:1")
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
