"""Addresses of git repositories: valid ones, and those that would run a program or reveal a secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from starfreight.errors import RecipeError
from starfreight.jobs.data.sources.git_address import parse_git_address


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("https://github.com/org/name.git", "org/name"),
        ("https://git.example.org:8443/group/sub/name/", "sub/name"),
        ("https://[::1]/org/name", "org/name"),
        ("ssh://git@example.org:2222/org/name.git", "org/name"),
        ("ssh://example.org/~/name", "name"),
        ("git@github.com:org/name.git", "org/name"),
    ],
)
def test_a_server_is_named_by_https_or_ssh(text: str, name: str, tmp_path: Path) -> None:
    address = parse_git_address(text, tmp_path)
    assert (address.url, address.name) == (text, name)


@pytest.mark.parametrize(
    "text",
    [
        "ext::sh -c touch% /tmp/x", "EXT::sh", "fd::17", "http://example.org/a/b", "git://example.org/a/b",
        "ftp://example.org/a/b", "https::https://example.org/a", "https://-oProxyCommand=x/a/b",
        "ssh://-oProxyCommand=x/a/b", "ssh://-x@host/a", "-x@host:a/b", "git@-x:a/b", "git@host:-x",
        "https://example.org", "https:///a/b", "https://exa mple.org/a", "https://example.org/a b",
        "https://example.org:port/a/b", "https://[::1/a", "file://host/etc", "https://example.org/a\u200b",
    ],
)  # fmt: skip
def test_other_ways_are_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="address of the git repository") as caught:
        parse_git_address(text, tmp_path)
    assert caught.value.where == "key data.source"
    assert caught.value.fix


@pytest.mark.parametrize(
    "text",
    [
        "https://me:s3cret@example.org/a/b", "https://s3cret@example.org/a/b", "ssh://git:s3cret@example.org/a",
        "https://example.org/a/b?access_token=s3cret", "https://example.org/a/b#s3cret",
    ],
)  # fmt: skip
def test_a_password_or_token_is_refused_and_not_repeated(text: str, tmp_path: Path) -> None:
    with pytest.raises(RecipeError) as caught:
        parse_git_address(text, tmp_path)
    assert "s3cret" not in str(caught.value)
    assert "credential helper" in str(caught.value.fix)


@pytest.mark.parametrize("text", ["./none", "--upload-pack=x", "/none/there", "file:///none/there", "a\0b"])
def test_a_local_repository_has_to_be_there(text: str, tmp_path: Path) -> None:
    with pytest.raises(RecipeError):
        parse_git_address(text, tmp_path)


def test_a_folder_is_called_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "shop/.git").mkdir(parents=True)
    (tmp_path / "bare.git").mkdir()
    assert parse_git_address("shop", tmp_path).name == "shop"
    assert parse_git_address("./shop/.git", tmp_path).name == "shop"
    assert parse_git_address("bare.git", tmp_path).name == "bare"
    assert parse_git_address(f"file://{tmp_path}/shop", tmp_path).url == str(tmp_path / "shop")
