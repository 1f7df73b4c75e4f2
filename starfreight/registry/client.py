"""Read requests of the OCI distribution API.

Specification: https://github.com/opencontainers/distribution-spec (1.1).
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import IO

import requests
from urllib3.exceptions import HTTPError, MaxRetryError, ProtocolError

from starfreight.console import Advance
from starfreight.errors import GateError, ServiceError
from starfreight.files import atomic_write, sha256_bytes
from starfreight.package import Descriptor
from starfreight.registry.failures import refusal, unreachable
from starfreight.registry.pace import limit_answer
from starfreight.registry.provider import Provider
from starfreight.registry.reference import RepositoryReference
from starfreight.registry.session import retry_policy

_CHUNK = 1 << 20


class RegistryClient:
    """Read access to one repository.

    Credentials of the environment are used only if ``STARFREIGHT_REGISTRY_HOST`` names the repository's host.
    Every method raises :class:`ServiceError` if the registry is unreachable, refuses or keeps failing.

    Args:
        repository: host and path.
        insecure: use plain http.

    Raises:
        InputError: incomplete credentials in the environment, or an unusable Docker configuration.
    """

    _destination = False
    """True if the client writes, by the user's order."""

    def __init__(self, repository: RepositoryReference, *, insecure: bool) -> None:
        self._provider = Provider(repository, insecure=insecure, destination=self._destination)
        self._host = repository.host
        self.insecure = insecure

    @property
    def has_credentials(self) -> bool:
        """True if user name and password are known for this registry."""
        return self._provider.has_credentials

    @property
    def credentials(self) -> tuple[str, str] | None:
        """User name and password, for another program using the same registry."""
        return self._provider.credentials

    @property
    def secrets(self) -> tuple[str, ...]:
        """Strings to keep out of messages: the credentials in any encoding."""
        return self._provider.secrets

    def connect(self) -> None:
        """Check for a registry, and learn its authentication scheme."""
        response = self._ask("connecting", self._provider.root, "GET")
        if response.status_code == 404:
            raise ServiceError(
                "The server is not a registry: it has no /v2/.",
                where=self._host,
                fix="check host and port",
            )
        if response.status_code != 200:
            raise self._refused(response, "connecting")

    def has_blob(self, descriptor: Descriptor) -> bool:
        """True if the repository holds the blob."""
        path = f"blobs/{descriptor.digest}"
        return self._find(f"looking for {descriptor.digest}", "HEAD", path) is not None

    def manifest_digest(self, tag: str, media_type: str) -> str | None:
        """Digest of the manifest at a tag (or digest), ``None`` if there is none of that media type."""
        response = self._find(f"looking for {tag}", "HEAD", f"manifests/{tag}", media_type)
        if response is None:
            return None
        digest = response.headers.get("Docker-Content-Digest")
        if digest is None:
            data = self.get_manifest(tag, media_type)
            return None if data is None else sha256_bytes(data)
        return digest

    def get_manifest(self, tag: str, media_type: str) -> bytes | None:
        """Bytes of the manifest at a tag (or digest), at most 4 MiB; ``None`` if there is none.

        Args:
            tag: the tag or digest.
            media_type: accepted media types, separated by commas, preferred first.
        """
        response = self._find(f"reading {tag}", "GET", f"manifests/{tag}", media_type)
        return None if response is None else response.content

    def referrers(self, digest: str) -> bytes | None:
        """The registry's list of referrers of a manifest, ``None`` if it does not keep one."""
        response = self._ask(
            f"reading the referrers of {digest}", self._provider.url(f"referrers/{digest}"), "GET"
        )
        return response.content if response.status_code == 200 else None

    def pull_blob(self, descriptor: Descriptor, to: Path, advance: Advance) -> None:
        """Download a blob; the file appears only if size and digest are right.

        A broken download restarts from the beginning, as often as the retry policy allows.

        Args:
            descriptor: the blob; at most its size is read.
            to: the file to write.
            advance: called with the size of each chunk, and with a negative number on a restart.

        Raises:
            GateError: the registry sent bytes of another size or digest.
            ServiceError: also if the disk is full.
        """
        retry = retry_policy()
        doing = f"fetching {descriptor.digest}"
        url = self._provider.url(f"blobs/{descriptor.digest}")
        while True:
            # Raised only while reading: errors of the request itself are ServiceErrors.
            try:
                with atomic_write(to) as stream:
                    return self._receive(url, descriptor, stream, advance, doing)
            except requests.ConnectionError as error:
                try:
                    retry = retry.increment("GET", url, error=ProtocolError(str(error)))
                except MaxRetryError:
                    raise unreachable(error, self._host, doing) from error
                retry.sleep()

    def _receive(
        self, url: str, descriptor: Descriptor, stream: IO[bytes], advance: Advance, doing: str
    ) -> None:
        # Count and hash the bytes as stored: no proxy may compress them.
        headers = {"Accept-Encoding": "identity"}
        with self._ask(doing, url, "GET", headers=headers, stream=True) as response:
            if response.status_code == 404:
                raise ServiceError(
                    "The registry holds the manifest, but not all of its blobs.",
                    where=f"{self._host}, while {doing}",
                    fix="push the artifact again",
                )
            if response.status_code != 200:
                raise self._refused(response, doing)
            limit_answer(response, 2 * descriptor.size)  # Chunks have headers.
            digest, received = hashlib.sha256(), 0
            try:
                while piece := _read_piece(response):
                    received += len(piece)
                    advance(len(piece))
                    if received > descriptor.size:
                        break
                    digest.update(piece)
                    stream.write(piece)
            except requests.ConnectionError:
                advance(-received)
                raise
        if received != descriptor.size or "sha256:" + digest.hexdigest() != descriptor.digest:
            size = f"{descriptor.size:,} bytes"
            found = f"more than {size}" if received > descriptor.size else f"{received:,} bytes"
            raise GateError(
                f"The registry sent bytes with another digest than {descriptor.digest} "
                f"({found}, expected {size}).",
                where=f"{self._host}, while {doing}",
                fix="do not use them; push the artifact again, or ask the registry's administrator",
            )

    def _find(
        self, doing: str, method: str, path: str, accept: str | None = None
    ) -> requests.Response | None:
        """Request something below the repository; ``None`` if it does not exist."""
        headers = {"Accept": accept} if accept else None
        response = self._ask(doing, self._provider.url(path), method, headers=headers)
        if response.status_code == 404:
            return None
        if response.status_code != 200:
            raise self._refused(response, doing)
        return response

    def _ask(
        self,
        doing: str,
        url: str,
        method: str,
        *,
        data: bytes | None = None,
        headers: dict[str, str] | None = None,
        stream: bool = False,
    ) -> requests.Response:
        try:
            return self._provider.do_request(url, method, data=data, headers=headers, stream=stream)
        except requests.RequestException as error:
            raise unreachable(error, self._host, doing) from error

    def _refused(self, response: requests.Response, doing: str) -> ServiceError:
        return refusal(response, self._host, doing, self._provider.secrets, destination=self._destination)


def _read_piece(response: requests.Response) -> bytes:
    try:
        return response.raw.read(_CHUNK, decode_content=False)
    except (HTTPError, OSError) as error:
        raise requests.ConnectionError(error, request=response.request) from error
