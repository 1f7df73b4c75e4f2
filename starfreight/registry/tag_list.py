"""Lists in pages, and a repository's tags, from a registry that may be hostile."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urljoin

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
    """Address of the next page; ``None`` after the last one.

    Another server's list and a page that leads to itself end the list.
    """
    try:
        link = response.links.get("next", {}).get("url")
        target = urljoin(asked, link) if link else None
    except (ValueError, AttributeError):  # Of requests or urllib.parse, over a malformed header.
        return None
    return None if target is None or origin_of(target) != origin_of(asked) or target == asked else target


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
