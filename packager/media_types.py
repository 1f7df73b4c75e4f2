"""The media types in a package."""

from __future__ import annotations

from starfreight.registry.media_types import DOCKER_MANIFEST, IN_TOTO, OCI_MANIFEST

__all__ = ["GGUF", "IN_TOTO", "JSON", "MANIFESTS", "MARKDOWN", "TEXT"]

MANIFESTS = (DOCKER_MANIFEST, OCI_MANIFEST)
"""The kinds of manifest in a package."""

GGUF = "application/octet-stream"
TEXT = "text/plain"
MARKDOWN = "text/markdown"
JSON = "application/json"
