"""Answers to a registry's challenges, request by request, in place of oras's single answer for a session.

A registry may ask for another scheme or a wider scope at any request: Harbor answers a token of too small a
scope with ``Basic``, others with 401 or 403 and ``insufficient_scope``. oras keeps its first answer.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import urljoin

import oras.auth.base
import oras.auth.utils
import requests

from starfreight.errors import ServiceError
from starfreight.registry.challenges import Challenge, challenges_of
from starfreight.registry.credentials import REALM, named_realm
from starfreight.registry.failures import clean
from starfreight.registry.origins import Origin, is_own_token_service, origin_of
from starfreight.registry.tokens import IDENTITY, Scopes, Send, Token, fetch_token, parse_scopes

_MOST_ANSWERS = 4
"""Answers to the challenges of one request; a registry could ask for another scope for ever."""
_SCHEME = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*:(?![0-9])")


class Authentication(oras.auth.base.AuthBackend):  # type: ignore[misc] # oras has no types
    """Credentials for one registry, answered as it asks. Safe to share between threads.

    Args:
        home: the registry.
        login: user name and password, or ``<token>`` and an identity token; ``None`` if there are none.
        send: sends a request to a token service.
        trust: called with a token service that may receive the password.
        insecure: a token service may use plain http.
    """

    def __init__(
        self,
        home: Origin,
        login: tuple[str, str] | None,
        send: Send,
        trust: Callable[[Origin], None],
        *,
        insecure: bool,
    ) -> None:
        super().__init__()
        self._home, self._login, self._send, self._trust = home, login, send, trust
        self._insecure = insecure
        self._lock = threading.RLock()
        self._answered: Challenge | None = None
        self._tokens: dict[tuple[str, str, Scopes], Token] = {}
        identity = login is not None and login[0] == IDENTITY
        self._basic = None if login is None or identity else oras.auth.utils.get_basic_auth(*login)

    @property
    def secrets(self) -> tuple[str, ...]:
        """Strings to keep out of messages: the password, its encoding, and the tokens."""
        with self._lock:
            tokens = [token.value for token in self._tokens.values()]
        return tuple(filter(None, (self._basic, self._login and self._login[1], *tokens)))

    def start(self, scopes: Scopes, *, long: bool = False) -> str | None:
        """The ``Authorization`` to begin with, as the registry asked for it last; ``None`` before that.

        Args:
            scopes: what the request needs.
            long: an upload, which a token should outlast.
        """
        with self._lock:
            challenge = self._answered
            if challenge is None:
                return None
            if challenge.scheme == "basic":
                return f"Basic {self._basic}"
            known = self._tokens.get(self._key(challenge, scopes))
            token: Token | int | None = known
            if known is None or not known.lasts(long=long):
                token = self._fetch(challenge, scopes)
            return f"Bearer {token.value}" if isinstance(token, Token) else None

    def answer(self, response: requests.Response, scopes: Scopes, tried: set[Any]) -> str | None:
        """The ``Authorization`` that answers a refusal; ``None`` if there is none left to try.

        Args:
            response: 401, or 403.
            scopes: what the request needs; what the challenge asks for is added.
            tried: answers so far, extended by this one.

        Raises:
            ServiceError: the password would go to somebody else or be readable on its way; or the token
                service fails.
        """
        if len(tried) >= _MOST_ANSWERS:
            return None
        failure: ServiceError | requests.RequestException | None = None
        sent = response.request.headers.get("Authorization", "")
        for challenge in challenges_of(response):
            try:
                with self._lock:
                    authorization = self._answer(challenge, response.status_code, scopes, sent, tried)
            except (ServiceError, requests.RequestException) as error:
                failure = failure or error  # Another challenge may have an answer.
                continue
            if authorization is not None:
                return authorization
        if failure is not None:
            raise failure
        return None

    def _answer(
        self, challenge: Challenge, status: int, scopes: Scopes, sent: str, tried: set[Any]
    ) -> str | None:
        if challenge.scheme == "basic":
            authorization = f"Basic {self._basic}"
            if status != 401 or self._basic is None or "basic" in tried or sent == authorization:
                return None
            tried.add("basic")
            self._answered = challenge
            return authorization
        if challenge.scheme != "bearer":
            return None
        if self._realm(challenge) is None:
            raise ServiceError(
                "The registry names its token service by an invalid address.",
                where=f"{self._home.netloc}, realm {clean(challenge.get('realm'))[:100]!r}",
                fix="check that the address belongs to a registry; ask its administrator",
            )
        asked = parse_scopes(challenge.get("scope"))
        if status == 403 and asked <= scopes and challenge.get("error").lower() != "insufficient_scope":
            return None  # The account lacks the right, not the token.
        # Some registries know a repository by another name, to which alone the account has access.
        for wanted in (scopes | asked, asked) if asked - scopes else (scopes,):
            key = self._key(challenge, wanted)
            if key in tried:
                continue
            tried.add(key)
            known = self._tokens.get(key)
            # Another thread may have replaced the token that was refused.
            fresh = known is not None and known.lasts(long=False) and sent != f"Bearer {known.value}"
            token = known if fresh else self._fetch(challenge, wanted)
            if isinstance(token, Token):
                self._answered = challenge
                self._tokens[self._key(challenge, scopes)] = token
                return f"Bearer {token.value}"
            if token == 401:  # The account is refused: a second attempt could lock it.
                return None
        return None

    def _key(self, challenge: Challenge, scopes: Scopes) -> tuple[str, str, Scopes]:
        return self._realm(challenge) or "", challenge.get("service"), scopes

    def _fetch(self, challenge: Challenge, scopes: Scopes) -> Token | int | None:
        realm = self._realm(challenge) or ""
        origin = origin_of(realm)
        if origin is None:
            return None
        self._check_realm(origin)
        token = fetch_token(self._send, realm, challenge.get("service"), scopes, self._login)
        if isinstance(token, Token):
            self._tokens[self._key(challenge, scopes)] = token
        return token

    def _realm(self, challenge: Challenge) -> str | None:
        """The token service's address, ``None`` if invalid. Some servers omit scheme or host."""
        realm = challenge.get("realm").strip()
        root = f"{self._home.scheme}://{self._home.netloc}/v2/"
        try:
            if realm.startswith("/"):
                realm = urljoin(root, realm)
            elif realm and not _SCHEME.match(realm):
                realm = f"{self._home.scheme}://{realm}"
        except ValueError:
            return None
        return realm if origin_of(realm) is not None else None

    def _check_realm(self, realm: Origin) -> None:
        """Trust a token service with the password, if there is one, or refuse."""
        where = f"{self._home.netloc}, which names the token service {realm.netloc}"
        if realm.scheme != "https" and not self._insecure:
            raise ServiceError(
                "The registry's token service uses plain http, so that others can read what is sent to it.",
                where=where,
                fix="have the registry name an https address; in a network that you trust, add --insecure",
            )
        if self._login is None:
            return
        if not is_own_token_service(self._home, realm) and not _is_named(realm):
            raise ServiceError(
                "The registry's token service may be somebody else's and does not get the password.",
                where=where,
                fix=f"if it is the token service of this registry, set {REALM}={realm.netloc}",
            )
        self._trust(realm)


def _is_named(realm: Origin) -> bool:
    named = named_realm()
    return named is not None and origin_of(f"{realm.scheme}://{named}") == realm
