"""References: ``HOST[:PORT]/NAMESPACE/NAME:TAG`` to publish, ``HOST[:PORT]/PATH@sha256:...`` to read.

Every client must be able to pull a published package. Registries allow deeper paths and Ollama allows
capitals; accepted here is the intersection. Ollama requires exactly three parts of at most 80 characters
and no dot in the namespace (``types/model/name.go``), the OCI distribution specification lower case.
For reading, any path valid in the specification is accepted.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, replace
from typing import Protocol, Self

from starfreight.console import human_count
from starfreight.errors import InputError
from starfreight.quantization import Quantization

MAX_PART = 80
SUFFIXES = ("-oci", "-docker")
"""Ends of the tags of formats other than Ollama's."""

LONGEST_TAIL = max(len(f"-{quantization.tag}-docker") for quantization in Quantization)
"""Length of the longest suffix added to a tag by publishing."""

_HOST = re.compile(r"[a-zA-Z0-9]([a-zA-Z0-9.-]*[a-zA-Z0-9])?(:[0-9]{1,5})?")
_NAMESPACE = re.compile(r"[a-z0-9]+((_|__|-+)[a-z0-9]+)*")
_NAME = re.compile(r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*")
_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]*")
_SCHEME = re.compile(r"[a-z+]{2,20}://")
_REFERRERS_TAG = re.compile(r"sha256-[0-9a-f]{64}")

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")

_MAX_PATH = 255
"""Maximum length of host and path accepted by registries."""

_MAX_TAG = 128
"""Maximum length of a tag (OCI distribution specification)."""

_OLLAMA_OWN_TAG = re.compile(r"(?i)cloud|.*-cloud|local")
"""Ollama sends the prompts of a model at ``cloud`` or ``...-cloud`` to its cloud service, although the model
is on this machine, and reads ``latest`` in place of ``local``. It ignores case (seen in 0.33)."""

_HOST_RULE = "a host name or an IPv4 address, with a port if needed"
_TAG_RULE = "letters, digits, dots, dashes, underscores"
_SHAPE = "write HOST/NAMESPACE/NAME:TAG, such as ghcr.io/acme/acme-coder:1.0"


class RepositoryReference(Protocol):
    """Any reference to something in a repository."""

    @property
    def host(self) -> str:
        """Host, with the port if there is one."""

    @property
    def repository(self) -> str:
        """Path, such as ``namespace/name``."""


@dataclass(frozen=True)
class DigestReference:
    """Reference by digest to a manifest; it cannot move."""

    host: str
    """With the port if there is one."""
    repository: str
    """Path, such as ``namespace/name``."""
    digest: str

    def __str__(self) -> str:
        """As written in a recipe, after ``oci://``."""
        return f"{self.host}/{self.repository}@{self.digest}"


@dataclass(frozen=True)
class TagReference:
    """Reference to a tag in a repository of any depth: fine for container engines, not for Ollama."""

    host: str
    """With the port if there is one."""
    repository: str
    """Path, such as ``namespace/name``."""
    tag: str

    def with_tag(self, tag: str) -> Self:
        """The same repository with another tag."""
        return replace(self, tag=tag)

    def __str__(self) -> str:
        """As written on a command line."""
        return f"{self.host}/{self.repository}:{self.tag}"


@dataclass(frozen=True)
class Reference(TagReference):
    """Reference to a tag every client can pull; the repository is ``namespace/name``."""


def parse_reference(text: str) -> Reference:
    """Parse the address to publish a package at.

    Raises:
        InputError: malformed, or some client could not pull from there.
    """
    shown = text[:200]
    _check_tag_only(text)
    parts = text.split("/")
    if len(parts) != 3:
        count = human_count(len(parts), "parts")
        raise _wrong(shown, f"has {count} between slashes; Ollama requires three", _SHAPE)
    host, namespace, last = parts
    name, colon, tag = last.partition(":")
    if not colon:
        raise _wrong(shown, "has no tag", _SHAPE)
    _check_part(shown, "host", host, _HOST, _HOST_RULE)
    _check_part(shown, "namespace", namespace, _NAMESPACE, "lower-case letters, digits, dashes, no dots")
    _check_part(shown, "name", name, _NAME, "lower-case letters, digits, dots, dashes")
    _check_part(shown, "tag", tag, _TAG, _TAG_RULE)
    _check_publishing_tag(shown, tag, MAX_PART, "Ollama's")
    _check_port(shown, host)
    return Reference(host, f"{namespace}/{name}", tag)


def parse_destination(text: str) -> TagReference:
    """Parse the address to publish a package at, which Ollama cannot always pull.

    Registries such as Artifact Registry, ECR, GitLab and Artifactory have repositories of any depth.

    Returns:
        A :class:`Reference` if every client can pull it. Otherwise Ollama cannot: see
        :func:`ollama_objection`.

    Raises:
        InputError: malformed, or without a host.
    """
    shown = text[:200]
    if text.count("/") == 2:
        try:
            return parse_reference(text)
        except InputError as error:
            try:
                target = parse_tag_reference(text)
            except InputError:
                raise error from None  # It is about the same fault, and knows more of the rules.
    else:
        target = parse_tag_reference(text)
    _check_publishing_tag(shown, target.tag, _MAX_TAG, "the")
    if ollama_objection(target) is None:
        return parse_reference(text)
    return target


def ollama_objection(reference: TagReference) -> str | None:
    """Why Ollama cannot pull from a repository: completes "because ..."; ``None`` if it can."""
    parts = reference.repository.split("/")
    if len(parts) != 2:
        depth = "more" if len(parts) > 2 else "fewer"
        return f"the path has {depth} than two parts: Ollama pulls HOST/NAMESPACE/NAME:TAG only"
    if not _NAMESPACE.fullmatch(parts[0]):
        return f"the namespace {parts[0]} has a dot, which Ollama does not allow there"
    if longest := next((part for part in parts if len(part) > MAX_PART), None):
        return f"{longest[:20]}... has {len(longest)} characters, and Ollama allows {MAX_PART}"
    return None


def parse_digest_reference(text: str) -> DigestReference:
    """Parse the address of an existing artifact.

    Raises:
        InputError: malformed, for example with a tag in place of the digest.
    """
    shown = text[:200]
    _check_no_password(text)
    address, at, digest = text.partition("@")
    host, slash, path = address.partition("/")
    shape = "write HOST/NAMESPACE/NAME@sha256:..."
    if not slash or not path:
        raise _wrong(shown, "has no host or no path", shape)
    if not at:
        raise _wrong(
            shown,
            "has no digest, and a tag can move",
            f"{shape}; to get the digest of a tag, run oras resolve HOST/NAMESPACE/NAME:TAG, or "
            "skopeo inspect --format '{{.Digest}}' docker://HOST/NAMESPACE/NAME:TAG",
        )
    if ":" in path:
        raise _wrong(shown, "has a tag and a digest", f"omit the tag; {shape}")
    _check_part(shown, "host", host, _HOST, _HOST_RULE)
    _check_path(shown, address, path, shape)
    if not _DIGEST.fullmatch(digest):
        raise _wrong(
            shown, f"has the digest {digest[:80]!r}", "write sha256: and 64 hex digits in lower case"
        )
    _check_port(shown, host)
    return DigestReference(host, path, digest)


def parse_tag_reference(text: str) -> TagReference:
    """Parse the address to push a container image to.

    Raises:
        InputError: malformed, or without a host: there is no default registry.
    """
    shown = text[:200]
    shape = "write HOST/NAMESPACE/NAME:TAG, such as ghcr.io/acme/trainer:1.0"
    _check_tag_only(text)
    host, _, rest = text.partition("/")
    path, colon, tag = rest.rpartition(":")
    # Container engines tell a host from a namespace by the same rule.
    if not rest or not ("." in host or ":" in host or host == "localhost"):
        raise _wrong(shown, "does not begin with a registry's host", shape)
    if not colon:
        raise _wrong(shown, "has no tag", shape)
    _check_part(shown, "host", host, _HOST, _HOST_RULE)
    _check_path(shown, f"{host}/{path}", path, shape)
    _check_part(shown, "tag", tag, _TAG, _TAG_RULE, _MAX_TAG)
    if _REFERRERS_TAG.fullmatch(tag):
        raise _wrong(shown, "has a tag reserved for lists of referrers", "choose another tag")
    _check_port(shown, host)
    return TagReference(host, path, tag)


def _check_publishing_tag(shown: str, tag: str, limit: int, whose: str) -> None:
    """Refuse tags that publishing cannot use, or that are dangerous in Ollama."""
    if len(tag) + LONGEST_TAIL > limit:
        raise _wrong(
            shown,
            f"has a tag of {len(tag)} characters",
            f"use at most {limit - LONGEST_TAIL}: a variant's tag adds up to {LONGEST_TAIL}, and {whose} "
            f"limit is {limit}",
        )
    if tag.endswith(SUFFIXES) or _REFERRERS_TAG.fullmatch(tag):
        raise _wrong(shown, "has a tag reserved for publishing", "choose another tag")
    if _OLLAMA_OWN_TAG.fullmatch(tag):
        raise _wrong(
            shown,
            f"has the tag {tag}, to which Ollama gives a meaning of its own",
            "choose another tag: Ollama sends the prompts of models at cloud and ...-cloud to its cloud "
            "service, and reads latest for local",
        )


def is_local(host: str) -> bool:
    """True if a registry is on this machine, so its traffic never leaves it."""
    name = host.partition(":")[0].lower()
    try:
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _check_tag_only(text: str) -> None:
    shown = text[:200]
    if _SCHEME.match(text):
        raise _wrong(shown, "starts with a scheme", "omit it; for plain http, add --insecure")
    _check_no_password(text)
    if "@" in text:
        raise _wrong(shown, "names a digest", "write a tag: the digest follows from the pushed bytes")


def _check_no_password(text: str) -> None:
    if "@" in text.partition("/")[0]:
        raise _wrong("(not shown)", "contains a user name or a password", "omit it, and use docker login")


def _check_port(text: str, host: str) -> None:
    port = host.partition(":")[2]
    if port and (port.startswith("0") or int(port) > 65535):
        raise _wrong(text, f"has the port {port}", "choose one from 1 to 65535, without leading zeros")


def _check_path(text: str, address: str, path: str, shape: str) -> None:
    # Check the length first: the patterns are for short texts.
    if len(address) > _MAX_PATH:
        raise _wrong(text, f"has {len(address)} characters of host and path", f"use at most {_MAX_PATH}")
    for part in path.split("/"):
        if not _NAME.fullmatch(part):
            raise _wrong(
                text, f"has the part {part!r}", f"use lower-case letters, digits, dots, dashes; {shape}"
            )


def _check_part(
    text: str, part: str, value: str, pattern: re.Pattern[str], rule: str, most: int = MAX_PART
) -> None:
    if len(value) > most:
        raise _wrong(text, f"has a {part} of {len(value)} characters", f"use at most {most}")
    if not pattern.fullmatch(value):
        raise _wrong(text, f"has the {part} {value!r}", f"use {rule}; {_SHAPE}")


def _wrong(text: str, what: str, fix: str) -> InputError:
    return InputError(f"The reference {what}.", where=repr(text), fix=fix)
