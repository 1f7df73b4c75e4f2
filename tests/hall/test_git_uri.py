"""Addresses of repositories are recorded without anything that may be secret."""

from __future__ import annotations

import pytest

from starfreight.git_uri import git_uri, public_url

CANARY = "ghp_canary"


@pytest.mark.parametrize(
    ("address", "uri"),
    [
        ("https://github.com/acme/coder", "git+https://github.com/acme/coder"),
        ("https://github.com/acme/coder.git/", "git+https://github.com/acme/coder.git"),
        ("http://git.example.org:8080/a/b/c", "git+http://git.example.org:8080/a/b/c"),
        ("https://[2001:db8::1]/acme/coder", "git+https://[2001:db8::1]/acme/coder"),
        ("ssh://git@git.example.org:2222/acme/coder", "git+ssh://git.example.org:2222/acme/coder"),
        ("git@github.com:acme/coder.git", "git+ssh://github.com/acme/coder.git"),
        (f"https://{CANARY}@github.com/acme/coder", "git+https://github.com/acme/coder"),
        (f"https://me:{CANARY}@github.com/acme/coder", "git+https://github.com/acme/coder"),
        (f"https://x-access-token:{CANARY}@github.com/acme/coder", "git+https://github.com/acme/coder"),
        (f"https://github.com/acme/coder?private_token={CANARY}", "git+https://github.com/acme/coder"),
        (f"https://github.com/acme/coder#{CANARY}", "git+https://github.com/acme/coder"),
        (f"{CANARY}@github.com:acme/coder", "git+ssh://github.com/acme/coder"),
        (f"https://me:a@{CANARY}@github.com/acme/coder", None),
        (f"https://me:12/{CANARY}@github.com/acme/coder", None),
        (f"https://me:to/{CANARY}@github.com/acme/coder", None),
        (f"https://git.example.org/oauth2:{CANARY}/acme", None),
        (f"ext::sh -c {CANARY}", None),
        (f"{CANARY}::https://github.com/acme/coder", None),
        (f"file:///home/{CANARY}/coder", None),
        (f"/home/{CANARY}/coder", None),
        (f"../{CANARY}", None),
        (f"C:\\{CANARY}", None),
        (f"git://github.com/{CANARY}", None),
        ("https://github.com/acme/co der", None),
        ("https://github.com/acme/\x1b[2J", None),
        ("https://github.com/acme/coder\n", None),
        ("https://github.com", None),
        ("https://", None),
        ("", None),
    ],
)  # fmt: skip
def test_an_address_loses_its_secrets_or_is_left_out(address: str, uri: str | None) -> None:
    assert git_uri(address) == uri


def test_a_web_address_is_not_one_of_ssh() -> None:
    assert public_url(f"https://me:{CANARY}@ci.example.org/job/7/") == "https://ci.example.org/job/7"
    assert public_url("git@github.com:acme/coder") is None
