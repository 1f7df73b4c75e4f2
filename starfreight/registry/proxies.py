"""Proxies by the environment, with Go's rules for ``no_proxy``, and so Docker's and skopeo's.

requests compares the ends of names (``example.com`` in ``no_proxy`` also matches ``notexample.com``) and
knows no IPv6 networks.
"""

from __future__ import annotations

import importlib.util
import ipaddress
import os
import re
from urllib.parse import urlsplit
from urllib.request import getproxies_environment

from starfreight.errors import InputError
from starfreight.registry.origins import Origin

_SCHEMES = ("http", "https", "socks4", "socks4a", "socks5", "socks5h")
_VISIBLE = re.compile(r"[\x21-\x7e]+")


def proxy_for(origin: Origin) -> str | None:
    """Address of the proxy for an origin; ``None`` for a direct connection.

    Raises:
        InputError: the environment names a proxy by an invalid address.
    """
    proxies = getproxies_environment()
    scheme = origin.scheme if proxies.get(origin.scheme) else "all"
    address = proxies.get(scheme)
    if not address or _is_exempt(origin, proxies.get("no", "")):
        return None
    address = address.strip()
    if "://" not in address:
        address = f"http://{address}"
    try:
        parts = urlsplit(address)
        valid = bool(parts.scheme in _SCHEMES and parts.hostname and _VISIBLE.fullmatch(address))
        valid = valid and parts.port != 0 and "[" not in parts.netloc.replace("[", "", 1)
        (parts.hostname or "").encode("idna")
    except (ValueError, UnicodeError):
        valid = False
    if not valid:
        # Not shown: it may contain a password.
        raise InputError(
            "The proxy in the environment is not a valid address.",
            where=f"environment, {_variable(scheme)}",
            fix="write http://HOST:PORT, or unset the variable",
        )
    if parts.scheme.startswith("socks") and importlib.util.find_spec("socks") is None:
        raise InputError(
            "The proxy in the environment is a SOCKS proxy, which needs the package PySocks.",
            where=f"environment, {_variable(scheme)}",
            fix="pip install PySocks, or name an http proxy",
        )
    return address


def proxy_name(address: str) -> str:
    """Host of a proxy, for messages; without user name and password."""
    return urlsplit(address).hostname or "proxy"


def _variable(scheme: str) -> str:
    names = (f"{scheme}_proxy", f"{scheme}_proxy".upper())
    return next((name for name in names if os.environ.get(name)), names[0])


def _is_exempt(origin: Origin, no_proxy: str) -> bool:
    try:
        address = ipaddress.ip_address(origin.host.partition("%")[0])
    except ValueError:
        address = None
    for entry in re.split(r"[,\s]+", no_proxy.lower()):
        if entry == "*":
            return True
        if not entry:
            continue
        if address is not None and "/" in entry:
            try:
                if address in ipaddress.ip_network(entry, strict=False):
                    return True
            except ValueError:
                pass
            continue
        host, port = _split(entry)
        if (not port or port == str(origin.port)) and _matches(host, origin.host, address):
            return True
    return False


def _split(entry: str) -> tuple[str, str]:
    """Host and port of an entry; the port is empty if there is none."""
    if match := re.fullmatch(r"\[(.*)\](?::(\d+))?", entry):
        return match[1], match[2] or ""
    host, colon, port = entry.rpartition(":")
    return (host, port) if colon and ":" not in host else (entry, "")


def _matches(pattern: str, host: str, address: ipaddress.IPv4Address | ipaddress.IPv6Address | None) -> bool:
    if address is not None:
        try:
            return ipaddress.ip_address(pattern) == address
        except ValueError:
            return False
    pattern = pattern.removeprefix("*")
    host = host.rstrip(".")
    if pattern.startswith("."):
        return host.endswith(pattern)
    return bool(pattern) and (host == pattern or host.endswith(f".{pattern}"))
