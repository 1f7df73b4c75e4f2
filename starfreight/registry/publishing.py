"""Write requests of the OCI distribution API, used for publishing.

Specification: https://github.com/opencontainers/distribution-spec (1.1). Blobs are uploaded as
:mod:`starfreight.registry.blob_upload` describes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import requests

from starfreight.errors import ServiceError
from starfreight.files import sha256_bytes
from starfreight.registry.blob_upload import BlobSource as BlobSource
from starfreight.registry.blob_upload import BlobUploadClient
from starfreight.registry.media_types import OCI_INDEX
from starfreight.registry.tag_list import next_page

TRIES = 3
"""Attempts to send or read a manifest whose bytes are damaged on their way."""

_ACCEPTED = (200, 201, 202)
"""Answers to a manifest; the specification has 201 alone. What was written is read again in the end."""

_MOST_PAGES = 20
"""Pages of a list that are read."""


class ManifestRefused(ServiceError):
    """The registry refused a manifest.

    Attributes:
        status: of its answer.
    """

    status = 0


class PublishingClient(BlobUploadClient):
    """Read and write access to one repository. Arguments and errors as for :class:`RegistryClient`.

    Credentials of the environment are meant for it, unless ``STARFREIGHT_REGISTRY_HOST`` names another host.
    """

    def put_manifest(self, tag: str, media_type: str, data: bytes) -> str | None:
        """Store a manifest at a tag (or digest).

        Returns:
            the acknowledged ``OCI-Subject``, if the registry lists referrers itself.

        Raises:
            ManifestRefused: the registry does not accept it.
        """
        doing = f"writing {tag}"
        wanted = sha256_bytes(data)
        for left in reversed(range(TRIES)):
            response = self._ask(
                doing,
                self._provider.url(f"manifests/{tag}"),
                "PUT",
                data=data,
                headers={"Content-Type": media_type},
            )
            stored = response.headers.get("Docker-Content-Digest", wanted) == wanted
            if response.status_code in _ACCEPTED and stored:
                return response.headers.get("OCI-Subject")
            if left and (stored is False or _is_damaged(response)):
                continue  # On its way, perhaps.
            if response.status_code not in _ACCEPTED:
                refusal = self._refused(response, doing)
                error = ManifestRefused(refusal.what, where=refusal.where, fix=refusal.fix)
                error.status = response.status_code
                raise error
        raise ServiceError(
            "The registry stored the manifest under another digest than that of its bytes.",
            where=f"{self._host}, at {tag}",
            fix="use a registry without changes to manifests",
        )

    def read_manifest(self, tag: str, media_type: str) -> bytes | None:
        """As :meth:`get_manifest`; read again if the bytes do not have the digest that the registry names."""
        for _ in range(TRIES):
            response = self._find(f"reading {tag}", "GET", f"manifests/{tag}", media_type)
            if response is None:
                return None
            digest = response.headers.get("Docker-Content-Digest")
            if digest is None or digest == sha256_bytes(response.content):
                return response.content
        raise ServiceError(
            "The registry sends a manifest with another digest than it names.",
            where=f"{self._host}, at {tag}",
            fix="run the same command again; if it stays so, the registry or a proxy changes manifests",
        )

    def delete_manifest(self, reference: str) -> bool:
        """Delete a tag, or a manifest by its digest; returns False if the registry does not do that."""
        doing = f"deleting {reference}"
        response = self._ask(doing, self._provider.url(f"manifests/{reference}"), "DELETE")
        if response.status_code in (200, 202, 404):
            return True
        if response.status_code in (400, 405, 415, 501):
            return False
        raise self._refused(response, doing)

    def listed_referrers(self, digest: str) -> frozenset[str] | None:
        """The digests in the registry's own list of a manifest's referrers.

        Returns:
            ``None`` if it keeps none: some answer with an empty list everywhere, or with a page for people.
        """
        found: set[str] = set()
        for page in self._pages(
            f"reading the referrers of {digest}", self._provider.url(f"referrers/{digest}")
        ):
            entries = page.get("manifests")
            if page.get("mediaType", OCI_INDEX) != OCI_INDEX or not isinstance(entries, list):
                return None
            found |= {str(each.get("digest")) for each in entries if isinstance(each, dict)}
        return frozenset(found) or None

    def _pages(self, doing: str, url: str) -> Iterator[dict[str, Any]]:
        """The JSON objects of a list in pages. It ends at the first answer that is none."""
        for _ in range(_MOST_PAGES):
            response = self._ask(doing, url, "GET", headers={"Accept": f"{OCI_INDEX}, application/json"})
            try:
                page = json.loads(response.content) if response.status_code == 200 else None
            except (ValueError, RecursionError):
                page = None
            if not isinstance(page, dict):
                return
            yield page
            following = next_page(response, url)
            if following is None:
                return
            url = following


def _is_damaged(response: requests.Response) -> bool:
    """True if a registry complains of a manifest's bytes, which were right when they left."""
    return response.status_code == 400 and any(
        code in response.content
        for code in (b"DIGEST_INVALID", b"MANIFEST_INVALID", b"MANIFEST_UNVERIFIED", b"BLOB_UNKNOWN")
    )
