"""The media types in a package."""

from __future__ import annotations

from starfreight.registry.media_types import DOCKER_MANIFEST, OCI_MANIFEST

MANIFESTS = (DOCKER_MANIFEST, OCI_MANIFEST)
"""The kinds of manifest in a package."""

GGUF = "application/octet-stream"
TEXT = "text/plain"
MARKDOWN = "text/markdown"
JSON = "application/json"
IN_TOTO = "application/vnd.in-toto+json"
"""An in-toto statement, as a layer and as an artifact type (in-toto attestation specification)."""
