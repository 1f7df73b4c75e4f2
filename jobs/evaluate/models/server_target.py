"""The address of a server with a model.

target = parse_server("https://models.example/v1", "acme-coder")
target.as_json()      # for the job's directory; it holds no key
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self, cast, get_args
from urllib.parse import urlsplit, urlunsplit

from starfreight.errors import InputError

KEY_VARIABLE = "STARFREIGHT_EVALUATE_KEY"
"""The environment variable with the server's key."""

Api = Literal["auto", "ollama", "openai"]
Marks = tuple[str, str, str]
"""The model's fill-in-the-middle tokens as text: prefix, suffix, middle."""

_LONGEST = 2048
_CONTROL = re.compile(r"[\x00-\x20\x7f]")


@dataclass(frozen=True)
class ServerTarget:
    """A model behind a server.

    Attributes:
        url: its address, without a slash or ``/v1`` at its end, and without credentials.
        model: the model's name there; ``None`` for its only model.
        api: the server's kind; ``auto`` to ask it.
        marks: tokens to make fill-in-the-middle prompts with, for a server that takes no suffix.
    """

    url: str
    model: str | None = None
    api: Api = "auto"
    marks: Marks | None = None

    def as_json(self) -> dict[str, Any]:
        """For the job's files."""
        return {
            "url": self.url,
            "model": self.model,
            "api": self.api,
            "marks": None if self.marks is None else list(self.marks),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """The target of :meth:`as_json`.

        Raises:
            InputError: it is not one.
        """
        try:
            marks = value["marks"]
            found = parse_server(value["url"], value["model"], value["api"], None)
            return cls(found.url, found.model, found.api, None if marks is None else _checked(tuple(marks)))
        except (LookupError, TypeError, AttributeError) as error:
            raise InputError("The server's address is damaged.", fix="start the evaluation again") from error


def is_server(target: str) -> bool:
    """True for an address instead of a path."""
    return target.lower().startswith(("http://", "https://"))


def parse_server(
    url: str, model: str | None = None, api: str = "auto", fim_tokens: str | None = None
) -> ServerTarget:
    """The server that a user names.

    Args:
        url: ``http(s)://HOST[:PORT][/PATH]``; a final ``/v1`` is left out.
        model: the model's name there.
        api: ``auto``, ``ollama`` or ``openai``.
        fim_tokens: three tokens, separated by spaces: ``<fim_prefix> <fim_suffix> <fim_middle>``.

    Raises:
        InputError: one of them is wrong.
    """
    if api not in get_args(Api):
        raise InputError(f"{api[:40]!r} is not an API.", fix=f"choose from {', '.join(get_args(Api))}")
    try:
        parts = urlsplit(url.strip())
        port, host = parts.port, parts.hostname
    except ValueError:
        host = None
    if not is_server(url.strip()) or not host or len(url) > _LONGEST or _CONTROL.search(url.strip()):
        raise InputError(
            "The server's address is not valid.",
            where=_without_credentials(url),
            fix="write it as http://HOST:PORT or https://HOST",
        )
    if parts.username is not None or parts.password is not None:
        raise InputError(
            "The server's address holds credentials, which other users would see.",
            where=_without_credentials(url),
            fix=f"leave them out, and set {KEY_VARIABLE}",
        )
    if parts.query or parts.fragment:
        raise InputError(
            "The server's address has a query or a fragment.",
            where=_without_credentials(url),
            fix="leave everything from ? or # out",
        )
    path = parts.path.rstrip("/").removesuffix("/v1").rstrip("/")
    netloc = f"[{host}]" if ":" in host else host
    netloc = netloc if port is None else f"{netloc}:{port}"
    if model is not None and (not model.strip() or len(model) > 300 or not model.isprintable()):
        raise InputError(
            "The model's name is not valid.", where="--model", fix="copy it from the server's list of models"
        )
    marks = None if fim_tokens is None else _checked(tuple(fim_tokens.split()))
    return ServerTarget(urlunsplit((parts.scheme, netloc, path, "", "")), model, cast(Api, api), marks)


def _checked(marks: tuple[str, ...]) -> Marks:
    if len(marks) != 3 or any(not 0 < len(each) <= 100 for each in marks):
        raise InputError(
            "Fill-in-the-middle prompts are made with three tokens.",
            where="--fim-tokens",
            fix="write them as '<fim_prefix> <fim_suffix> <fim_middle>'",
        )
    prefix, suffix, middle = marks
    return prefix, suffix, middle


def _without_credentials(url: str) -> str:
    return re.sub(r"//[^/?#]*@", "//", url)[:200]
