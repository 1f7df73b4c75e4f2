"""The media types in a package."""

from __future__ import annotations

from starfreight.registry.media_types import DOCKER_MANIFEST, IN_TOTO, OCI_MANIFEST

__all__ = ["BOM", "DATA_LIST", "DATA_MANIFEST", "GGUF", "IN_TOTO", "JSON", "MANIFESTS", "MARKDOWN", "TEXT"]

MANIFESTS = (DOCKER_MANIFEST, OCI_MANIFEST)
"""The kinds of manifest in a package."""

GGUF = "application/octet-stream"
TEXT = "text/plain"
MARKDOWN = "text/markdown"
JSON = "application/json"
BOM = "application/vnd.cyclonedx+json"
"""A software bill of materials, as a blob and as an artifact type."""
DATA_MANIFEST = "application/vnd.starfreight.data-manifest.v2+json"
DATA_LIST = "application/vnd.starfreight.data-list.v2+jsonl"
"""Samples used, or left out, one JSON object per line."""
