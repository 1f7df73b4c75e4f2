"""Read access: for everybody, or for the holders of listed Ollama keys."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from starfreight.packager.ollama_access import Issued, Key


@dataclass(frozen=True)
class ReadRequest:
    """A request for something in a repository."""

    repository: str
    kind: str
    """``manifests``, ``blobs`` or ``referrers``."""
    name: str
    """Tag or digest."""
    query: str
    authorization: str | None


@dataclass(frozen=True)
class Reader:
    """Somebody who may read."""

    name: str = ""
    key: Key | None = None


class Access(Protocol):
    """Decides over each request. A refusal is an :class:`AccessRefused`."""

    def reader(self, request: ReadRequest) -> Reader:
        """The sender of a request."""
        ...

    def challenge(self, realm: str, repository: str) -> str | None:
        """Value of ``WWW-Authenticate``, if one can sign in.

        Args:
            realm: address to sign in at.
            repository: a valid name.
        """
        ...

    def blob_query(self, request: ReadRequest, reader: Reader) -> str:
        """Query with which the requested blob can be read without credentials; empty if none is needed."""
        ...

    def sign_in(self, url: str, authorization: str | None) -> Issued | None:
        """Issue a token for a request to ``url``; ``None`` if nobody needs one."""
        ...


class OpenAccess:
    """Everybody may read."""

    def reader(self, request: ReadRequest) -> Reader:
        """Somebody without a name."""
        return Reader()

    def challenge(self, realm: str, repository: str) -> str | None:
        """There is no sign-in."""
        return None

    def blob_query(self, request: ReadRequest, reader: Reader) -> str:
        """No query."""
        return ""

    def sign_in(self, url: str, authorization: str | None) -> Issued | None:
        """No tokens."""
        return None


class KeyAccess:
    """Holders of the keys in a file may read, by Ollama's own sign-in.

    The file is read again for each request, so that a removed line takes effect at once. Tokens and blob
    addresses end with this process.

    Args:
        path: in the form of ``authorized_keys``, see :mod:`starfreight.packager.ollama_access.keys`.

    Raises:
        InputError: the file is missing or faulty.
    """

    def __init__(self, path: Path) -> None:
        from starfreight.packager.ollama_access import AuthorizedKeysFile, Exchange, SignedAddresses, Signer

        keys = AuthorizedKeysFile(path)
        signer = Signer(secrets.token_bytes(32))
        self.count = len(keys.read().keys)
        self._exchange = Exchange(keys.read, signer)
        self._addresses = SignedAddresses(keys.read, signer)

    def reader(self, request: ReadRequest) -> Reader:
        """The key whose holder sends a token, or for whom the blob's address was signed."""
        if request.kind == "blobs" and request.query and request.authorization is None:
            key = self._addresses.check(request.repository, request.name, request.query)
        else:
            key = self._exchange.check(request.authorization, request.repository)
        return Reader(key.name, key)

    def challenge(self, realm: str, repository: str) -> str | None:
        """Names our own token address."""
        return self._exchange.challenge(realm, repository)

    def blob_query(self, request: ReadRequest, reader: Reader) -> str:
        """A signature for this blob and key."""
        assert reader.key is not None
        return self._addresses.sign(request.repository, request.name, reader.key)

    def sign_in(self, url: str, authorization: str | None) -> Issued | None:
        """A token for the holder of a listed key."""
        return self._exchange.answer(url, authorization)
