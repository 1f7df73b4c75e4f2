"""Ollama's sign-in, as its version 0.33 does it (``server/auth.go``, ``auth/auth.go``).

A registry answers 401 with ``WWW-Authenticate: Bearer realm="R",service="S",scope="C"``. If R's host is the
registry's, Ollama sends ``GET R?nonce=..&scope=..&service=..&ts=..`` with ``Authorization: KEY:SIGNATURE``.
KEY is its public key, and SIGNATURE its ed25519 signature, both in base64, over ``GET,URL,`` and the base64
of the hexadecimal SHA-256 of nothing. URL is the whole address, query included. The answer ``{"token": T}``
makes Ollama repeat its request with ``Authorization: Bearer T``.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import parse_qsl

from starfreight.console import human_count
from starfreight.packager.ollama_access.keys import AuthorizedKeys, Key
from starfreight.packager.ollama_access.refusal import AccessRefused
from starfreight.packager.ollama_access.repositories import is_repository
from starfreight.packager.ollama_access.signatures import Signer

SERVICE = "starfreight"
CLOCK_WINDOW = 60
"""Seconds by which a client's clock may differ from ours."""
TOKEN_LIFETIME = 300
"""Seconds. Ollama signs in again for every blob, and data is fetched from signed addresses."""

_MOST_NONCES = 200_000
_LONGEST_URL = 4096
_NOTHING = base64.b64encode(hashlib.sha256(b"").hexdigest().encode()).decode()
_AUTHORIZATION = re.compile(r"([A-Za-z0-9+/=]{68}):([A-Za-z0-9+/]{86}==)")
_NONCE = re.compile(r"[A-Za-z0-9_+/=-]{16,64}")
_SECONDS = re.compile(r"[0-9]{1,12}")
_SCOPE = re.compile(r"repository:([^:\s]{1,255}):pull")
_TOKEN = re.compile(r"Bearer ([A-Za-z0-9_-]{20,2000})\.([A-Za-z0-9_-]{43})", re.IGNORECASE)
_FIELDS = frozenset({"service", "scope", "ts", "nonce"})


@dataclass(frozen=True)
class Issued:
    """A token for one repository."""

    token: str
    key: Key
    repository: str
    lifetime: int
    """Seconds."""

    def as_json(self) -> bytes:
        """The body of the answer."""
        return json.dumps({"token": self.token, "expires_in": self.lifetime}).encode()


class Exchange:
    """Issues tokens to the holders of keys, and checks them.

    Args:
        keys: the keys as they are now; asked at every request.
        signer: signs the tokens.
        token_lifetime: seconds.
        clock_window: seconds by which a client's clock may be off.
        clock: the time in seconds since 1970.
    """

    def __init__(
        self,
        keys: Callable[[], AuthorizedKeys],
        signer: Signer,
        *,
        token_lifetime: int = TOKEN_LIFETIME,
        clock_window: int = CLOCK_WINDOW,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._keys, self._signer, self._clock = keys, signer, clock
        self._lifetime, self._window = token_lifetime, clock_window
        # From a clock that is ahead, a request holds for two windows; and times are whole seconds.
        self._nonces = _Nonces(2 * clock_window + 2)

    def challenge(self, realm: str, repository: str) -> str:
        """The value of ``WWW-Authenticate``.

        Args:
            realm: address of the token endpoint, with the host and port of the client's request.
            repository: a valid name.
        """
        return f'Bearer realm="{realm}",service="{SERVICE}",scope="repository:{repository}:pull"'

    def answer(self, url: str, authorization: str | None) -> Issued:
        """Issue a token.

        Args:
            url: the realm, ``?`` and the query exactly as it was received, since the client signed it.
            authorization: the header, if there is one.

        Raises:
            AccessRefused: 401 for an unknown, expired or wrongly used key, 403 for one without the right.
        """
        fields = _fields(url)
        match = _AUTHORIZATION.fullmatch(authorization or "")
        if match is None:
            raise AccessRefused("the request is not signed by an Ollama key")
        key = self._keys().find(match[1])
        if key is None:
            raise AccessRefused("this key may not pull")
        _verify(key, match[2], url)
        now = self._clock()
        if key.is_expired(now):
            raise AccessRefused("this key has expired", who=key.name)
        if not _SECONDS.fullmatch(fields["ts"]):
            raise AccessRefused("the request has no valid time", who=key.name)
        off = int(fields["ts"]) - int(now)
        if abs(off) > self._window:
            how = f"{human_count(abs(off), 'seconds')} {'ahead of' if off > 0 else 'behind'}"
            raise AccessRefused(f"the clock of this machine is {how} the server's", who=key.name)
        if not _NONCE.fullmatch(fields["nonce"]):
            raise AccessRefused("the request has no valid nonce", who=key.name)
        # Only holders of keys get this far, so that nobody else can fill the memory of nonces.
        if not self._nonces.use(f"{key.blob} {fields['nonce']}", now):
            raise AccessRefused("the request was used before", who=key.name)
        scope = _SCOPE.fullmatch(fields["scope"])
        if scope is None or not is_repository(scope[1]):
            raise AccessRefused("only pulling from one repository can be granted", status=403, who=key.name)
        if not key.may_pull(scope[1]):
            raise AccessRefused(f"this key may not pull {scope[1]}", status=403, who=key.name)
        return Issued(self._token(key, scope[1], int(now) + self._lifetime), key, scope[1], self._lifetime)

    def check(self, authorization: str | None, repository: str) -> Key:
        """The key whose holder sends a token of ours.

        Raises:
            AccessRefused: 401 without a token, with one that is forged, expired or for another repository, or
                after the key was revoked; 403 if the key has lost its right to the repository.
        """
        match = _TOKEN.fullmatch(authorization or "")
        if match is None:
            raise AccessRefused("sign in first")
        if not self._signer.verify(match[2], "token", match[1]):
            raise AccessRefused("the token is not one of this server")
        expires, fingerprint, granted = json.loads(
            base64.urlsafe_b64decode(match[1] + "=" * (-len(match[1]) % 4))
        )
        now = self._clock()
        key = self._keys().find(fingerprint)
        if key is None or key.is_expired(now):
            raise AccessRefused("this key was revoked or has expired", who=key.name if key else fingerprint)
        if now >= expires:
            raise AccessRefused("the token has expired", who=key.name)
        if granted != repository:
            raise AccessRefused("the token is for another repository", who=key.name)
        if not key.may_pull(repository):
            raise AccessRefused(f"this key may not pull {repository}", status=403, who=key.name)
        return key

    def _token(self, key: Key, repository: str, expires: int) -> str:
        text = json.dumps([expires, key.fingerprint, repository], separators=(",", ":"))
        payload = base64.urlsafe_b64encode(text.encode()).rstrip(b"=").decode()
        return f"{payload}.{self._signer.sign('token', payload)}"


def _fields(url: str) -> dict[str, str]:
    """The parameters of a token request, each of which must appear exactly once."""
    if len(url) > _LONGEST_URL or not url.isascii():
        raise AccessRefused("the request is too long or not ASCII")
    try:
        pairs = parse_qsl(
            url.partition("?")[2], keep_blank_values=True, strict_parsing=True, max_num_fields=8
        )
    except ValueError:
        raise AccessRefused("the request's parameters are invalid") from None
    fields = dict(pairs)
    if len(pairs) != len(fields) or fields.keys() != _FIELDS:
        raise AccessRefused("the request needs service, scope, ts and nonce, each once")
    if fields["service"] != SERVICE:
        raise AccessRefused("the request is for another service")
    return fields


def _verify(key: Key, signature: str, url: str) -> None:
    from cryptography.exceptions import InvalidSignature

    try:
        raw = base64.b64decode(signature, validate=True)
        key.public_key().verify(raw, f"GET,{url},{_NOTHING}".encode())
    except (binascii.Error, ValueError, InvalidSignature):
        raise AccessRefused("the signature is not one of this key over this address", who=key.name) from None


class _Nonces:
    """Nonces seen in the last seconds."""

    def __init__(self, seconds: int) -> None:
        self._seconds = seconds
        self._seen: OrderedDict[str, float] = OrderedDict()
        self._lock = threading.Lock()

    def use(self, nonce: str, now: float) -> bool:
        """False if it was used before, or if too many are remembered to add another."""
        with self._lock:
            while self._seen and next(iter(self._seen.values())) < now - self._seconds:
                self._seen.popitem(last=False)
            if nonce in self._seen or len(self._seen) >= _MOST_NONCES:
                return False
            self._seen[nonce] = now
            return True
