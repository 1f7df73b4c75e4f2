"""Blob addresses that need no credentials: ``/v2/NAME/blobs/DIGEST?exp=..&key=..&sig=..``.

Ollama follows the ``Location`` of a blob without its token. The query names the key whose holder asked, so
that an address ends with the key.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable

from starfreight.packager.ollama_access.keys import AuthorizedKeys, Key
from starfreight.packager.ollama_access.refusal import AccessRefused
from starfreight.packager.ollama_access.signatures import Signer

ADDRESS_LIFETIME = 6 * 3600
"""Seconds. Ollama asks for no second address while it downloads a blob."""

_PREFIX = "SHA256:"
QUERY = r"exp=[0-9]{1,12}&key=[A-Za-z0-9_-]{43}&sig=[A-Za-z0-9_-]{43}"
"""The only form of the query. For PCRE and Python alike."""
_QUERY = re.compile(r"exp=([0-9]{1,12})&key=([A-Za-z0-9_-]{43})&sig=([A-Za-z0-9_-]{43})")


class SignedAddresses:
    """Signs and checks addresses.

    Args:
        keys: the keys as they are now; asked at every request.
        signer: signs the addresses.
        lifetime: seconds.
        clock: the time in seconds since 1970.
    """

    def __init__(
        self,
        keys: Callable[[], AuthorizedKeys],
        signer: Signer,
        *,
        lifetime: int = ADDRESS_LIFETIME,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._keys, self._signer, self._lifetime, self._clock = keys, signer, lifetime, clock

    def sign(self, repository: str, digest: str, key: Key) -> str:
        """The query of a blob's address."""
        expires = str(int(self._clock()) + self._lifetime)
        name = key.fingerprint.removeprefix(_PREFIX).replace("+", "-").replace("/", "_")
        signature = self._signer.sign("address", repository, digest, expires, name)
        return f"exp={expires}&key={name}&sig={signature}"

    def check(self, repository: str, digest: str, query: str) -> Key:
        """The key for whose holder an address was signed.

        Args:
            repository: from the request's path.
            digest: from the request's path.
            query: of the request, as it was received.

        Raises:
            AccessRefused: 403 for an address that was not signed here, is for another blob, has expired, or
                whose key was revoked or has lost its right to the repository.
        """
        match = _QUERY.fullmatch(query)
        if match is None:
            raise AccessRefused("the address is not signed", status=403)
        expires, name, signature = match.groups()
        if not self._signer.verify(signature, "address", repository, digest, expires, name):
            raise AccessRefused("the address was not signed by this server for this blob", status=403)
        fingerprint = _PREFIX + name.replace("-", "+").replace("_", "/")
        now = self._clock()
        key = self._keys().find(fingerprint)
        if key is None or key.is_expired(now):
            who = key.name if key else fingerprint
            raise AccessRefused("the key of this address was revoked or has expired", status=403, who=who)
        if now >= int(expires):
            raise AccessRefused("the address has expired", status=403, who=key.name)
        if not key.may_pull(repository):
            raise AccessRefused(f"this key may not pull {repository}", status=403, who=key.name)
        return key
