"""Addresses of git repositories, and references to registries."""

from __future__ import annotations

from pathlib import Path

from fuzzing import fuzz, holds, texts
from hypothesis import given
from hypothesis import strategies as st

from starfreight.jobs.data.sources.git_address import parse_git_address
from starfreight.registry import parse_destination, parse_reference, parse_tag_reference
from starfreight.registry.reference import parse_digest_reference

PARTS = (
    "https://", "ssh://", "file://", "git@", "http://", "ext::", "user:secret@", "github.com", "localhost",
    "[::1]", ":5000", ":99999", "/", "//", "acme", "coder", "..", ":1.0", "@sha256:", "0" * 64, "-oci",
    ".git", "?token=x", "#x", "%2e%2e", " ",
    "~", "\\", "\u0661", "xn--", "a" * 300, "-",
)  # fmt: skip
addresses = st.lists(st.one_of(st.sampled_from(PARTS), texts), max_size=7).map("".join)


@fuzz
@given(text=addresses)
def test_an_address_of_a_repository(folder: Path, text: str) -> None:
    holds(lambda: parse_git_address(text, folder))


@fuzz
@given(text=addresses)
def test_a_reference(text: str) -> None:
    for parse in (parse_reference, parse_destination, parse_tag_reference, parse_digest_reference):
        holds(lambda parse=parse: str(parse(text)))  # type: ignore[misc]
