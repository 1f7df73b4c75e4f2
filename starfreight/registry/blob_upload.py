"""Upload of one blob: resumed where it broke off, if the registry kept the part it received.

A blob is sent by ``POST`` and one ``PUT`` with the file as its body, which every registry supports: GHCR
refuses a ``PATCH`` of more than 4 MiB, and Artifact Registry has no chunked upload. After a broken connection
the registry is asked how far it came (``GET`` at the upload's address, answered with ``Range``), and the rest
follows in another ``PUT``. docker-registry 2 drops an upload that broke off: it starts again.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import IO, Any, Protocol
from urllib.parse import quote, urldefrag, urljoin, urlsplit

import requests
from urllib3.exceptions import MaxRetryError, ProtocolError
from urllib3.util.retry import Retry

from starfreight.console import Advance
from starfreight.errors import ServiceError
from starfreight.package import Descriptor
from starfreight.registry.blob_body import BlobBody, UploadStopped
from starfreight.registry.client import RegistryClient
from starfreight.registry.failures import unreachable
from starfreight.registry.session import RETRY_STATUSES, retry_policy

_TRIES = 3
"""Attempts to read a short answer that breaks off."""

_DIGEST_PARAMETER = re.compile(r"([?&])digest=[^&]*&?")
_RANGE = re.compile(r"(?:bytes=)?0-([0-9]{1,18})")


class BlobSource(Protocol):
    """Source of blobs to upload."""

    def open(self, descriptor: Descriptor) -> AbstractContextManager[IO[bytes]]:
        """Open a blob at its first byte; may be called repeatedly."""

    def where(self, descriptor: Descriptor) -> str:
        """Location of a blob, for error messages."""


class BlobUploadClient(RegistryClient):
    """Client with the requests that store blobs. Arguments and errors as for :class:`RegistryClient`."""

    _destination = True
    _mounts = True
    """False once the registry kept failing to mount a blob; the others are uploaded at once."""

    def mount(self, descriptor: Descriptor, repository: str) -> bool:
        """Mount a blob from another repository of the same registry; returns True on success.

        A registry that cannot mount gets the blob by upload, so its failure is not an error.
        """
        if not self._mounts:
            return False
        doing = f"mounting {descriptor.digest}"
        url = self._provider.url(f"blobs/uploads/?mount={quote(descriptor.digest)}&from={quote(repository)}")
        response = self._ask(doing, url, "POST", headers={"Content-Length": "0"}, reads=repository)
        if response.status_code == 202 and (location := _location(response, url)) is not None:
            # The registry opened an upload instead; cancel it.
            with contextlib.suppress(ServiceError):
                self._ask(doing, location, "DELETE")
        self._mounts = response.status_code not in RETRY_STATUSES
        return response.status_code == 201

    def upload(
        self,
        source: BlobSource,
        descriptor: Descriptor,
        advance: Advance,
        *,
        stopped: Callable[[], bool] = lambda: False,
    ) -> bool:
        """Upload a blob unless already present; returns True if bytes were sent.

        A broken upload is continued or begun again, as often as the retry policy allows.

        Raises:
            GateError: the bytes do not match the descriptor's digest; the registry did not get all of them.
            UploadStopped: ``stopped`` returned True.
        """
        with source.open(descriptor) as stream:
            where = source.where(descriptor)
            body = BlobBody(stream, descriptor, advance, where=where, stopped=stopped)
            with contextlib.closing(body):
                return self._upload(descriptor, body, advance, stopped)

    def _ask(self, doing: str, url: str, method: str, **options: Any) -> requests.Response:
        """As a client that reads, and again if the answer broke off: the requests here may be repeated."""
        for _ in range(_TRIES - 1):
            try:
                return super()._ask(doing, url, method, **options)
            except ServiceError as error:
                if not _broke_off(error.__cause__):
                    raise
        return super()._ask(doing, url, method, **options)

    def _upload(
        self, descriptor: Descriptor, body: BlobBody, advance: Advance, stopped: Callable[[], bool]
    ) -> bool:
        retry, doing = retry_policy(), f"uploading {descriptor.digest}"
        begun: str | None = None
        sent = False
        while not stopped():
            if begun is None and self.stored_size(descriptor) == descriptor.size:
                advance(descriptor.size)
                return sent
            sent = True
            address = begun or self._open_upload(descriptor)
            failure: requests.Response | requests.RequestException
            try:
                failure = self._put(address, descriptor, body)
            except requests.RequestException as error:
                failure = error
            else:
                if failure.status_code in (201, 204):
                    return True
                if failure.status_code in (200, 202) and self.stored_size(descriptor) == descriptor.size:
                    return True  # Not as the specification has it, but the blob is there.
                if not _may_succeed_later(failure, resumed=begun is not None):
                    raise self._refused(failure, doing)
            retry = self._wait(retry, failure, doing)
            begun = self._resume(address, body)
        raise UploadStopped

    def _open_upload(self, descriptor: Descriptor) -> str:
        """The address of a new upload."""
        url = self._provider.url("blobs/uploads/")
        doing = f"starting to upload {descriptor.digest}"
        opened = self._ask(doing, url, "POST", headers={"Content-Length": "0"})
        if opened.status_code != 202:
            raise self._refused(opened, doing)
        return self._checked(_location(opened, url))

    def _checked(self, address: str | None) -> str:
        """An upload's address that the registry named, if the upload may go there."""
        if address is None:
            raise ServiceError(
                "The registry's answer names no valid upload address.",
                where=self._host,
                fix="see the registry's log",
            )
        if urlsplit(address).scheme == "http" and not self.insecure:
            raise ServiceError(
                "The registry redirects the upload to plain http.",
                where=self._host,
                fix="have the proxy in front of the registry set X-Forwarded-Proto",
            )
        return address

    def _put(self, address: str, descriptor: Descriptor, body: BlobBody) -> requests.Response:
        """Send the body as the end of an upload. The answer may be a temporary failure."""
        address = _DIGEST_PARAMETER.sub(r"\1", address).rstrip("?&")
        joint = "&" if urlsplit(address).query else "?"
        headers = {"Content-Type": "application/octet-stream"}
        if body.sent and len(body):
            headers["Content-Range"] = f"{body.sent}-{descriptor.size - 1}"
        return self._provider.do_request(
            f"{address}{joint}digest={quote(descriptor.digest, safe='')}",
            "PUT",
            data=body if len(body) else b"",
            headers=headers,
        )

    def _wait(
        self, retry: Retry, failure: requests.Response | requests.RequestException, doing: str
    ) -> Retry:
        """Wait as the retry policy or the registry requests."""
        try:
            if isinstance(failure, requests.Response):
                retry = retry.increment("PUT", failure.url, response=failure.raw)
                retry.sleep(failure.raw)
            else:
                retry = retry.increment("PUT", error=ProtocolError(str(failure)))
                retry.sleep()
        except MaxRetryError:
            if isinstance(failure, requests.Response):
                raise self._refused(failure, doing) from None
            raise unreachable(failure, self._host, doing, insecure=self.insecure) from failure
        return retry

    def _resume(self, address: str, body: BlobBody) -> str | None:
        """Set the body to the part that the registry lacks.

        Returns:
            The address to continue at; ``None`` if the upload has to begin again.
        """
        offset, following = 0, None
        if body.sent:
            # The registry may be gone, or have dropped the upload: then the next request shows it. Retries
            # here would only delay that one.
            with contextlib.suppress(requests.RequestException, ServiceError):
                answer = self._provider.do_request(address, "GET", once=True)
                received = _RANGE.fullmatch(answer.headers.get("Range", ""))
                # One byte and none look alike: "0-0".
                if answer.status_code in (200, 204) and received and 0 < int(received[1]) < body.sent:
                    following = self._checked(_location(answer, address) or address)
                    offset = int(received[1]) + 1
        body.begin_at(offset)
        return following


def _broke_off(error: BaseException | None) -> bool:
    """True if an answer began and ended too early; the transport repeats requests without an answer."""
    return (
        isinstance(error, requests.ConnectionError)
        and bool(error.args)
        and isinstance(error.args[0], ProtocolError)
    )


def _may_succeed_later(response: requests.Response, *, resumed: bool) -> bool:
    """True for a temporary failure, a byte damaged on its way, and a registry that resumes no uploads."""
    status = response.status_code
    return (
        status in RETRY_STATUSES
        or (status == 400 and b"DIGEST_INVALID" in response.content)
        or (resumed and 400 <= status < 500 and status not in (401, 403, 413))
    )


def _location(response: requests.Response, asked: str) -> str | None:
    """Address in an answer, ``None`` if missing or not a valid http address."""
    try:
        target = urldefrag(urljoin(response.url or asked, response.headers["Location"].strip())).url
        parts = urlsplit(target)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except (KeyError, ValueError):
        return None
    return target if sound else None
