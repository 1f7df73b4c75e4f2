"""``HOST[:PORT]/NAMESPACE/NAME:TAG``, to publish at, and ``HOST[:PORT]/PATH@sha256:...``, to read.

What is published every client has to be able to pull. Registries allow deeper paths and Ollama allows
capitals; the names are those that both take: Ollama wants exactly three parts of at most 80 characters
and no dot in the namespace (``types/model/name.go``), the OCI distribution specification wants lower
case. What is read may have any path of that specification.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Protocol

from starfreight.errors import InputError
from starfreight.quantization import Quantization

MAX_PART = 80
LONGEST_TAIL = max(len(f"-{quantization.tag}-oci") for quantization in Quantization)
"""What publishing adds to a tag at most."""

_HOST = re.compile(r"[a-zA-Z0-9]([a-zA-Z0-9.-]*[a-zA-Z0-9])?(:[0-9]{1,5})?")
_NAMESPACE = re.compile(r"[a-z0-9]+((_|__|-+)[a-z0-9]+)*")
_NAME = re.compile(r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*")
_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]*")
_SCHEME = re.compile(r"[a-z+]{2,20}://")
_REFERRERS_TAG = re.compile(r"sha256-[0-9a-f]{64}")

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")

_MAX_PATH = 255
"""Characters of a repository's whole path, with its host's: what registries take."""

_MAX_TAG = 128
"""Characters of a tag (OCI distribution specification)."""

_SHAPE = "write HOST/NAMESPACE/NAME:TAG, such as ghcr.io/acme/acme-coder:1.0"


class Repository(Protocol):
    """A repository of a registry, whatever is meant in it."""

    @property
    def host(self) -> str:
        """With the port, when there is one."""

    @property
    def repository(self) -> str:
        """The path, such as ``namespace/name``."""


@dataclass(frozen=True)
class DigestReference:
    """A manifest in a repository of a registry, by its digest, which cannot move."""

    host: str
    """With the port, when there is one."""
    repository: str
    """The path, such as ``namespace/name``."""
    digest: str

    def __str__(self) -> str:
        """As it is written in a recipe, after ``oci://``."""
        return f"{self.host}/{self.repository}@{self.digest}"


@dataclass(frozen=True)
class Reference:
    """A tag in a repository of a registry."""

    host: str
    """With the port, when there is one."""
    namespace: str
    name: str
    tag: str

    @property
    def repository(self) -> str:
        """The repository's path: ``namespace/name``."""
        return f"{self.namespace}/{self.name}"

    def with_tag(self, tag: str) -> Reference:
        """Another tag of the same repository."""
        return Reference(self.host, self.namespace, self.name, tag)

    def __str__(self) -> str:
        """As it is written on a command line."""
        return f"{self.host}/{self.repository}:{self.tag}"


@dataclass(frozen=True)
class TagReference:
    """A tag in a repository of any depth, which container engines take and Ollama does not."""

    host: str
    """With the port, when there is one."""
    repository: str
    """The path, such as ``namespace/name``."""
    tag: str

    def __str__(self) -> str:
        """As it is written on a command line."""
        return f"{self.host}/{self.repository}:{self.tag}"


def parse_reference(text: str) -> Reference:
    """Reads a reference.

    Raises:
        InputError: it has another shape, or a part that some client could not pull.
    """
    shown = text[:200]
    if _SCHEME.match(text):
        raise _wrong(shown, "starts with a scheme", "leave it out; plain http is asked for with --insecure")
    _check_no_password(text)
    if "@" in text:
        raise _wrong(shown, "names a digest", "write a tag: what is published gets its digest from its bytes")
    parts = text.split("/")
    if len(parts) != 3:
        raise _wrong(shown, f"has {len(parts)} parts between slashes, and Ollama can pull only three", _SHAPE)
    host, namespace, last = parts
    name, colon, tag = last.partition(":")
    if not colon:
        raise _wrong(shown, "has no tag", _SHAPE)
    _check_part(shown, "host", host, _HOST, "a host name or an IPv4 address, with a port when it needs one")
    _check_part(shown, "namespace", namespace, _NAMESPACE, "lower-case letters, digits, dashes, no dots")
    _check_part(shown, "name", name, _NAME, "lower-case letters, digits, dots, dashes")
    _check_part(shown, "tag", tag, _TAG, "letters, digits, dots, dashes, underscores")
    if len(tag) + LONGEST_TAIL > MAX_PART:
        raise _wrong(
            shown,
            f"has a tag of {len(tag)} characters",
            f"use at most {MAX_PART - LONGEST_TAIL}: a variant's tag adds up to {LONGEST_TAIL}, and Ollama "
            f"takes {MAX_PART}",
        )
    if tag.endswith("-oci") or _REFERRERS_TAG.fullmatch(tag):
        raise _wrong(shown, "has a tag of the kind that publishing makes itself", "choose another tag")
    _check_port(shown, host)
    return Reference(host, namespace, name, tag)


def parse_digest_reference(text: str) -> DigestReference:
    """Reads the address of something that is there already.

    Raises:
        InputError: it has another shape, such as a tag in place of the digest.
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
            f"{shape}; the digest of a tag is printed by: oras resolve HOST/NAMESPACE/NAME:TAG, or by: "
            "skopeo inspect --format '{{.Digest}}' docker://HOST/NAMESPACE/NAME:TAG",
        )
    if ":" in path:
        raise _wrong(shown, "has a tag and a digest", f"leave out the tag; {shape}")
    _check_part(shown, "host", host, _HOST, "a host name or an IPv4 address, with a port when it needs one")
    _check_path(shown, address, path, shape)
    if not _DIGEST.fullmatch(digest):
        raise _wrong(
            shown, f"has the digest {digest[:80]!r}", "write sha256: and 64 hex digits in lower case"
        )
    _check_port(shown, host)
    return DigestReference(host, path, digest)


def parse_tag_reference(text: str) -> TagReference:
    """Reads where a container image shall go.

    Raises:
        InputError: it has another shape, or no host: no registry is taken for granted.
    """
    shown = text[:200]
    shape = "write HOST/NAMESPACE/NAME:TAG, such as ghcr.io/acme/trainer:1.0"
    if _SCHEME.match(text):
        raise _wrong(shown, "starts with a scheme", "leave it out; plain http is asked for with --insecure")
    _check_no_password(text)
    if "@" in text:
        raise _wrong(shown, "names a digest", "write a tag: what is pushed gets its digest from its bytes")
    host, _, rest = text.partition("/")
    path, colon, tag = rest.rpartition(":")
    # As container engines tell a host from a namespace.
    if not rest or not ("." in host or ":" in host or host == "localhost"):
        raise _wrong(shown, "does not begin with a registry's host", shape)
    if not colon:
        raise _wrong(shown, "has no tag", shape)
    _check_part(shown, "host", host, _HOST, "a host name or an IPv4 address, with a port when it needs one")
    _check_path(shown, f"{host}/{path}", path, shape)
    _check_part(shown, "tag", tag, _TAG, "letters, digits, dots, dashes, underscores", _MAX_TAG)
    if _REFERRERS_TAG.fullmatch(tag):
        raise _wrong(shown, "has a tag of the kind that lists what refers to a digest", "choose another tag")
    _check_port(shown, host)
    return TagReference(host, path, tag)


def is_local(host: str) -> bool:
    """Whether a registry is on this machine, so that nobody else reads what is said to it."""
    name = host.partition(":")[0].lower()
    try:
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _check_no_password(text: str) -> None:
    if "@" in text.partition("/")[0]:
        raise _wrong("(not shown)", "holds a user name or a password", "leave it out, and use docker login")


def _check_port(text: str, host: str) -> None:
    port = host.partition(":")[2]
    if port and not 0 < int(port) < 65536:
        raise _wrong(text, f"has the port {port}", "choose one from 1 to 65535")


def _check_path(text: str, address: str, path: str, shape: str) -> None:
    # The length first: the patterns are for short texts.
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
