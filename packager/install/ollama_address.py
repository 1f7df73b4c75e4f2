"""Address of an Ollama server: the forms of ``OLLAMA_HOST`` (``envconfig/config.go``)."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from starfreight.errors import InputError

DEFAULT_PORT = 11434
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,252}[A-Za-z0-9])?\.?|\[[0-9A-Fa-f:.%]{2,60}\]")


@dataclass(frozen=True)
class OllamaAddress:
    """Address of a server."""

    url: str
    """Without a slash at its end."""
    is_local: bool
    """The server is on this machine, so that it reaches our loopback address."""


def parse_ollama_address(text: str) -> OllamaAddress:
    """Parse ``HOST``, ``HOST:PORT``, ``:PORT`` or a URL; empty is Ollama's default.

    A server that listens at every address (``0.0.0.0``, ``::``) is reached at the loopback one.

    Raises:
        InputError: malformed, or with a user name.
    """
    value = text.strip().strip("\"'")
    scheme, separator, rest = value.partition("://")
    if not separator:
        scheme, rest = "http", value
    scheme = scheme.lower()
    if scheme not in ("http", "https"):
        raise _wrong(text, f"has the scheme {scheme[:20]!r}")
    authority, _, path = rest.partition("/")
    if "@" in authority:
        raise InputError(
            "The address of Ollama contains a user name.", where="(not shown)", fix="omit user and password"
        )
    # Ollama's defaults: the scheme's port if there is a scheme, else 11434.
    port = {"http": 80, "https": 443}[scheme] if separator else DEFAULT_PORT
    host = authority
    if authority.count(":") == 1 or (authority.startswith("[") and not authority.endswith("]")):
        host, _, number = authority.rpartition(":")
        if not re.fullmatch(r"[0-9]{1,5}", number) or not 0 < int(number) < 65536:
            raise _wrong(text, f"has the port {number[:20]!r}")
        port = int(number)
    elif authority.count(":") > 1 and not authority.startswith("["):
        host = f"[{authority}]"
    host = host or "127.0.0.1"
    if not _HOST.fullmatch(host) or re.search(r"[?#\s]", path):
        raise _wrong(text, "is malformed")
    bare = host.strip("[]")
    if bare in ("0.0.0.0", "::", "::0"):  # an address to recognise, not to listen at
        host = bare = "127.0.0.1" if bare == "0.0.0.0" else "::1"
        host = f"[{bare}]" if ":" in bare else bare
    path = path.strip("/")
    url = f"{scheme}://{host}:{port}" + (f"/{path}" if path else "")
    try:
        urlsplit(url)
    except ValueError:  # Brackets around something other than an IPv6 address.
        raise _wrong(text, "is malformed") from None
    return OllamaAddress(url, _is_loopback(bare))


def _is_loopback(host: str) -> bool:
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _wrong(text: str, what: str) -> InputError:
    return InputError(
        f"The address of Ollama {what}.",
        where=repr(text[:200]),
        fix="write HOST, HOST:PORT or http://HOST:PORT in --ollama or OLLAMA_HOST",
    )
