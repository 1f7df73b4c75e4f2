"""Lists in pages, and a repository's tags, from a registry that may be hostile."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from requests.utils import parse_header_links

from starfreight.errors import ServiceError
from starfreight.registry.origins import origin_of
from starfreight.strict_json import strict_loads

if TYPE_CHECKING:
    import requests

MAX_TAGS = 100_000
PAGE = 1000
REFUSALS = (401, 403, 404, 405)
"""Status codes of registries that do not list tags for us."""

_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")


def next_page(response: requests.Response, asked: str) -> str | None:
    """Address of the next page, on the same server; ``None`` after the last one.

    A registry behind a proxy may name itself by http, or by a name inside its network: then the next page is
    at the address asked, with the link's query. A page that leads to itself ends the list.
    """
    try:
        link = _next_link(response)
        target = urljoin(asked, link) if link else None
        if target is None or origin_of(target) is None:
            return None
        if origin_of(target) != origin_of(asked):
            target = urljoin(asked, "?" + urlsplit(target).query)
    except (ValueError, AttributeError):  # Of requests or urllib.parse, over a malformed header.
        return None
    return None if target == asked else target


def _next_link(response: requests.Response) -> str | None:
    for link in parse_header_links(response.headers.get("Link", "")):
        relations = " ".join(value for name, value in link.items() if name.lower() == "rel")
        if "next" in relations.lower().split():
            return str(link["url"])
    return None


def names_in(data: bytes, host: str) -> list[str]:
    """The valid tags in a page of the list.

    Raises:
        ServiceError: not a list of tags.
    """
    try:
        names = strict_loads(data)["tags"] or []
        if len(names) > MAX_TAGS or not all(isinstance(name, str) and _TAG.fullmatch(name) for name in names):
            raise ValueError
        return list(names)
    except (ValueError, KeyError, TypeError):
        raise ServiceError(
            "The registry's list of tags is malformed.",
            where=host,
            fix="check that the address belongs to a registry",
        ) from None
