"""Addresses of results."""

from __future__ import annotations

import pytest

from starfreight.errors import InputError
from starfreight.results.address import is_address, parse_address, parse_place

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    "text",
    [
        "oci://ghcr.io/acme/runs", "oci://127.0.0.1:5000/runs", "oci+http://registry.tools:5000/a/b/c/d",
        "s3://bucket", "s3://my.bucket-1/team/runs", "gs://bucket/prefix", "az://container/prefix",
    ],
)  # fmt: skip
def test_a_place_and_each_of_its_results_are_parsed(text: str) -> None:
    place = parse_place(text)
    assert str(place) == text
    assert is_address(text)
    named = parse_address(f"{text}:acme-0123456789")
    assert (named.place, named.name, named.digest) == (place, "acme-0123456789", None)
    assert str(named) == f"{text}:acme-0123456789"
    pinned = parse_address(f"{text}@{DIGEST}")
    assert (pinned.place, pinned.name, pinned.digest) == (place, None, DIGEST)
    assert parse_place(f"{text}/" if text.startswith("s3") else text) == place


@pytest.mark.parametrize(
    "text",
    [
        "", "oci://", "oci://host", "oci://host/", "oci:///path", "ftp://host/path", "https://host/path",
        "oci://Host/UPPER", "oci://host/a b", "oci://host/a/../b", "oci://host:99999/a", "oci://host/a:tag",
        "oci://host/a@b", "s3://", "s3:///prefix", "s3://b", "s3://BUCKET/x", "s3://bucket/../x",
        "s3://bucket//x", "s3://bucket/a b", "s3://bucket/a?b", "s3://bucket/a#b", "s3://bucket/\n",
        "oci://host/a\n", "s3://bucket/" + "a" * 600, "file:///etc/passwd", "memory://x/y",
        "oci://host/" + "a" * 300,
    ],
)  # fmt: skip
def test_anything_else_is_an_error_with_the_next_step(text: str) -> None:
    with pytest.raises(InputError) as error:
        parse_place(text)
    assert error.value.fix
    assert len(str(error.value)) < 600


@pytest.mark.parametrize(
    "text", ["oci://user:hunter2@host/a/b", "s3://key:hunter2@bucket/x", "oci://hunter2@h/a:b"]
)
def test_a_password_is_refused_and_not_shown(text: str) -> None:
    for parse in (parse_place, parse_address):
        with pytest.raises(InputError) as error:
            parse(text)
        assert "hunter2" not in str(error.value)


@pytest.mark.parametrize(
    "text", ["oci://host/a/b", "oci://127.0.0.1:5000/a", "oci://h/a:", "oci://h/a:UPPER", "oci://h/a@sha256:1",
             "oci://h/a:../x", "s3://bucket/x:y/z", "oci://h/a:" + "x" * 129],
)  # fmt: skip
def test_the_address_of_a_result_names_it(text: str) -> None:
    with pytest.raises(InputError) as error:
        parse_address(text)
    assert error.value.fix


@pytest.mark.parametrize("text", ["acme-0123456789", "runs/acme", "https://x/y", "C:/x", "./oci:", "oci:/x"])
def test_names_of_jobs_and_paths_are_not_addresses(text: str) -> None:
    assert not is_address(text)
