"""Open a base model on the hub or in a registry without a download of its weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from starfreight.base_artifact import (
    MODEL_FILES,
    WEIGHTS,
    fetch_base_artifact,
    is_artifact,
    open_artifact,
    parse_base_artifact,
)
from starfreight.checkpoint import StreamedBase
from starfreight.errors import InputError
from starfreight.hub_snapshot import fetch_snapshot
from starfreight.recipe import Base
from starfreight.registry.reference import DigestReference

if TYPE_CHECKING:
    from starfreight.remote_weights.byte_source import ByteSource


def open_streamed(base: Base) -> StreamedBase:
    """A base model of the hub or a registry: the weights' sizes and digests, and all its other files.

    Args:
        base: an ``oci://`` reference, or a hub id with its commit.

    Raises:
        RecipeError: a malformed reference.
        InputError: no such model, access is denied, or it has no safetensors files.
        GateError: the registry sends bytes with another digest.
        ServiceError: the hub or the registry does not answer.
    """
    # The libraries of the protocols take a third of a second to import; and no two threads may import them.
    from starfreight.remote_weights.block_reader import BlockReader

    sources: Mapping[str, ByteSource]
    if is_artifact(base.model):
        reference = parse_base_artifact(base.model)
        where = str(reference)
        sources = _registry_sources(reference)
        folder = fetch_base_artifact(base.model, weights=False)
    else:
        from starfreight.remote_weights.hub_source import hub_sources

        revision = str(base.revision)
        where = f"{base.model}@{revision}"
        sources = hub_sources(base.model, revision)
        small = tuple(pattern for pattern in MODEL_FILES if not pattern.endswith(WEIGHTS))
        folder = fetch_snapshot(base.model, revision, "model", small)
    if not sources:
        raise InputError(
            "The model has no safetensors files in its top directory.",
            where=where,
            fix="use a revision of the model with safetensors files",
        )
    return StreamedBase(folder, BlockReader(where, sources))


def _registry_sources(reference: DigestReference) -> Mapping[str, ByteSource]:
    from starfreight.remote_weights.registry_source import RegistrySource

    client, files = open_artifact(reference)
    return {
        name: RegistrySource(client, blob, f"{reference}/{name}")
        for name, blob in files.items()
        if name.endswith(WEIGHTS)
    }
