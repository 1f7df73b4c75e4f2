"""Read requests of the OCI distribution API.

Specification: https://github.com/opencontainers/distribution-spec (1.1).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import requests

from starfreight.errors import GateError, ServiceError
from starfreight.files import sha256_bytes
from starfreight.package import Descriptor
from starfreight.registry.failures import refusal, unreachable
from starfreight.registry.provider import Provider
from starfreight.registry.reference import RepositoryReference
from starfreight.registry.tag_list import MAX_TAGS, PAGE, REFUSALS, names_in, next_page

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_MOST_PAGES = 20
"""Pages of a list of referrers that are read."""
_BUSY = (429, 502, 503, 504)
"""Answers, after retries, that do not mean that a registry keeps no list."""


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
    def host(self) -> str:
        """The registry, as the user wrote it."""
        return self._host

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
        _refuse_page(response, self._host, "connecting")

    def has_blob(self, descriptor: Descriptor) -> bool:
        """True if the repository holds the blob in its whole length.

        A registry whose disk was full may hold a part of it. False also if the length is unknown.
        """
        return self.stored_size(descriptor) == descriptor.size

    def stored_size(self, descriptor: Descriptor) -> int | None:
        """Bytes of a blob that the registry holds, ``None`` if it holds none or names no length."""
        doing = f"looking for {descriptor.digest}"
        path = f"blobs/{descriptor.digest}"
        response = self._ask(doing, self._provider.url(path), "HEAD")
        if response.status_code == 404:
            return None
        if response.status_code == 200 and (size := _length(response)) is not None:
            return size
        # A proxy left out the length, or does not allow HEAD. A storage redirected to takes GET alone, if the
        # registry signed the address for it.
        if response.status_code not in (200, 400, 405, 501) and not response.history:
            raise self._refused(response, doing)
        with self._ask(
            doing, self._provider.url(path), "GET", headers={"Range": "bytes=0-0"}, stream=True
        ) as answer:
            if answer.status_code == 206:
                return _number(answer.headers.get("Content-Range", "").rpartition("/")[2])
            if answer.status_code == 416:  # Nothing to take a byte from.
                return 0
            if answer.status_code == 404:
                return None
            if answer.status_code != 200:
                raise self._refused(answer, doing)
            return _length(answer)

    def manifest_digest(self, tag: str, media_type: str) -> str | None:
        """Digest of the manifest at a tag (or digest), ``None`` if there is none of that media type."""
        doing = f"looking for {tag}"
        headers = {"Accept": media_type}
        response = self._ask(doing, self._provider.url(f"manifests/{tag}"), "HEAD", headers=headers)
        if response.status_code == 404:
            return None
        digest = response.headers.get("Docker-Content-Digest", "")
        if response.status_code == 200 and _DIGEST.fullmatch(digest):
            return digest
        if response.status_code not in (200, 400, 405, 501):
            raise self._refused(response, doing)
        data = self.get_manifest(tag, media_type)
        return None if data is None else sha256_bytes(data)

    def get_manifest(self, tag: str, media_type: str) -> bytes | None:
        """Bytes of the manifest at a tag (or digest), at most 4 MiB; ``None`` if there is none.

        Args:
            tag: the tag or digest.
            media_type: accepted media types, separated by commas, preferred first.

        Raises:
            GateError: the bytes have another digest than requested.
        """
        doing = f"reading {tag}"
        response = self._find(doing, "GET", f"manifests/{tag}", media_type)
        if response is None:
            return None
        _refuse_page(response, self._host, doing)
        if _DIGEST.fullmatch(tag) and sha256_bytes(response.content) != tag:
            raise GateError(
                "The registry sent a manifest that does not match the digest.",
                where=f"{self._host}, while {doing}",
                fix="do not use it; ask the registry's administrator",
            )
        return response.content

    def referrers(self, digest: str) -> tuple[bytes, ...]:
        """The pages of the registry's list of referrers of a manifest; none if it does not keep one.

        Raises:
            ServiceError: the list breaks off, or the registry is too busy: a withdrawal could be in the rest.
        """
        doing = f"reading the referrers of {digest}"
        url: str | None = self._provider.url(f"referrers/{digest}")
        pages: list[bytes] = []
        while url is not None and len(pages) < _MOST_PAGES:
            response = self._ask(doing, url, "GET")
            if response.status_code != 200:
                if pages or response.status_code in _BUSY:
                    raise self._refused(response, doing)
                break
            pages.append(response.content)
            url = next_page(response, url)
        return tuple(pages)

    def tags(self) -> tuple[str, ...] | None:
        """The repository's tags in the registry's order; ``None`` if it does not list them for us.

        Raises:
            ServiceError: unreachable, or an answer that is not a list of tags.
        """
        url: str | None = self._provider.url(f"tags/list?n={PAGE}")
        found: dict[str, None] = {}
        for _ in range(MAX_TAGS // PAGE + 1):
            if url is None:
                break
            response = self._ask("listing tags", url, "GET")
            if response.status_code in (400, 422) and not found and "?" in url:
                url = self._provider.url("tags/list")  # Some registries refuse large pages.
                continue
            if response.status_code in REFUSALS:
                return None
            if response.status_code != 200:
                raise self._refused(response, "listing tags")
            found |= dict.fromkeys(names_in(response.content, self._host))
            url = next_page(response, url)
        return tuple(found)

    def open_blob(self, descriptor: Descriptor, headers: Mapping[str, str]) -> requests.Response:
        """Request a blob; the caller reads and closes the answer.

        Args:
            descriptor: the blob.
            headers: further headers, such as ``Range``.

        Returns:
            An answer with status 200, with ``Range`` also with 206 or 416.
        """
        doing = f"fetching {descriptor.digest}"
        url = self._provider.url(f"blobs/{descriptor.digest}")
        # Count and hash the bytes as stored: no proxy may compress them.
        sent = {"Accept-Encoding": "identity", **headers}
        response = self._ask(doing, url, "GET", headers=sent, stream=True)
        if response.status_code == 404:
            raise ServiceError(
                "The registry holds the manifest, but not all of its blobs.",
                where=f"{self._host}, while {doing}",
                fix="push the artifact again",
            )
        if response.status_code not in ((200, 206, 416) if "Range" in headers else (200,)):
            raise self._refused(response, doing)
        return response

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
        reads: str | None = None,
    ) -> requests.Response:
        try:
            return self._provider.do_request(
                url, method, data=data, headers=headers, stream=stream, reads=reads
            )
        except requests.RequestException as error:
            raise unreachable(error, self._host, doing, insecure=self.insecure) from error

    def _refused(self, response: requests.Response, doing: str) -> ServiceError:
        return refusal(
            response,
            self._host,
            doing,
            self._provider.secrets,
            destination=self._destination,
            has_credentials=self.has_credentials,
        )


def _length(response: requests.Response) -> int | None:
    """Length of a blob by its headers; ``None`` if missing or that of an encoding."""
    if response.headers.get("Content-Encoding", "identity").lower() != "identity":
        return None
    return _number(response.headers.get("Content-Length", ""))


def _number(text: str) -> int | None:
    return int(text) if re.fullmatch(r"[0-9]{1,18}", text) else None


def _refuse_page(response: requests.Response, host: str, doing: str) -> None:
    """Refuse a page of a web server, proxy or sign-in portal in place of an answer."""
    if response.content.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"<":
        raise ServiceError(
            "The server answers with a web page instead of a registry's data.",
            where=f"{host}, while {doing}",
            fix="check host and port, and that no proxy or sign-in page answers in the registry's place",
        )
