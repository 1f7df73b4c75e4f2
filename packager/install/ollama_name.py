"""Names of models in Ollama: ``[[HOST/]NAMESPACE/]MODEL[:TAG]`` (``types/model/name.go``)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from starfreight.errors import InputError

_HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,349}")
_NAMESPACE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,79}")
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}")
_OLLAMA_OWN_TAG = re.compile(r"(?i)cloud|.*-cloud|local")

DEFAULT_HOST = "registry.ollama.ai"
DEFAULT_NAMESPACE = "library"


@dataclass(frozen=True)
class OllamaName:
    """A complete name."""

    host: str
    namespace: str
    model: str
    tag: str

    def __str__(self) -> str:
        """As people type it, without the default host and namespace."""
        short = f"{self.model}:{self.tag}"
        if self.host != DEFAULT_HOST:
            return f"{self.host}/{self.namespace}/{short}"
        return short if self.namespace == DEFAULT_NAMESPACE else f"{self.namespace}/{short}"


def parse_ollama_name(text: str) -> OllamaName:
    """Parse a name.

    Raises:
        InputError: Ollama accepts no such name, or treats its tag as its own.
    """
    path, colon, tag = text.rpartition(":")
    if not colon or "/" in tag:
        path, tag = text, "latest"
    parts = path.split("/")
    if len(parts) > 3:
        raise _wrong(text, f"has {len(parts)} parts between slashes; Ollama allows three")
    host, namespace, model = [DEFAULT_HOST, DEFAULT_NAMESPACE, ""][: 3 - len(parts)] + parts
    for value, pattern, part in (
        (host, _HOST, "host"), (namespace, _NAMESPACE, "namespace"), (model, _PART, "model"),
        (tag, _PART, "tag"),
    ):  # fmt: skip
        if not pattern.fullmatch(value) or ".." in value:
            raise _wrong(text, f"has the {part} {value[:100]!r}")
    if _OLLAMA_OWN_TAG.fullmatch(tag):
        raise _wrong(text, f"has the tag {tag!r}, which Ollama takes for its own cloud or latest model")
    return OllamaName(host, namespace, model, tag)


def _wrong(text: str, what: str) -> InputError:
    return InputError(
        f"The model name {what}.",
        where=repr(text[:200]),
        fix="choose a name such as acme-coder:1.0 with --name",
    )
