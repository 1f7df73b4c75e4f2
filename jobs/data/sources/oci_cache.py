"""Artifacts of registries in the user's cache: one directory of files per digest of a manifest."""

from __future__ import annotations

import os
import shutil
from functools import partial
from pathlib import Path

from starfreight.console import Advance, Console, human_count
from starfreight.errors import ServiceError
from starfreight.files import PARTIAL_PREFIX
from starfreight.jobs.data.sources.oci_artifact import ACCEPTED, Layer, read_artifact
from starfreight.jobs.data.sources.tar import unpack
from starfreight.registry import DigestReference
from starfreight.registry.artifact_manifest import fetch_manifest
from starfreight.user_cache import cache_folder, made_once


def fetch_artifact(reference: DigestReference, console: Console) -> Path:
    """Return the directory of an artifact's files, fetching them unless they are in the cache.

    Every byte is verified against the digest in the reference, directly or through the manifest. In a
    cluster, files that the kubelet has mounted below ``$STARFREIGHT_OCI_VOLUMES`` are used instead.

    Raises:
        InputError: the artifact does not exist, or does not consist of files.
        GateError: the registry sends bytes with another digest.
        ServiceError: the registry cannot be reached, refuses or keeps failing, or the disk is full.
    """
    volumes = os.environ.get("STARFREIGHT_OCI_VOLUMES")
    if volumes and (mounted := Path(volumes) / reference.digest.removeprefix("sha256:")).is_dir():
        return mounted
    final = cache_folder("oci") / reference.digest.removeprefix("sha256:")
    return made_once(final, partial(_fetch, reference, console))


def _fetch(reference: DigestReference, console: Console, folder: Path) -> None:
    data, insecure = fetch_manifest(reference, ACCEPTED)
    layers = read_artifact(data, str(reference))
    total = sum(layer.blob.size for layer in layers)
    # An archive is kept beside its files until it is unpacked.
    needed = total + max((layer.blob.size for layer in layers if layer.name is None), default=0)
    folder.mkdir()
    if needed > shutil.disk_usage(folder).free:
        raise ServiceError(
            f"The disk has too little space for the data, which needs {human_count(needed, 'B')}.",
            where=str(folder.parent),
            fix="free some space, or set XDG_CACHE_HOME to a directory on a larger disk",
        )
    with console.progress("Fetching data", total=total, unit="B") as advance:
        _fetch_layers(reference, layers, folder, insecure, advance)


def _fetch_layers(
    reference: DigestReference, layers: tuple[Layer, ...], folder: Path, insecure: bool, advance: Advance
) -> None:
    from starfreight.registry.client import RegistryClient
    from starfreight.registry.fetch_blob import fetch_blob

    client = RegistryClient(reference, insecure=insecure)
    for layer in layers:
        if layer.name is not None:
            fetch_blob(client, layer.blob, folder / layer.name, advance, keep_partial=False)
            continue
        # Beside the directory, where it cannot collide with a file of the artifact.
        archive = folder.with_name(f"{PARTIAL_PREFIX}tar-{folder.name}")
        try:
            fetch_blob(client, layer.blob, archive, advance, keep_partial=False)
            unpack(archive, folder, f"{reference}, layer {layer.blob.digest}")
        finally:
            archive.unlink(missing_ok=True)
