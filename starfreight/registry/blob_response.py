"""Reads a registry's answer to a request for a blob, or for a part of it."""

from __future__ import annotations

import re

import requests
from urllib3.exceptions import HTTPError

_STRONG_ETAG = re.compile(r'"[\x21\x23-\x7e]{1,198}"')


def strong_etag(response: requests.Response) -> str:
    """The answer's ``ETag``; empty without one, and for a weak one."""
    etag = response.headers.get("ETag", "").strip()
    return etag if _STRONG_ETAG.fullmatch(etag) else ""


def read_piece(response: requests.Response, size: int) -> bytes:
    """At most ``size`` bytes of the body as sent; empty at its end.

    Raises:
        requests.ConnectionError: the connection breaks.
    """
    try:
        return response.raw.read(size, decode_content=False)
    except (HTTPError, OSError) as error:
        raise requests.ConnectionError(error, request=response.request) from error
