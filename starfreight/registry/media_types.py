"""Media types of manifests and indexes."""

from __future__ import annotations

OCI_EMPTY = "application/vnd.oci.empty.v1+json"
"""Empty config: its bytes are ``{}`` (OCI image specification 1.1)."""

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
"""Docker manifest, the only type accepted by Ollama."""

IN_TOTO = "application/vnd.in-toto+json"
"""An in-toto statement, as a layer and as an artifact type (in-toto attestation specification)."""
