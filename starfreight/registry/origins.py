"""Origins (scheme, host, port) of addresses, and token services that may receive a registry's password."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import urlsplit

import requests

from starfreight.registry.reference import is_local

_PORTS = {"http": 80, "https": 443}

# fmt: off
_SHARED_DOMAINS = frozenset((
    "amazonaws.com", "appspot.com", "azurecontainer.io", "azurecr.io", "azurewebsites.net", "cloudapp.net",
    "cloudfront.net", "fastly.net", "fly.dev", "github.io", "gitlab.io", "googleapis.com", "herokuapp.com",
    "jfrog.io", "netlify.app", "ngrok-free.app", "ngrok.app", "ngrok.io", "on.aws", "onrender.com",
    "pages.dev", "pkg.dev", "r2.dev", "railway.app", "run.app", "scw.cloud", "trycloudflare.com",
    "vercel.app", "web.app", "windows.net", "workers.dev",
))
# fmt: on
"""Domains with subdomains that anyone can rent."""

_SECOND_LEVEL = frozenset(
    (
        "ac",
        "co",
        "com",
        "ed",
        "edu",
        "gob",
        "gouv",
        "gov",
        "ltd",
        "ne",
        "net",
        "nom",
        "or",
        "org",
        "plc",
        "sch",
    )
)
"""Second levels below which a country's domains are registered: ``co.uk``, ``com.au``."""


class Origin(NamedTuple):
    """Scheme, host name in lower case, and port."""

    scheme: str
    host: str
    port: int

    @property
    def netloc(self) -> str:
        """Host, with the port unless it is the scheme's default."""
        return self.host if self.port == _PORTS.get(self.scheme) else f"{self.host}:{self.port}"


def origin_of(url: str) -> Origin | None:
    """The origin that requests connects to for ``url``; ``None`` if it is not an http or https address.

    ``https://evil.example\\@registry.example/`` has the host ``registry.example`` for urllib.parse and
    ``evil.example`` for requests, so requests parses first.
    """
    prepared = requests.PreparedRequest()
    try:
        prepared.prepare_url(url, None)
        origin = prepared_origin(prepared)
    except (requests.RequestException, ValueError):
        return None
    return origin if origin.scheme in _PORTS and origin.host else None


def prepared_origin(request: requests.PreparedRequest) -> Origin:
    """The origin that a prepared request goes to."""
    parts = urlsplit(request.url or "")
    return Origin(parts.scheme, (parts.hostname or "").lower(), parts.port or _PORTS.get(parts.scheme, 0))


def is_loopback(origin: Origin) -> bool:
    """True if traffic to the origin never leaves this machine."""
    return is_local(origin.host) or origin.host == "::1"


def is_own_token_service(registry: Origin, realm: Origin) -> bool:
    """True if a token service evidently belongs to the operator of the registry.

    A registry may name any address as its token service ("realm"). Docker and containerd send the password
    there, and so would a registry that was taken over, or somebody in between, to an address of theirs. Most
    token services have the registry's own origin (ghcr.io, quay.io, Harbor, Artifactory, ACR, GAR). Others
    are accepted over https, at the default port or the registry's, where only the machine's administrator
    can listen, on

    - the registry's host: GitLab's registry on another port;
    - a domain above it (``registry.gitlab.com`` and ``gitlab.com``): its owner controls the registry's name;
    - a domain below it, which the registry's owner controls;
    - a sibling below the same registered domain: ``registry-1.docker.io`` and ``auth.docker.io``,
      ``registry.digitalocean.com`` and ``api.digitalocean.com``, most installations of GitLab.

    No list of all public suffixes is at hand: siblings need two labels in common, which are neither a
    country's second level (``co.uk``) nor a domain rented out by subdomains (``azurecr.io``).
    """
    if realm == registry:
        return True
    if realm.scheme != "https" or realm.port not in (443, registry.port):
        return False
    ours, theirs = registry.host, realm.host
    if ours == theirs:
        return True
    if _is_address(ours) or _is_address(theirs) or "." not in theirs:
        return False
    if ours.endswith("." + theirs) or theirs.endswith("." + ours):
        return True
    common = _common_labels(ours, theirs)
    return len(common) >= 2 and not _is_public(common)


def _common_labels(one: str, other: str) -> list[str]:
    common: list[str] = []
    for mine, yours in zip(reversed(one.split(".")), reversed(other.split(".")), strict=False):
        if mine != yours:
            break
        common.insert(0, mine)
    return common


def _is_public(labels: list[str]) -> bool:
    if any(".".join(labels[start:]) in _SHARED_DOMAINS for start in range(len(labels))):
        return True
    return len(labels) == 2 and len(labels[1]) == 2 and labels[0] in _SECOND_LEVEL


def _is_address(host: str) -> bool:
    return ":" in host or re.fullmatch(r"[0-9.]+", host) is not None
