"""A file of a base model in a registry, read by byte ranges."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import requests
from urllib3.exceptions import HTTPError

from starfreight.package import Descriptor
from starfreight.registry.client import RegistryClient
from starfreight.registry.pace import limit_answer
from starfreight.remote_weights.byte_source import Broken, RangeAnswer

_PIECE = 1 << 20


class RegistrySource:
    """A blob of a registry.

    Args:
        client: its repository. Several sources share it.
        blob: the blob.
        where: the file, for an error.
    """

    def __init__(self, client: RegistryClient, blob: Descriptor, where: str) -> None:
        self._client, self._blob = client, blob
        self.where, self.size, self.digest = where, blob.size, blob.digest

    @contextmanager
    def request(self, start: int, stop: int) -> Iterator[RangeAnswer]:
        """Request bytes ``start`` to ``stop``.

        Raises:
            Broken: the connection broke.
            ServiceError: the registry is unreachable, refuses or keeps failing.
        """
        with self._client.open_blob(self._blob, {"Range": f"bytes={start}-{stop - 1}"}) as response:
            # Chunks have headers.
            limit_answer(response, 2 * (stop - start))
            yield RangeAnswer(
                response.status_code, response.headers.get("Content-Range", ""), _pieces(response)
            )


def _pieces(response: requests.Response) -> Iterator[bytes]:
    try:
        while piece := response.raw.read(_PIECE, decode_content=False):
            yield piece
    except (HTTPError, OSError) as error:
        raise Broken("the connection broke") from error
