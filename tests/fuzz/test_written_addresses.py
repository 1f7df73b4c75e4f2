"""Addresses that end in statements and commands: of repositories, tokens, servers and places in files."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from fuzzing import fuzz, holds, texts
from hypothesis import given
from hypothesis import strategies as st

from starfreight.completion.place import find_place, looks_like_a_place
from starfreight.git_uri import GIT_URI_PATTERN, URL_PATTERN, git_uri, public_url
from starfreight.jobs.evaluate.models.server_target import is_server, parse_server
from starfreight.packager.provenance.signing.pkcs11_uri import parse_pkcs11_uri

ADDRESSES = st.lists(
    st.sampled_from((
        "https://", "ssh://", "git@", "me:canary@", "github.com", ":", "/", "acme", "coder.git",
        "?token=canary", "#canary", "[::1]", ":443", "..", "%2e", "@", "\\", "::",
    )) | texts,
    max_size=8,
).map("".join)  # fmt: skip
TOKENS = st.lists(
    st.sampled_from((
        "pkcs11:", "token=", "id=", "%02", "%", ";", "?", "&", "pin-value=", "module-path=", "/dev/null", "a",
    )) | texts,
    max_size=10,
).map("".join)  # fmt: skip


@fuzz
@given(text=ADDRESSES)
def test_an_address_of_a_repository_has_its_form_and_no_secret(text: str) -> None:
    def read() -> None:
        for found, pattern in ((git_uri(text), GIT_URI_PATTERN), (public_url(text), URL_PATTERN)):
            assert found is None or re.search(pattern, found)
            assert found is None or not re.search(r"me:canary@|[?#]", found)

    holds(read)


@fuzz
@given(text=TOKENS)
def test_a_key_in_a_token(text: str) -> None:
    holds(lambda: parse_pkcs11_uri(text))


@fuzz
@given(text=ADDRESSES)
def test_a_model_server(text: str) -> None:
    holds(lambda: parse_server(text) if is_server(text) else None)


@fuzz
@given(text=st.one_of(texts, st.text("file.py:0123456789\n ", max_size=30)))
def test_a_place_in_a_file(folder: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    (folder / "file.py").write_text("a\nb\n")
    holds(lambda: (looks_like_a_place(text), find_place(text)))
