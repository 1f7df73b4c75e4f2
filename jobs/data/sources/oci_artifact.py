"""The files of an OCI artifact, listed by its manifest.

Two layouts are read: one layer per file, named by the annotation ``org.opencontainers.image.title`` (written
by ``oras push``), and ModelPack's dataset layers (https://github.com/modelpack/model-spec), beside which the
artifact may have other layers.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from pydantic import ValidationError

from starfreight.errors import InputError
from starfreight.jobs.data.sources.safe_names import why_unsafe
from starfreight.package import Descriptor
from starfreight.registry.media_types import DOCKER_INDEX, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST
from starfreight.strict_json import only_exact, strict_loads

TITLE = "org.opencontainers.image.title"
UNPACK = "io.deis.oras.content.unpack"
"""Set by oras on a packed directory."""
FILE_PATH = "org.cncf.model.filepath"
MODEL_PACK = "application/vnd.cncf.model."
DATASET = MODEL_PACK + "dataset.v1."

_KNOWN = frozenset(("mediaType", "manifests", "layers", "config", "schemaVersion", "artifactType"))

ACCEPTED = ", ".join((OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_INDEX))
"""Media types to request, including those that are refused with an error of their own."""


@dataclass(frozen=True)
class Layer:
    """A blob of an artifact.

    Attributes:
        blob: its type, digest and size.
        name: the relative path of the file in it; ``None`` for a tar archive of files.
    """

    blob: Descriptor
    name: str | None


def read_artifact(data: bytes, where: str) -> tuple[Layer, ...]:
    """Return the layers to fetch, files before archives.

    Args:
        data: the manifest.
        where: for errors.

    Raises:
        InputError: it is not the manifest of an artifact with files.
    """
    layers = _layers(data, where)
    packed = [each for each in layers if _media_type(each).startswith(DATASET)]
    found = [_dataset_layer(each, where) for each in packed] or [_file_layer(each, where) for each in layers]
    names = [layer.name for layer in found if layer.name is not None]
    _check_names(names, where)
    return tuple(sorted(found, key=lambda layer: layer.name is None))


def _layers(data: bytes, where: str) -> list[dict[str, Any]]:
    try:
        manifest = strict_loads(data)
        if isinstance(manifest, dict):
            only_exact(manifest, _KNOWN)
    except ValueError as error:
        unprintable = isinstance(error, UnicodeEncodeError)
        reason = "it holds a character that cannot be printed" if unprintable else error
        raise _refused(f"is not JSON that all clients read alike: {reason}", where) from None
    kind = manifest.get("mediaType", OCI_MANIFEST) if isinstance(manifest, dict) else None
    if kind in (OCI_INDEX, DOCKER_INDEX) or (isinstance(manifest, dict) and "manifests" in manifest):
        raise _refused("is an index of several artifacts", where, "name the digest of one of them")
    if kind != OCI_MANIFEST:
        raise _refused(f"is {str(kind)[:100]!r}, not an OCI manifest", where)
    layers = manifest.get("layers")
    if not isinstance(layers, list) or not layers:
        raise _refused("has no layers", where)
    if not all(isinstance(each, dict) for each in layers):
        raise _refused("has a layer that is not an object", where)
    return layers


def _dataset_layer(layer: dict[str, Any], where: str) -> Layer:
    kind = _media_type(layer).removeprefix(DATASET)
    if kind == "tar":
        return Layer(_descriptor(layer, where), None)
    if kind != "raw":
        raise _refused(
            f"has a layer of type {_media_type(layer)[:100]!r}, which is not supported",
            where,
            f"pack the data without compression, as {DATASET}tar or {DATASET}raw",
        )
    return Layer(_descriptor(layer, where), _name(layer, FILE_PATH, where))


def _file_layer(layer: dict[str, Any], where: str) -> Layer:
    if _annotation(layer, UNPACK) == "true" or _media_type(layer).endswith(("+gzip", "+zstd")):
        raise _refused(
            f"has a compressed layer of type {_media_type(layer)[:100]!r}, which is not supported",
            where,
            "push each file as a layer of its own: oras push HOST/NAMESPACE/NAME:TAG FILE...",
        )
    return Layer(_descriptor(layer, where), _name(layer, TITLE, where))


def _name(layer: dict[str, Any], annotation: str, where: str) -> str:
    name = _annotation(layer, annotation)
    if name is None:
        raise _refused(
            f"has a layer of type {_media_type(layer)[:100]!r} without the annotation {annotation}, "
            "which names its file",
            where,
        )
    if reason := why_unsafe(name):
        raise _refused(f"names the file {name[:100]!a}, a name that {reason}", where)
    return name


def _check_names(names: Iterable[str], where: str) -> None:
    seen: set[str] = set()
    folders: set[str] = set()
    for name in names:
        if name in seen:
            raise _refused(f"names the file {name[:100]!r} twice", where)
        seen.add(name)
        folders.update(str(each) for each in PurePosixPath(name).parents)
    if both := seen & folders:
        raise _refused(f"names {min(both)[:100]!r} as a file and as a directory", where)


def _media_type(layer: dict[str, Any]) -> str:
    return str(layer.get("mediaType"))


def _annotation(layer: dict[str, Any], name: str) -> str | None:
    annotations = layer.get("annotations")
    value = annotations.get(name) if isinstance(annotations, dict) else None
    return value if isinstance(value, str) else None


def _descriptor(layer: dict[str, Any], where: str) -> Descriptor:
    try:
        return Descriptor.model_validate(
            {"media_type": layer.get("mediaType"), "digest": layer.get("digest"), "size": layer.get("size")}
        )
    except ValidationError:
        raise _refused("has a layer without a valid type, SHA-256 digest and size", where) from None


def _refused(
    what: str,
    where: str,
    fix: str = "name an artifact of files, as made by oras push; layouts: starfreight docs data",
) -> InputError:
    return InputError(f"The artifact's manifest {what}.", where=where, fix=fix)
