"""Write requests of the OCI distribution API, used for publishing.

Specification: https://github.com/opencontainers/distribution-spec (1.1). A blob is uploaded by ``POST``
and one ``PUT`` with the file as its body, as supported by every registry; some refuse chunked uploads.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import IO, Protocol
from urllib.parse import quote, urljoin, urlsplit

import requests
from urllib3.exceptions import MaxRetryError, ProtocolError

from starfreight.console import Advance
from starfreight.errors import GateError, ServiceError
from starfreight.files import sha256_bytes
from starfreight.package import Descriptor
from starfreight.registry.client import RegistryClient
from starfreight.registry.failures import unreachable
from starfreight.registry.session import RETRY_STATUSES, BlobBody, retry_policy


class BlobSource(Protocol):
    """Source of blobs to upload."""

    def open(self, descriptor: Descriptor) -> AbstractContextManager[IO[bytes]]:
        """Open a blob at its first byte; may be called repeatedly."""

    def where(self, descriptor: Descriptor) -> str:
        """Location of a blob, for error messages."""


class PublishingClient(RegistryClient):
    """Read and write access to one repository. Arguments and errors as for :class:`RegistryClient`.

    Credentials of the environment are meant for it, unless ``STARFREIGHT_REGISTRY_HOST`` names another host.
    """

    _destination = True

    def mount(self, descriptor: Descriptor, repository: str) -> bool:
        """Mount a blob from another repository of the same registry; returns True on success."""
        doing = f"mounting {descriptor.digest}"
        url = self._provider.url(f"blobs/uploads/?mount={quote(descriptor.digest)}&from={quote(repository)}")
        response = self._ask(doing, url, "POST", headers={"Content-Length": "0"})
        if response.status_code == 202 and (location := _location(response, url)) is not None:
            # The registry opened an upload instead; cancel it.
            self._ask(doing, location, "DELETE")
        return response.status_code == 201

    def upload(self, source: BlobSource, descriptor: Descriptor, advance: Advance) -> bool:
        """Upload a blob unless already present; returns True if bytes were sent.

        A broken upload restarts from the beginning, as often as the retry policy allows.

        Raises:
            GateError: the bytes do not match the descriptor's digest.
        """
        retry = retry_policy()
        doing = f"uploading {descriptor.digest}"
        while True:
            if self.has_blob(descriptor):
                advance(descriptor.size)
                return False
            with source.open(descriptor) as stream:
                body = BlobBody(stream, descriptor.size, advance)
                try:
                    response = self._send(descriptor, body)
                    if response.status_code in (201, 204):
                        return True
                    if body.digest not in (None, descriptor.digest):
                        raise GateError(
                            f"The blob {descriptor.digest} has another digest on disk: the file changed.",
                            where=source.where(descriptor),
                            fix="build or download the package again",
                        )
                    if response.status_code not in RETRY_STATUSES:
                        raise self._refused(response, doing)
                    try:
                        retry = retry.increment("PUT", response.url, response=response.raw)
                    except MaxRetryError:
                        raise self._refused(response, doing) from None
                    body.seek(0)
                    retry.sleep(response.raw)
                except requests.RequestException as error:
                    try:
                        retry = retry.increment("PUT", error=ProtocolError(str(error)))
                    except MaxRetryError:
                        raise unreachable(error, self._host, doing) from error
                    body.seek(0)
                    retry.sleep()

    def put_manifest(self, tag: str, media_type: str, data: bytes) -> str | None:
        """Store a manifest at a tag (or digest).

        Returns:
            the acknowledged ``OCI-Subject``, if the registry lists referrers itself.
        """
        doing = f"writing {tag}"
        response = self._ask(
            doing,
            self._provider.url(f"manifests/{tag}"),
            "PUT",
            data=data,
            headers={"Content-Type": media_type},
        )
        if response.status_code not in (200, 201):
            raise self._refused(response, doing)
        wanted = sha256_bytes(data)
        if response.headers.get("Docker-Content-Digest", wanted) != wanted:
            raise ServiceError(
                "The registry stored the manifest under another digest than that of its bytes.",
                where=f"{self._host}, at {tag}",
                fix="use a registry without changes to manifests",
            )
        return response.headers.get("OCI-Subject")

    def _send(self, descriptor: Descriptor, body: BlobBody) -> requests.Response:
        """Upload once, from the beginning. The answer may be a temporary failure."""
        url = self._provider.url("blobs/uploads/")
        doing = f"starting to upload {descriptor.digest}"
        opened = self._ask(doing, url, "POST", headers={"Content-Length": "0"})
        if opened.status_code != 202:
            raise self._refused(opened, doing)
        target = _location(opened, url)
        if target is None:
            raise ServiceError(
                "The registry's answer names no valid upload address.",
                where=self._host,
                fix="see the registry's log",
            )
        if urlsplit(target).scheme == "http" and not self.insecure:
            raise ServiceError(
                "The registry redirects the upload to plain http.",
                where=self._host,
                fix="have the proxy in front of the registry set X-Forwarded-Proto",
            )
        target += ("&" if urlsplit(target).query else "?") + "digest=" + quote(descriptor.digest, safe="")
        return self._provider.do_request(
            target,
            "PUT",
            data=body if descriptor.size else b"",
            headers={"Content-Type": "application/octet-stream"},
        )


def _location(response: requests.Response, asked: str) -> str | None:
    """Redirection target of an answer, ``None`` if missing or not a valid http address."""
    try:
        target = urljoin(response.url or asked, response.headers["Location"])
        parts = urlsplit(target)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except (KeyError, ValueError):
        return None
    return target if sound else None
