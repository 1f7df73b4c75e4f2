"""Tags of a repository, and those that belong to one release: ``1.0``, ``1.0-oci``, ``1.0-q8_0-docker``."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING

from starfreight.errors import InputError
from starfreight.quantization import Quantization
from starfreight.registry.reference import SUFFIXES, TagReference, parse_tag_reference

if TYPE_CHECKING:
    from starfreight.registry.client import RegistryClient

_EVIDENCE_TAG = re.compile(r"sha256-[0-9a-f]{64}(\.(sig|att|sbom))?")


def is_evidence_tag(tag: str) -> bool:
    """True for the tags under which registries without referrers, and cosign, keep evidence."""
    return _EVIDENCE_TAG.fullmatch(tag) is not None


def release_tags(client: RegistryClient, tag: str, listed: tuple[str, ...] | None) -> tuple[str, ...]:
    """The tags of a release that exist, the plain one last.

    Args:
        client: the repository.
        tag: the release's plain tag, such as ``1.0``.
        listed: the repository's tags; ``None`` if the registry does not list them, so that each is tried.
    """
    possible = candidates(tag)
    if listed is None:
        from starfreight.packager.registry.remote_manifest import ACCEPT

        return tuple(each for each in possible if client.manifest_digest(each, ACCEPT) is not None)
    there = frozenset(listed)
    return tuple(each for each in possible if each in there)


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


def missing_tag(reference: TagReference, *, insecure: bool) -> InputError:
    """The error for a tag that does not exist."""
    option = "--insecure " if insecure else ""
    return InputError(
        "The registry has no such tag, or does not show it to you.",
        where=str(reference),
        fix=f"see its tags: starfreight package list {option}{reference.host}/{reference.repository}",
    )
