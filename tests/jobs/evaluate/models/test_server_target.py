"""Addresses of servers."""

from __future__ import annotations

import json

import pytest

from starfreight.errors import InputError
from starfreight.jobs.evaluate.models.server_target import ServerTarget, is_server, parse_server


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://127.0.0.1:11434", "http://127.0.0.1:11434"),
        ("HTTPS://Models.example/v1/", "https://models.example"),
        ("https://models.example/team/v1", "https://models.example/team"),
        (" http://[::1]:8012/ ", "http://[::1]:8012"),
    ],
)
def test_addresses(url: str, expected: str) -> None:
    target = parse_server(url, "m", "openai", "<p> <s> <m>")
    assert target == ServerTarget(expected, "m", "openai", ("<p>", "<s>", "<m>"))
    assert ServerTarget.from_json(json.loads(json.dumps(target.as_json()))) == target
    assert is_server(url.strip())


@pytest.mark.parametrize(
    "url",
    [
        "", "http://", "ftp://host", "host:80", "file:///etc/passwd", "http://h:99999", "http://h:x", "http://h/\n/x",
        "http://h\x00", "http://h?key=secret", "http://h#x", "http://[::1", "http://" + "a" * 3000,
    ],
)  # fmt: skip
def test_other_texts_are_refused(url: str) -> None:
    with pytest.raises(InputError):
        parse_server(url)


def test_credentials_in_an_address_are_refused_and_not_repeated() -> None:
    for url in ("https://user:hush@host", "https://hush@host:1", "http://a:hush@h?x", "http://a:hush@[::1"):
        with pytest.raises(InputError) as caught:
            parse_server(url)
        assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    "more", [{"model": ""}, {"model": "a\nb"}, {"api": "grpc"}, {"fim_tokens": "<a> <b>"}]
)
def test_wrong_options_are_refused(more: dict[str, str]) -> None:
    with pytest.raises(InputError):
        parse_server("http://h", **more)


@pytest.mark.parametrize(
    "change",
    [{"url": 1}, {"url": "file:///x"}, {"api": 2}, {"marks": ["a"]}, {"marks": 3}, {"marks": [1, 2, 3]}],
)
def test_a_damaged_target_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(InputError):
        ServerTarget.from_json(parse_server("http://h").as_json() | change)
    with pytest.raises(InputError):
        ServerTarget.from_json({})
