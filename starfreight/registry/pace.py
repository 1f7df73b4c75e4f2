"""Least pace of a transfer: one byte every two seconds is not a transfer.

A socket's timeout starts anew with every byte, so it alone lets a server hold a command for ever.
"""

from __future__ import annotations

import http.client
import io
import ssl
import time
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from starfreight.errors import ServiceError

LEAST_PACE = 1000
"""Bytes a second. dnf gives up on a mirror below this pace (``minrate``), and git's documentation names the
same for ``http.lowSpeedLimit``. A package of 1 GB would take twelve days; a modem of 1998 sent 7,000."""

PATIENCE = 60.0
"""Seconds that a transfer may lag behind the least pace, in one pause or in many. It equals the read timeout,
so that no pause that the timeout allows ends a transfer."""

MAX_ANSWER_BYTES = 4 << 20
"""Maximum size of an answer read whole: manifest, token, error message."""

MAX_HEADER_BYTES = 1 << 20
"""Maximum size of status lines and headers. http.client limits lines and headers, but reads any number of
answers ``100 Continue``."""


class Pace:
    """Account of a transfer: waiting costs time, and every byte earns some back.

    Args:
        where: the address, for errors.
    """

    def __init__(self, where: str) -> None:
        self._where = where
        self._left = PATIENCE

    def count(self, size: int, seconds: float) -> None:
        """Account for ``size`` bytes moved while waiting for ``seconds``.

        Raises:
            ServiceError: the transfer has lagged too far behind the least pace.
        """
        self._left = min(PATIENCE, self._left - seconds + size / LEAST_PACE)
        if self._left < 0:
            # Not retried: a server can do the same again, and the command would take minutes to fail.
            raise ServiceError(
                f"The server answers at less than {LEAST_PACE:,} bytes a second.",
                where=self._where,
                fix="check the network and the server, then run the same command again",
            )


def limit_answer(response: requests.Response, size: int) -> None:
    """Limit the rest of an answer to ``size`` bytes as transferred, including what encodings add to them.

    A compressed or chunked answer can be endless without ever yielding a byte.
    """
    original = getattr(response.raw, "_original_response", None)
    if isinstance(original, _PacedResponse):
        original.reader.allow(size + MAX_HEADER_BYTES)


class PacedAdapter(HTTPAdapter):
    """Transport over connections with a least pace, also through proxies.

    Args:
        tls: context for TLS; requests adds the certificates to trust to it.
        options: as for requests.
    """

    def __init__(self, tls: ssl.SSLContext | None = None, **options: Any) -> None:
        self._tls: dict[str, Any] = {} if tls is None else {"ssl_context": tls}
        super().__init__(**options)

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **options: Any) -> None:
        """Create the pools of connections."""
        super().init_poolmanager(connections, maxsize, block, **options, **self._tls)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        """Pools of connections through a proxy."""
        manager = super().proxy_manager_for(proxy, **options, **self._tls)
        if not proxy.lower().startswith("socks"):  # These have connections of their own.
            manager.pool_classes_by_scheme = _POOLS
        return manager


class _PacedReader(io.RawIOBase):
    """A socket's bytes: the time spent waiting for them, and their number, are limited."""

    def __init__(self, inner: io.RawIOBase, where: str) -> None:
        self._inner, self._where = inner, where
        self._pace = Pace(where)
        self._started = False
        self._allowed: int | None = None
        self._left = 0

    def allow(self, size: int | None) -> None:
        """Limit the bytes read from now on; ``None`` removes the limit."""
        self._allowed, self._left = size, size or 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        start = time.monotonic()
        received = self._inner.readinto(buffer) or 0
        # Silence before the answer is the timeout's business: a registry hashes gigabytes first.
        if self._started:
            self._pace.count(received, time.monotonic() - start)
        self._started = True
        self._left -= received
        if self._allowed is not None and self._left < 0:
            raise ServiceError(
                f"The server's answer is larger than {self._allowed:,} bytes.",
                where=self._where,
                fix="check the address",
            )
        return received

    def close(self) -> None:
        self._inner.close()
        super().close()


class _PacedResponse(http.client.HTTPResponse):
    def __init__(self, sock: Any, where: str, **options: Any) -> None:
        super().__init__(sock, **options)
        self.fp.close()
        self.reader = _PacedReader(sock.makefile("rb", buffering=0), where)
        self.fp = io.BufferedReader(self.reader)

    def begin(self) -> None:
        self.reader.allow(MAX_HEADER_BYTES)
        super().begin()
        # urllib3 reads refusals to their end before it tries again.
        self.reader.allow(None if self.status == 200 else MAX_ANSWER_BYTES + MAX_HEADER_BYTES)


class _Connection(HTTPConnection):
    def response_class(self, sock: Any, **options: Any) -> _PacedResponse:  # type: ignore[override]
        return _PacedResponse(sock, self._tunnel_host or self.host, **options)


class _SecureConnection(HTTPSConnection):
    def response_class(self, sock: Any, **options: Any) -> _PacedResponse:  # type: ignore[override]
        return _PacedResponse(sock, self._tunnel_host or self.host, **options)


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


_POOLS = {"http": _Pool, "https": _SecurePool}
