"""Labels of a job's image, read from its registry before the job is submitted.

This machine may have no access to the registry: then nothing is known, and the pod's own program refuses a
kind of job that the image lacks.
"""

from __future__ import annotations

import json
import socket
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.request import getproxies

from starfreight.console import no_progress
from starfreight.errors import StarfreightError
from starfreight.files import read_limited
from starfreight.jobs.backends.image_kinds import check_image_labels
from starfreight.jobs.kinds.interface import JobKind

_PATIENCE = 15.0
"""Seconds after which the registry counts as out of reach."""
_CONNECT = 3.0
"""Seconds for the first connection."""
_LARGEST = 4 << 20
"""Largest configuration of an image that is read, in bytes."""


def check_image(reference: str, kind: JobKind) -> bool:
    """Checks that a kind of job can run in an image.

    Args:
        reference: of the image, with its digest.
        kind: of the job.

    Returns:
        false if the image cannot be read from here.

    Raises:
        InputError: the image lacks the kind of job.
    """
    labels = read_labels(reference)
    if labels is None:
        return False
    check_image_labels(labels, kind, reference)
    return True


def read_labels(reference: str) -> Mapping[str, str] | None:
    """Labels of an image in a registry; ``None`` if they cannot be read in time."""
    found: list[Mapping[str, str]] = []

    def read() -> None:
        try:
            found.append(_read(reference))
        except (
            StarfreightError,
            ValueError,
            LookupError,
            TypeError,
            AttributeError,
            RecursionError,
            OSError,
        ):
            return

    if not _answers(reference):
        return None
    # The client's own retries take minutes, and the check is not worth them.
    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    thread.join(_PATIENCE)
    return found[0] if found else None


def _answers(reference: str) -> bool:
    """False if nothing listens at the registry's address. Behind a proxy, only the proxy can tell."""
    if getproxies():
        return True
    host, _, port = reference.partition("/")[0].rpartition(":")
    address = (host, int(port)) if host and port.isdecimal() else (reference.partition("/")[0], 443)
    try:
        socket.create_connection((address[0].strip("[]"), address[1]), timeout=_CONNECT).close()
    except (OSError, OverflowError, UnicodeError):
        return False
    return True


def _read(reference: str) -> Mapping[str, str]:
    from starfreight.package import Descriptor
    from starfreight.registry import is_local, parse_digest_reference
    from starfreight.registry.client import RegistryClient
    from starfreight.registry.fetch_blob import fetch_blob
    from starfreight.registry.media_types import DOCKER_INDEX, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST

    parsed = parse_digest_reference(reference)
    client = RegistryClient(parsed, insecure=is_local(parsed.host))
    kinds = ", ".join((OCI_INDEX, DOCKER_INDEX, OCI_MANIFEST, DOCKER_MANIFEST))
    manifest = _manifest(client, parsed.digest, kinds)
    if "manifests" in manifest:
        # Images of several platforms differ in their programs, not in these labels.
        platforms = [one for one in manifest["manifests"] if one["platform"]["os"] == "linux"]
        manifest = _manifest(client, str(platforms[0]["digest"]), kinds)
    config = manifest["config"]
    descriptor = Descriptor(media_type=config["mediaType"], digest=config["digest"], size=config["size"])
    if descriptor.size > _LARGEST:
        raise ValueError("too large")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "config.json"
        fetch_blob(client, descriptor, path, no_progress, keep_partial=False)
        labels = json.loads(read_limited(path, _LARGEST, "configuration"))["config"].get("Labels") or {}
    return {str(key): str(value) for key, value in labels.items()}


def _manifest(client: Any, digest: str, kinds: str) -> dict[str, Any]:
    from starfreight.files import sha256_bytes

    data = client.get_manifest(digest, kinds)
    if data is None or sha256_bytes(data) != digest:
        raise ValueError("no such manifest")
    found = json.loads(data)
    if not isinstance(found, dict):
        raise ValueError("not a manifest")
    return found
