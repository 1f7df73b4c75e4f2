"""``HOST[:PORT]/NAMESPACE/NAME:TAG``, as every client that a package is for can pull it.

Registries allow deeper paths and Ollama allows capitals; the names here are those that both take:
Ollama wants exactly three parts of at most 80 characters and no dot in the namespace
(``types/model/name.go``), the OCI distribution specification wants lower case.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

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

_SHAPE = "write HOST/NAMESPACE/NAME:TAG, such as ghcr.io/acme/acme-coder:1.0"


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


def parse_reference(text: str) -> Reference:
    """Reads a reference.

    Raises:
        InputError: it has another shape, or a part that some client could not pull.
    """
    shown = text[:200]
    if _SCHEME.match(text):
        raise _wrong(shown, "starts with a scheme", "leave it out; plain http is asked for with --insecure")
    if "@" in text.partition("/")[0]:
        raise _wrong("(not shown)", "holds a user name or a password", "leave it out, and use docker login")
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
    port = host.partition(":")[2]
    if port and not 0 < int(port) < 65536:
        raise _wrong(shown, f"has the port {port}", "choose one from 1 to 65535")
    return Reference(host, namespace, name, tag)


def _check_part(text: str, part: str, value: str, pattern: re.Pattern[str], rule: str) -> None:
    # The length first: the patterns are for short texts.
    if len(value) > MAX_PART:
        raise _wrong(text, f"has a {part} of {len(value)} characters", f"use at most {MAX_PART}")
    if not pattern.fullmatch(value):
        raise _wrong(text, f"has the {part} {value!r}", f"use {rule}; {_SHAPE}")


def _wrong(text: str, what: str, fix: str) -> InputError:
    return InputError(f"The reference {what}.", where=repr(text), fix=fix)
