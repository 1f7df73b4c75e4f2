from __future__ import annotations

import importlib.util

import pytest

from starfreight.errors import InputError
from starfreight.registry.origins import origin_of
from starfreight.registry.proxies import proxy_for

PROXY = "http://proxy.example:3128"


@pytest.fixture(autouse=True)
def no_proxies(plain_environment: None) -> None:
    """No proxies but those of a test."""


def chosen(url: str) -> str | None:
    origin = origin_of(url)
    assert origin is not None
    return proxy_for(origin)


@pytest.mark.parametrize(
    ("no_proxy", "url", "direct"),
    [
        ("", "https://r.example/", False),
        ("*", "https://r.example/", True),
        ("other.example, *", "https://r.example/", True),
        ("r.example", "https://r.example/", True),
        ("R.Example", "https://r.example/", True),
        ("example", "https://r.example/", True),
        ("r.example", "https://notr.example/", False),
        ("r.example", "https://a.r.example/", True),
        (".r.example", "https://r.example/", False),
        (".r.example", "https://a.r.example/", True),
        ("*.r.example", "https://a.r.example/", True),
        ("*.r.example", "https://r.example/", False),
        ("r.example:443", "https://r.example/", True),
        ("r.example:5000", "https://r.example/", False),
        ("r.example:5000", "https://r.example:5000/", True),
        (".example:5000", "https://r.example:5000/", True),
        ("other.example other2.example r.example", "https://r.example/", True),
        ("10.0.0.0/8", "https://10.1.2.3/", True),
        ("10.0.0.0/8", "https://11.1.2.3/", False),
        ("10.1.2.3", "https://10.1.2.3:5000/", True),
        ("10.1.2.3:5000", "https://10.1.2.3/", False),
        ("1.2.3", "https://10.1.2.3/", False),
        ("fd00::/8", "https://[fd00::1]/", True),
        ("[fd00::1]", "https://[fd00::1]/", True),
        ("fd00::1", "https://[fd00::1]:5000/", True),
        ("[fd00::1]:5000", "https://[fd00::1]/", False),
        ("10.0.0.0/99,::/x,/,:,[", "https://10.1.2.3/", False),
        ("r.example/24", "https://r.example/", False),
    ],
)
def test_exceptions_are_those_of_go(
    no_proxy: str, url: str, direct: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", PROXY)
    monkeypatch.setenv("no_proxy", no_proxy)
    assert chosen(url) == (None if direct else PROXY)


def test_the_scheme_chooses_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("all_proxy", "https://all.example:1080")
    monkeypatch.setenv("HTTP_PROXY", "plain.example:3128")
    assert chosen("http://r.example/") == "http://plain.example:3128"
    assert chosen("https://r.example/") == "https://all.example:1080"


@pytest.mark.skipif(importlib.util.find_spec("socks") is not None, reason="PySocks is installed")
def test_a_socks_proxy_names_the_package_that_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("all_proxy", "socks5h://user:secret@all.example:1080")
    with pytest.raises(InputError, match="needs the package PySocks") as caught:
        chosen("https://r.example/")
    assert caught.value.where == "environment, all_proxy"
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "value",
    [
        "http://[", "http://[::1", "http://h:99999", "http://h:0", "http://h:x", "http://", "ftp://h",
        "http://a b", "http://user:secret@[", "http://h\x01", "http://a..b", "http://" + "a" * 64,
        "http://h\u2100", "?", "file:///x", "http://user:secret@", "[]", "http://[x]",
    ],
)  # fmt: skip
def test_an_invalid_address_is_one_error_that_names_the_variable(
    value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", value)
    with pytest.raises(InputError, match="not a valid address") as caught:
        chosen("https://r.example/")
    assert caught.value.where == "environment, HTTPS_PROXY"
    assert "secret" not in str(caught.value)
