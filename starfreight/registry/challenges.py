"""Authentication challenges of a registry (RFC 9110, section 11.6.1), as real servers write them.

    for challenge in challenges_of(response):
        challenge.scheme, challenge.get("realm")

One answer may hold several challenges, in one header or several. Servers leave out quotes, leave parameters
empty, and write names in any case. oras reads quoted parameters of one challenge only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import requests

_ITEM = re.compile(r'(?:[^",]|"(?:[^"\\]|\\.)*+(?:"|$))++')
"""Text up to the next comma outside quotes."""
_PARAMETER = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+)\s*=\s*(.*)", re.DOTALL)
_SCHEME = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+)(?:\s+(.*))?", re.DOTALL)
_ACTION = re.compile(r"pull|push|delete|\*")
_MAX_CHALLENGES = 20


@dataclass(frozen=True)
class Challenge:
    """One challenge.

    Attributes:
        scheme: in lower case: ``basic``, ``bearer``, ``negotiate``.
        parameters: values by name in lower case.
    """

    scheme: str
    parameters: Mapping[str, str] = field(default_factory=dict)

    def get(self, name: str) -> str:
        """A parameter; empty if missing."""
        return self.parameters.get(name, "")


def challenges_of(response: requests.Response) -> list[Challenge]:
    """Challenges of an answer, in the server's order."""
    joined = response.headers.get("Www-Authenticate", "")
    lines = response.raw.headers.getlist("Www-Authenticate")
    # Line by line: a quote left open in one must not hide the next.
    if ", ".join(lines) != joined:
        lines = [joined]
    return [challenge for line in lines for challenge in parse_challenges(line)][:_MAX_CHALLENGES]


def parse_challenges(line: str) -> list[Challenge]:
    """Challenges of one header."""
    found: list[tuple[str, dict[str, str]]] = []
    last = ""
    for item in _items(line):
        if found and (match := _PARAMETER.fullmatch(item)):
            last = _add(found[-1][1], match)
        elif last == "scope" and _ACTION.fullmatch(item):
            found[-1][1]["scope"] += f",{item}"  # scope=repository:team/coder:pull,push without quotes
        elif match := _SCHEME.fullmatch(item):
            found.append((match[1].lower(), {}))
            rest = _PARAMETER.fullmatch(match[2] or "")
            last = _add(found[-1][1], rest) if rest else ""
    return [Challenge(scheme, parameters) for scheme, parameters in found]


def _items(line: str) -> Iterator[str]:
    return filter(None, (match[0].strip() for match in _ITEM.finditer(line)))


def _add(parameters: dict[str, str], match: re.Match[str]) -> str:
    name, value = match[1].lower(), match[2].strip()
    if value.startswith('"'):
        value = re.sub(r"\\(.)", r"\1", value[1:].removesuffix('"'))
    parameters.setdefault(name, value)
    return name
