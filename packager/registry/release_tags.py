"""Tags of a repository, and those that belong to one release: ``1.0``, ``1.0-oci``, ``1.0-q8_0-docker``."""

from __future__ import annotations

import itertools
import re
from typing import Protocol
from urllib.parse import urljoin

from starfreight.errors import InputError, ServiceError
from starfreight.quantization import Quantization
from starfreight.registry.client import RegistryClient
from starfreight.registry.origins import origin_of
from starfreight.registry.reference import SUFFIXES, TagReference, parse_tag_reference
from starfreight.strict_json import strict_loads

MAX_TAGS = 100_000
_PAGE = 1000
_LINK = re.compile(r'\s*<([^>]{1,2000})>\s*;\s*rel="?next"?\s*')
_EVIDENCE_TAG = re.compile(r"sha256-[0-9a-f]{64}(\.(sig|att|sbom))?")
_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}")
_REFUSALS = (401, 403, 404, 405)


class ListingClient(RegistryClient):
    """Read access to one repository, with its list of tags."""

    def tags(self) -> tuple[str, ...] | None:
        """The tags in the registry's order; ``None`` if the registry does not list them for us.

        Raises:
            ServiceError: unreachable, or an answer that is not a list of tags.
        """
        url = self._provider.url(f"tags/list?n={_PAGE}")
        found: dict[str, None] = {}
        for _ in range(MAX_TAGS // _PAGE + 1):
            response = self._ask("listing tags", url, "GET")
            if response.status_code in _REFUSALS:
                return None
            if response.status_code != 200:
                raise self._refused(response, "listing tags")
            found |= dict.fromkeys(_names(response.content, self._host))
            following = _LINK.match(response.headers.get("Link", ""))
            if following is None:
                break
            target = urljoin(url, following[1])
            if origin_of(target) != origin_of(url) or target == url:
                break  # Another server's list, or a list without an end.
            url = target
        return tuple(found)


class TagReader(Protocol):
    """A client of one repository that reads its tags."""

    def tags(self) -> tuple[str, ...] | None:
        """The tags; ``None`` if the registry does not list them for us."""
        ...

    def manifest_digest(self, tag: str, media_type: str) -> str | None:
        """Digest of the manifest at a tag, ``None`` if there is none."""
        ...


def is_evidence_tag(tag: str) -> bool:
    """True for the tags under which registries without referrers, and cosign, keep evidence."""
    return _EVIDENCE_TAG.fullmatch(tag) is not None


def release_tags(client: TagReader, tag: str) -> tuple[str, ...]:
    """The tags of a release that exist, the plain one last.

    Args:
        client: the repository.
        tag: the release's plain tag, such as ``1.0``.
    """
    possible = candidates(tag)
    listed = client.tags()
    if listed is None:
        from starfreight.packager.registry.remote_manifest import ACCEPT

        return tuple(each for each in possible if client.manifest_digest(each, ACCEPT) is not None)
    return tuple(each for each in possible if each in set(listed))


def candidates(tag: str) -> tuple[str, ...]:
    """Every tag that publishing a release can set, the plain one last."""
    variants = [f"{tag}-{quantization.tag}" for quantization in Quantization] + [tag]
    return tuple(
        variant + suffix for variant, suffix in itertools.product(variants, (*reversed(SUFFIXES), ""))
    )


def parse_repository(text: str) -> TagReference:
    """Parse ``HOST/PATH``; the tag of the result is ``latest`` and without meaning.

    Raises:
        InputError: malformed, or with a tag.
    """
    if ":" in text.rpartition("/")[2]:
        raise InputError(
            "The repository has a tag.",
            where=repr(text[:200]),
            fix=f"omit it: {text.rpartition(':')[0][:200]}",
        )
    return parse_tag_reference(f"{text}:latest")


def missing_tag(reference: TagReference) -> InputError:
    """The error for a tag that does not exist."""
    return InputError(
        "The registry has no such tag, or does not show it to you.",
        where=str(reference),
        fix=f"see its tags: starfreight package list {reference.host}/{reference.repository}",
    )


def _names(data: bytes, host: str) -> list[str]:
    try:
        names = strict_loads(data)["tags"] or []
        if len(names) > MAX_TAGS or not all(isinstance(name, str) and _TAG.fullmatch(name) for name in names):
            raise ValueError
        return list(names)
    except (ValueError, KeyError, TypeError):
        raise ServiceError(
            "The registry's list of tags is malformed.",
            where=host,
            fix="check that the address belongs to a registry",
        ) from None
