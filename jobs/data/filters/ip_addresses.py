"""Public IP addresses, which can identify a person."""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

from starfreight.spans import Span

# The first dot and the first colon of an address, which are quick to find.
_V4_DOTS = re.compile(r"\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]")
_V6_COLONS = re.compile(r":[0-9A-Fa-f]{0,4}:")
# Not part of a longer number, version or path; `//` before it makes it a host.
_V4 = re.compile(r"(?<![\w.\-])(?<![^/]/)[1-9][0-9]{0,2}(?:\.[0-9]{1,3}){3}(?![\w\-]|\.\w)")
# Global unicast addresses are 2000::/3: other shapes are slices, times, scopes of C++.
_V6 = re.compile(r"(?<![\w:.])[23][0-9A-Fa-f]{3}(?::[0-9A-Fa-f]{0,4}){2,7}(?![\w:]|\.\w)")
# Precedes a number of four parts that is a version, a section or an object identifier.
_NO_ADDRESS = re.compile(
    r"(?i:version|ver|release|revision|oid|section|chapter|build)\W{0,4}\Z|(?:[<>=~!]=|\bv|@)\s?\Z"
)

# The IANA special-purpose registries (RFC 6890 and later), listed here because Python's own lists change with
# its version; and public name servers.
_SPECIAL = tuple(
    ip_network(network)
    for network in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
        "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15",
        "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3",
        "1.0.0.1/32", "1.1.1.1/32", "8.8.4.4/32", "8.8.8.8/32", "9.9.9.9/32", "208.67.220.220/32",
        "208.67.222.222/32",
        "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20",
        "2001:4860:4860::8844/128", "2001:4860:4860::8888/128", "2606:4700:4700::/48",
    )
)  # fmt: skip
_SPECIAL_V4 = tuple(network for network in _SPECIAL if isinstance(network, IPv4Network))
_SPECIAL_V6 = tuple(network for network in _SPECIAL if isinstance(network, IPv6Network))

# As in StarCoder's training data, a public address is replaced by a private one of the same family, so that
# the code stays valid. Within a text, equal addresses get equal replacements.
_STANDINS = {
    4: ("192.168.3.11", "192.168.127.12", "172.16.17.32", "172.16.31.10", "172.16.58.3"),
    6: ("fd00::11", "fd00::12", "fd00::32", "fd00::10", "fd00::3"),
}


def find_addresses(text: str) -> Iterator[Span]:
    """Yield the public IP addresses in a text, except those reserved for examples and public name servers."""
    standins: dict[str, str] = {}
    for start, end in sorted(
        {*_matches(text, _V4_DOTS, _V4, (3, 2, 1)), *_matches(text, _V6_COLONS, _V6, (4,))}
    ):
        value = text[start:end]
        family = 6 if ":" in value else 4
        if _is_public_v6(value) if family == 6 else _is_public_v4(text, start, value):
            mark = _STANDINS[family][len(standins) % len(_STANDINS[family])]
            yield Span(start, end, "IP address", standins.setdefault(value, mark))


def _matches(
    text: str, trigger: re.Pattern[str], address: re.Pattern[str], before: tuple[int, ...]
) -> Iterator[tuple[int, int]]:
    for match in trigger.finditer(text):
        for digits in before:
            if digits <= match.start() and (found := address.match(text, match.start() - digits)):
                yield found.span()
                break


def _is_public_v4(text: str, start: int, value: str) -> bool:
    try:
        address = IPv4Address(value)
    except ValueError:
        return False
    if len(value) == 7 or value.startswith(("2.5.4.", "2.5.29.")):
        return False  # 1.2.3.4 is nearly always a version, 2.5.29.17 the identifier of a certificate field.
    if any(address in network for network in _SPECIAL_V4):
        return False
    return not _NO_ADDRESS.search(text, max(0, start - 16), start)


def _is_public_v6(value: str) -> bool:
    try:
        address = IPv6Address(value)
    except ValueError:
        return False
    return not any(address in network for network in _SPECIAL_V6)
