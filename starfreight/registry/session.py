"""HTTP transport to a registry: credentials stay at their origins; size limits, timeouts, retries.

Retries are urllib3's ``Retry``, mounted on the session given to oras, token requests included. Uploads are an
exception: a registry keeps the received part of a broken upload, so the caller has to restart it.
The same holds for broken downloads.
"""

from __future__ import annotations

import hashlib
import logging
import os
import zlib
from collections.abc import Iterator
from typing import IO, Any
from urllib.parse import urlsplit

import requests
from requests.utils import select_proxy
from urllib3.exceptions import HTTPError
from urllib3.util.retry import Retry

from starfreight.console import Advance
from starfreight.errors import ServiceError
from starfreight.registry.origins import Origin, is_loopback, origin_of, prepared_origin
from starfreight.registry.pace import MAX_ANSWER_BYTES as MAX_ANSWER_BYTES
from starfreight.registry.pace import PacedAdapter, limit_answer

CONNECT_TIMEOUT = 15.0
READ_TIMEOUT = 60.0
UPLOAD_TIMEOUT = 900.0
"""Seconds to wait for the answer to an upload: the registry hashes all of it first."""

RETRY_STATUSES = (429, 500, 502, 503, 504)
BACKOFF_FACTOR = 0.5
"""Seconds; waits are 0, 1, 2 and 4 times two of it, unless set by ``Retry-After``."""
MAX_WAIT = 60
"""Seconds; a registry requesting a longer wait is given up on sooner."""


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


class RegistrySession(requests.Session):
    """Session that sends credentials to trusted origins only, directly or over TLS, and logs no requests.

    Attributes:
        trusted: origins that may receive an ``Authorization`` header: the registry and its token service.
    """

    def __init__(self, home: Origin) -> None:
        super().__init__()
        self.trusted = {home}
        adapter = RegistryAdapter(self.trusted)
        self.mount("https://", adapter)
        self.mount("http://", adapter)
        self.max_redirects = 5
        self.headers["Accept-Encoding"] = "identity"
        # Otherwise an entry in ~/.netrc would override oras's credentials.
        self.auth = lambda request: request
        for noisy in ("oras.logger", "urllib3.connectionpool"):
            logging.getLogger(noisy).setLevel(logging.CRITICAL)

    def rebuild_auth(self, prepared_request: requests.PreparedRequest, response: requests.Response) -> None:
        """Drop the credentials on a redirection to another origin.

        requests keeps them from http to https, and adds those of ~/.netrc, where ``default`` fits any host.
        """
        if prepared_origin(prepared_request) != origin_of(response.url):
            prepared_request.headers.pop("Authorization", None)


def certificates() -> str | bool:
    """Trusted certificates: a path from the environment, or True for those shipped with requests."""
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        if path := os.environ.get(name):
            return path
    return True


class RegistryAdapter(PacedAdapter):
    """Transport with timeouts, retries and limits on answers. Every request passes here, redirected or not.

    Args:
        trusted: origins that may receive an ``Authorization`` header.
    """

    def __init__(self, trusted: set[Origin]) -> None:
        super().__init__(max_retries=retry_policy())
        self._trusted = trusted
        self._once = PacedAdapter(max_retries=Retry(0, read=False))

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: Any = True,
        cert: Any = None,
        proxies: Any = None,
    ) -> requests.Response:
        """Send one request.

        Raises:
            ServiceError: a proxy would see the credentials, or the answer is too large or too slow.
        """
        proxies = _guard_credentials(request, proxies, self._trusted)
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
        """The rest, in chunks; requests streams any iterable body.

        The socket's timeout holds for a whole chunk, so an upload has a least pace as well.
        """
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


def _guard_credentials(request: requests.PreparedRequest, proxies: Any, trusted: set[Origin]) -> Any:
    """Proxies to use for a request; its credentials are removed if they are not meant for its origin."""
    origin = prepared_origin(request)
    if origin not in trusted:
        request.headers.pop("Authorization", None)
    # As in Go, and so in Docker: another machine's loopback is not the one that is meant.
    if is_loopback(origin):
        return {}
    proxy = select_proxy(request.url or "", proxies)
    if proxy and origin.scheme == "http" and "Authorization" in request.headers:
        name = urlsplit(proxy if "://" in proxy else f"//{proxy}").hostname or "proxy"
        raise ServiceError(
            f"The proxy {name} would read the credentials: {origin.netloc} is used over plain http.",
            where="environment, http_proxy or all_proxy",
            fix=f"set NO_PROXY={origin.host} to connect directly, or use the registry over https",
        )
    return proxies


def _read_bounded(response: requests.Response) -> None:
    """Read a whole answer into ``response.content``."""
    limit_answer(response, MAX_ANSWER_BYTES)
    try:
        data = response.raw.read(MAX_ANSWER_BYTES + 1, decode_content=False)
        received = len(data)
        if response.headers.get("Content-Encoding", "").lower() == "gzip":
            # Not by urllib3, which takes minutes over megabytes of empty gzip members.
            data = zlib.decompressobj(zlib.MAX_WBITS + 16).decompress(data, MAX_ANSWER_BYTES + 1)
    except (HTTPError, OSError, zlib.error) as error:
        response.close()
        raise requests.ConnectionError(error, request=response.request) from error
    if max(received, len(data)) > MAX_ANSWER_BYTES:
        response.close()
        raise ServiceError(
            f"The registry's answer is larger than {MAX_ANSWER_BYTES:,} bytes.",
            where=response.url.partition("?")[0],
            fix="check that the address belongs to a registry",
        )
    response._content = data
    response.close()
