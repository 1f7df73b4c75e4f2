"""The media types that a package is made of, and where each is defined."""

from __future__ import annotations

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_EMPTY = "application/vnd.oci.empty.v1+json"
"""A config that says nothing: its bytes are ``{}`` (OCI image specification 1.1)."""
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
"""The one kind of manifest that Ollama accepts."""

MANIFESTS = (DOCKER_MANIFEST, OCI_MANIFEST)
"""The kinds of manifest that a package holds."""

GGUF = "application/octet-stream"
TEXT = "text/plain"
MARKDOWN = "text/markdown"
JSON = "application/json"
IN_TOTO = "application/vnd.in-toto+json"
"""An in-toto statement, as a layer and as an artifact type (in-toto attestation specification)."""
