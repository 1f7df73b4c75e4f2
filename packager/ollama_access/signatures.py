"""Statements signed by this server for itself: tokens and blob addresses."""

from __future__ import annotations

import base64
import hashlib
import hmac

from starfreight.errors import InputError

_FEWEST = 32


class Signer:
    """HMAC-SHA256 with a secret of this server.

    Args:
        secret: at least 32 random bytes. Servers that share it accept each other's statements.

    Raises:
        InputError: the secret is too short.
    """

    def __init__(self, secret: bytes) -> None:
        if len(secret) < _FEWEST:
            raise InputError(
                f"The signing secret has {len(secret)} bytes; it needs at least {_FEWEST}.",
                fix="make one: openssl rand -base64 48",
            )
        self._secret = secret

    def sign(self, purpose: str, *fields: str) -> str:
        """The signature of a statement, 43 characters of URL-safe base64.

        Args:
            purpose: keeps a statement of one kind from being used as one of another.
            fields: the statement. Each is signed with its length, so that none can reach into the next.
        """
        message = "".join(f"{len(each.encode())}:{each}" for each in (purpose, *fields))
        digest = hmac.new(self._secret, message.encode(), hashlib.sha256).digest()
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()

    def verify(self, signature: str, purpose: str, *fields: str) -> bool:
        """True if the signature is of this statement; in constant time."""
        return hmac.compare_digest(signature.encode(), self.sign(purpose, *fields).encode())
