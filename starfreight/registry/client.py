"""The few requests of the OCI distribution API that read.

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
from starfreight.registry.provider import Provider
from starfreight.registry.reference import Repository
from starfreight.registry.session import retry_policy

_CHUNK = 1 << 20


class RegistryClient:
    """A repository of a registry to read from.

    Every method raises :class:`ServiceError` when the registry cannot be reached, refuses, or keeps
    failing.

    Args:
        repository: where it is.
        insecure: speak plain http.

    Raises:
        InputError: the environment or Docker's configuration holds half a credential.
    """

    def __init__(self, repository: Repository, *, insecure: bool) -> None:
        self._provider = Provider(repository, insecure=insecure)
        self._host = repository.host
        self.insecure = insecure

    @property
    def has_credentials(self) -> bool:
        """Whether there is a user name and a password for this registry."""
        return self._provider.has_credentials

    @property
    def credentials(self) -> tuple[str, str] | None:
        """That user name and password, for another program that asks the same registry."""
        return self._provider.credentials

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not be shown of them, in any encoding."""
        return self._provider.secrets

    def connect(self) -> None:
        """Finds out whether a registry answers, and how it wants to be asked."""
        response = self._ask("greeting the registry", self._provider.root, "GET")
        if response.status_code == 404:
            raise ServiceError(
                "What answers there is no registry: it has no /v2/.",
                where=self._host,
                fix="check host and port",
            )
        if response.status_code != 200:
            raise self._refused(response, "greeting the registry")

    def has_blob(self, descriptor: Descriptor) -> bool:
        """Whether the repository holds a blob."""
        doing = f"looking for {descriptor.digest}"
        response = self._ask(doing, self._provider.url(f"blobs/{descriptor.digest}"), "HEAD")
        if response.status_code == 404:
            return False
        if response.status_code != 200:
            raise self._refused(response, doing)
        return True

    def manifest_digest(self, tag: str, media_type: str) -> str | None:
        """The digest of the manifest at a tag (or digest), or ``None`` when there is none of that type."""
        doing = f"looking for {tag}"
        response = self._ask(
            doing, self._provider.url(f"manifests/{tag}"), "HEAD", headers={"Accept": media_type}
        )
        if response.status_code == 404:
            return None
        if response.status_code != 200:
            raise self._refused(response, doing)
        digest = response.headers.get("Docker-Content-Digest")
        if digest is None:
            data = self.get_manifest(tag, media_type)
            return None if data is None else sha256_bytes(data)
        return digest

    def get_manifest(self, tag: str, media_type: str) -> bytes | None:
        """The bytes of the manifest at a tag (or digest), at most 4 MiB.

        Args:
            tag: the tag or digest.
            media_type: what is wanted; several with commas between them, the best first.
        """
        doing = f"reading {tag}"
        response = self._ask(
            doing, self._provider.url(f"manifests/{tag}"), "GET", headers={"Accept": media_type}
        )
        if response.status_code == 404:
            return None
        if response.status_code != 200:
            raise self._refused(response, doing)
        return response.content

    def referrers(self, digest: str) -> bytes | None:
        """The registry's own list of what refers to a manifest, or ``None`` when it keeps none."""
        response = self._ask(
            f"reading what refers to {digest}", self._provider.url(f"referrers/{digest}"), "GET"
        )
        return response.content if response.status_code == 200 else None

    def pull_blob(self, descriptor: Descriptor, to: Path, advance: Advance) -> None:
        """Fetches a blob into a file, which is there only when it is whole and is what its digest says.

        A download that breaks off is begun anew, as often as urllib3's policy lets it.

        Args:
            descriptor: the blob; no more than its size is read.
            to: the file.
            advance: is told of every piece, and of less than nothing when the download starts anew.

        Raises:
            GateError: what the registry sends has another size or digest.
            ServiceError: also when the disk is full.
        """
        retry = retry_policy()
        doing = f"fetching {descriptor.digest}"
        url = self._provider.url(f"blobs/{descriptor.digest}")
        while True:
            # Only what is read raises this: everything about asking is a ServiceError already.
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
        # What is counted and hashed are the bytes as they are stored, whatever a proxy would make of them.
        headers = {"Accept-Encoding": "identity"}
        with self._ask(doing, url, "GET", headers=headers, stream=True) as response:
            if response.status_code == 404:
                raise ServiceError(
                    "The registry holds a manifest, but not all that it names.",
                    where=f"{self._host}, while {doing}",
                    fix="push the artifact again",
                )
            if response.status_code != 200:
                raise self._refused(response, doing)
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
                f"The registry sends other bytes than the digest {descriptor.digest} stands for "
                f"({found} where {size} are announced).",
                where=f"{self._host}, while {doing}",
                fix="do not use them; push the artifact again, or ask who runs the registry",
            )

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
        return refusal(response, self._host, doing, self._provider.secrets)


def _read_piece(response: requests.Response) -> bytes:
    try:
        return response.raw.read(_CHUNK, decode_content=False)
    except (HTTPError, OSError) as error:
        raise requests.ConnectionError(error, request=response.request) from error
