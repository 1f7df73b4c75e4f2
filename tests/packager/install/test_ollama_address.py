"""The forms of OLLAMA_HOST."""

from __future__ import annotations

import pytest

from starfreight.errors import InputError
from starfreight.packager.install.ollama_address import parse_ollama_address


@pytest.mark.parametrize(
    ("text", "url", "local"),
    [
        ("", "http://127.0.0.1:11434", True),
        ("  ", "http://127.0.0.1:11434", True),
        ("127.0.0.1", "http://127.0.0.1:11434", True),
        ("localhost:1234", "http://localhost:1234", True),
        (":1234", "http://127.0.0.1:1234", True),
        ("0.0.0.0", "http://127.0.0.1:11434", True),
        ("0.0.0.0:8080", "http://127.0.0.1:8080", True),
        ("[::]:8080", "http://[::1]:8080", True),
        ("::1", "http://[::1]:11434", True),
        ("[::1]", "http://[::1]:11434", True),
        ("http://0.0.0.0:11434", "http://127.0.0.1:11434", True),
        ("http://example.com", "http://example.com:80", False),
        ("https://example.com", "https://example.com:443", False),
        ("https://example.com/ollama/", "https://example.com:443/ollama", False),
        ("example.com", "http://example.com:11434", False),
        ("192.168.1.5:1", "http://192.168.1.5:1", False),
        ("127.0.0.2", "http://127.0.0.2:11434", True),
        ("'127.0.0.1'", "http://127.0.0.1:11434", True),
    ],
)
def test_every_form_is_understood_as_ollama_does(text: str, url: str, local: bool) -> None:
    address = parse_ollama_address(text)
    assert (address.url, address.is_local) == (url, local)


@pytest.mark.parametrize(
    "text",
    ["ftp://x", "unix:///run/ollama.sock", "x:0", "x:99999", "x:port", "http://", "a b", "http://x/?y", "x/#",
     "user:secret@host", "http://user:secret@host", "[::1", "-x", "0.0.0.0::1", "[1.2.3.4]", "x\n"],
)  # fmt: skip
def test_everything_else_is_refused_without_its_password(text: str) -> None:
    if text in ("http://", "x\n"):
        assert parse_ollama_address(text).url.startswith("http://")
        return
    with pytest.raises(InputError) as caught:
        parse_ollama_address(text)
    assert "secret" not in str(caught.value)
