"""Values of a bill of materials: cleaned texts, hashes, properties, references to addresses.

Names and texts come from a recipe or a run of anybody. Part of form 1: a change needs a new form.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from starfreight.base_model import public_name

PROPERTY = "starfreight:"
"""Start of the names of our properties (CycloneDX property taxonomy)."""

_LONGEST = 20_000
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]"
)
_SPACE = re.compile("[ \t\n\xa0\u1680\u2000-\u200a\u202f\u205f\u3000]+")
_USER = re.compile(r"//[^/@\s]*@")
_URL = re.compile(r"https?://[!-~]{1,2000}")
_PURL = re.compile(r"pkg:[a-z][a-z0-9.+-]{0,31}/[A-Za-z0-9._~%/:@?&=+-]{1,1000}")


def line(value: object) -> str:
    """The value as one line without control, zero-width and direction characters."""
    return _SPACE.sub(" ", text(value)).strip()


def text(value: object) -> str:
    """The value as text without control, zero-width and direction characters; lines stay."""
    return _UNSEEN.sub("", str(value))[:_LONGEST]


def url(value: object) -> str | None:
    """An http address without credentials as an IRI reference; ``None`` for anything else.

    The address of a git repository is the page's: without ``git+``.
    """
    found = str(value).strip().removeprefix("git+")
    if not _URL.fullmatch(found) or "@" in found.split("/", 3)[2]:
        return None
    return quote(found, safe="%/:=&?~#+!$,;'@()*[]")


def purl(value: object) -> str | None:
    """A package URL, if the value is one."""
    return str(value) if _PURL.fullmatch(str(value)) else None


def source_name(source: str) -> str:
    """A source of data without a local path, a user or a token."""
    return line(_USER.sub("//", public_name(source)))


def hashes(digest: str) -> list[dict[str, str]]:
    """A digest such as ``sha256:...`` as a component has it."""
    return [{"alg": "SHA-256", "content": digest.removeprefix("sha256:")}]


def properties(values: Mapping[str, object]) -> list[dict[str, str]]:
    """Properties of ours, in order, without those that are ``None`` or empty."""
    return [
        {"name": line(PROPERTY + name), "value": line(value)}
        for name, value in values.items()
        if value is not None and value != ""
    ]


def present(value: Mapping[str, Any]) -> dict[str, Any]:
    """An object without the members that are ``None`` or empty."""
    return {name: each for name, each in value.items() if each is not None and each != "" and each != []}
