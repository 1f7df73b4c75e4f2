"""Tokens of a registry's token service, for the scopes that a request needs.

The protocol is Docker's: https://distribution.github.io/distribution/spec/auth/token/ (``GET``, with user
name and password) and .../oauth/ (``POST``, with an identity token). Requests are those of skopeo and Docker.
"""

from __future__ import annotations

import base64
import contextlib
import json
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import requests

from starfreight.errors import ServiceError
from starfreight.registry.failures import clean
from starfreight.registry.session import SecretForm

IDENTITY = "<token>"
"""User name under which Docker's credential helpers return an identity token."""

Scopes = frozenset[tuple[str, str]]
"""Pairs of a resource and an action: ``("repository:team/coder", "pull")``."""

_CLIENT = "starfreight"
_DEFAULT_LIFETIME = 60.0
"""Seconds, by the protocol, of a token without ``expires_in``."""
_MAX_LIFETIME = 3600.0
_TOKEN = re.compile(r"[\x21-\x7e]{1,65536}")

Send = Callable[..., requests.Response]


@dataclass(frozen=True)
class Token:
    """A token, and how long it may be used.

    Attributes:
        value: the token.
        received: time of receipt on this machine's monotonic clock. ``issued_at`` is the service's clock,
            which may be wrong.
        lifetime: seconds.
    """

    value: str
    received: float
    lifetime: float

    def lasts(self, *, long: bool) -> bool:
        """True if the token can be sent; with ``long``, only if half of its lifetime is left."""
        return time.monotonic() - self.received < self.lifetime * (0.5 if long else 0.9)


def parse_scopes(text: str) -> Scopes:
    """Scopes as a challenge writes them: ``repository:team/coder:pull,push``, separated by spaces."""
    found: set[tuple[str, str]] = set()
    for part in text.split():
        resource, _, actions = part.rpartition(":")
        found.update((resource, action) for action in actions.split(",") if action)
    return frozenset(found)


def scope_texts(scopes: Scopes) -> list[str]:
    """Scopes as sent to a token service, one text for each resource."""
    texts = []
    for resource in sorted({resource for resource, _ in scopes}):
        actions = ",".join(sorted(action for each, action in scopes if each == resource))
        texts.append(f"{resource}:{actions}" if resource else actions)
    return texts


def fetch_token(
    send: Send, realm: str, service: str, scopes: Scopes, login: tuple[str, str] | None
) -> Token | int:
    """Request a token.

    Args:
        send: sends a request: method, address, and options as for ``requests``.
        realm: the service's address.
        service: the name of the registry at the service; may be empty.
        scopes: what the token is for.
        login: user name and password, or :data:`IDENTITY` and an identity token; ``None`` for anyone's token.

    Returns:
        the token; the status if the service refuses this account or these scopes.

    Raises:
        ServiceError: the service keeps failing or does not answer with a token.
    """
    ways = [_get, _post] if login is None or login[0] != IDENTITY else [_post, _get]
    for way in ways if login is not None else [_get]:
        response = way(send, realm, service, scope_texts(scopes), login)
        # Each way is optional: gcr.io answers 404 to POST.
        if response.status_code not in (404, 405, 501):
            break
    if response.status_code == 200:
        return _read(response, realm)
    if response.status_code == 429 or response.status_code >= 500:
        raise ServiceError(
            f"The registry's token service kept failing ({response.status_code}).",
            where=clean(realm.partition("?")[0]),
            fix="run the same command again later",
        )
    return response.status_code


def _get(
    send: Send, realm: str, service: str, scopes: Iterable[str], login: tuple[str, str] | None
) -> requests.Response:
    parameters: list[tuple[str, str]] = [("scope", scope) for scope in scopes]
    if service:
        parameters.append(("service", service))
    headers = {"Accept": "application/json"}
    if login is not None:
        username = "" if login[0] == IDENTITY else login[0]
        if username:
            parameters.insert(0, ("account", username))
        headers["Authorization"] = "Basic " + base64.b64encode(f"{username}:{login[1]}".encode()).decode()
    return send("GET", realm, params=parameters, headers=headers)


def _post(
    send: Send, realm: str, service: str, scopes: Iterable[str], login: tuple[str, str] | None
) -> requests.Response:
    username, secret = login or ("", "")
    form = {"client_id": _CLIENT, "service": service, "scope": " ".join(scopes)}
    if username == IDENTITY:
        form |= {"grant_type": "refresh_token", "refresh_token": secret}
    else:
        form |= {"grant_type": "password", "username": username, "password": secret}
    headers = {"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded"}
    return send("POST", realm, data=SecretForm.of(form), headers=headers)


def _read(response: requests.Response, realm: str) -> Token:
    answer: Any = None
    with contextlib.suppress(ValueError, RecursionError):
        answer = json.loads(response.content)
    fields = answer if isinstance(answer, dict) else {}
    for name in ("token", "access_token"):
        value = fields.get(name)
        if isinstance(value, str) and _TOKEN.fullmatch(value):
            return Token(value, time.monotonic(), _lifetime(fields.get("expires_in")))
    raise ServiceError(
        "The registry's token service did not answer with a token.",
        where=clean(realm.partition("?")[0]),
        fix="check that no proxy or sign-in page answers in its place",
    )


def _lifetime(given: Any) -> float:
    try:
        seconds = float(given)
    except (TypeError, ValueError, OverflowError):
        return _DEFAULT_LIFETIME
    return min(seconds, _MAX_LIFETIME) if seconds > 0 else _DEFAULT_LIFETIME
