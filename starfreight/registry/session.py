"""HTTP transport to a registry: size limits, timeouts, retries.

Retries are urllib3's ``Retry``, mounted on oras's session, token requests included. Uploads are an
exception: a registry keeps the received part of a broken upload, so the caller has to restart it.
The same holds for broken downloads.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterator
from typing import IO, Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError
from urllib3.util.retry import Retry

from starfreight.console import Advance
from starfreight.errors import ServiceError

CONNECT_TIMEOUT = 15.0
READ_TIMEOUT = 60.0
UPLOAD_TIMEOUT = 900.0
"""Seconds to wait for the answer to an upload: the registry hashes all of it first."""

RETRY_STATUSES = (429, 500, 502, 503, 504)
BACKOFF_FACTOR = 0.5
"""Seconds; waits are 0, 1, 2 and 4 times two of it, unless set by ``Retry-After``."""
MAX_WAIT = 60
"""Seconds; a registry requesting a longer wait is given up on sooner."""

MAX_ANSWER_BYTES = 4 << 20
"""Maximum size of an answer read whole: manifest, token, error message."""


def retry_policy() -> Retry:
    """Retry policy: two retries without an answer, four after a temporary failure."""
    return Retry(
        total=4,
        connect=2,
        other=0,  # Untrusted TLS will not be trusted a second later.
        allowed_methods=None,
        status_forcelist=RETRY_STATUSES,
        backoff_factor=BACKOFF_FACTOR,
        backoff_max=MAX_WAIT,
        retry_after_max=MAX_WAIT,
        raise_on_status=False,
        raise_on_redirect=False,
    )


def prepare_session(session: requests.Session) -> None:
    """Configure oras's session: transport, redirections, no logging of requests."""
    adapter = RegistryAdapter()
    session.mount("https://", adapter)
    session.mount("http://", adapter)
    session.max_redirects = 5
    # Otherwise an entry in ~/.netrc would override oras's credentials.
    session.auth = lambda request: request
    for noisy in ("oras.logger", "urllib3.connectionpool"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL)


def certificates() -> str | bool:
    """Trusted certificates: a path from the environment, or True for those shipped with requests."""
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        if path := os.environ.get(name):
            return path
    return True


class RegistryAdapter(HTTPAdapter):
    """Transport with timeouts, retries and a limit on the size of answers."""

    def __init__(self) -> None:
        super().__init__(max_retries=retry_policy())
        self._once = HTTPAdapter(max_retries=Retry(0, read=False))

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: Any = True,
        cert: Any = None,
        proxies: Any = None,
    ) -> requests.Response:
        """Send one request."""
        upload = isinstance(request.body, BlobBody)
        send = self._once.send if upload else super().send
        response = send(
            request,
            stream=True,
            timeout=timeout or (CONNECT_TIMEOUT, UPLOAD_TIMEOUT if upload else READ_TIMEOUT),
            verify=verify,
            cert=cert,
            proxies=proxies,
        )
        # Refusals and redirections are short, even in answer to a request for a blob.
        if not stream or response.status_code != 200:
            _read_bounded(response)
        return response


class BlobBody:
    """Upload body read from a file in chunks, hashed on the way, and rewindable to its start.

    Args:
        stream: the open file, at its start.
        size: its size in bytes.
        advance: called with the size of each chunk, and with a negative number on a restart.
    """

    def __init__(self, stream: IO[bytes], size: int, advance: Advance) -> None:
        self._stream, self._size, self._advance = stream, size, advance
        self._sent = 0
        self._digest = hashlib.sha256()

    def __len__(self) -> int:
        """Total size, independent of the position."""
        return self._size

    def __iter__(self) -> Iterator[bytes]:
        """The rest, in chunks; requests streams any iterable body."""
        while piece := self.read(1 << 16):
            yield piece

    def tell(self) -> int:
        """Number of bytes read."""
        return self._sent

    def seek(self, offset: int, whence: int = 0) -> int:
        """Rewind to the start, the only position supported."""
        if offset or whence:
            raise OSError("an upload starts at its first byte")
        self._stream.seek(0)
        self._advance(-self._sent)
        self._sent = 0
        self._digest = hashlib.sha256()
        return 0

    def read(self, amount: int = -1) -> bytes:
        """Next chunk, at most 1 MiB."""
        piece = self._stream.read(min(amount, 1 << 20) if amount >= 0 else 1 << 20)
        self._digest.update(piece)
        self._sent += len(piece)
        self._advance(len(piece))
        return piece

    @property
    def digest(self) -> str | None:
        """Digest of the body once read to the end, before that ``None``."""
        return "sha256:" + self._digest.hexdigest() if self._sent == self._size else None


def _read_bounded(response: requests.Response) -> None:
    """Read a whole answer into ``response.content``."""
    try:
        data = response.raw.read(MAX_ANSWER_BYTES + 1, decode_content=True)
    except (HTTPError, OSError) as error:
        response.close()
        raise requests.ConnectionError(error, request=response.request) from error
    if len(data) > MAX_ANSWER_BYTES:
        response.close()
        raise ServiceError(
            f"The registry's answer is larger than {MAX_ANSWER_BYTES:,} bytes.",
            where=response.url.partition("?")[0],
            fix="check that the address belongs to a registry",
        )
    response._content = data
    response.close()
