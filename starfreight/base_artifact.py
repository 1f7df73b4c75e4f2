"""Base models in a registry: ``oci://HOST/NAMESPACE/NAME@sha256:...``, with a layer for each file.

    folder = fetch_base_artifact("oci://ghcr.io/acme/base@sha256:...", weights=True)

Files are named by the titles of the layers, as ``oras push`` and ``starfreight data push`` write them, or by
ModelPack's file paths. Only files of a model are fetched, each verified against its digest.
"""

from __future__ import annotations

import fnmatch
import json
import re
import shutil
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from starfreight.base_documents import PATTERNS as DOCUMENTS
from starfreight.console import Console, human_count
from starfreight.errors import InputError, RecipeError, ServiceError
from starfreight.package import Descriptor
from starfreight.registry.artifact_manifest import fetch_manifest
from starfreight.registry.manifests import MAX_ENTRIES
from starfreight.registry.media_types import OCI_MANIFEST
from starfreight.registry.reference import DigestReference, parse_digest_reference
from starfreight.user_cache import cache_folder, made_once

if TYPE_CHECKING:
    from starfreight.registry.client import RegistryClient

PREFIX = "oci://"
TITLE = "org.opencontainers.image.title"
FILE_PATH = "org.cncf.model.filepath"
MODEL_FILES = ("*.json", "*.safetensors", "LICENSE*", "merges.txt", "vocab.json", *DOCUMENTS)
"""Patterns of the files of a model in Hugging Face layout, with the documents that have to accompany it."""

WEIGHTS = ".safetensors"
"""How the names of files of weights end."""

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,200}")
_MOST_SMALL = 64 << 20
"""Bytes of a tokenizer or an index; larger files are fetched with the weights."""


def is_artifact(model: str) -> bool:
    """True for the name of a base model in a registry."""
    return model.startswith(PREFIX)


def parse_base_artifact(model: str) -> DigestReference:
    """The reference of a base model in a registry.

    Raises:
        RecipeError: malformed, for example without a digest.
    """
    try:
        return parse_digest_reference(model.removeprefix(PREFIX))
    except InputError as error:
        raise RecipeError(error.what, where=f"key base.model, {error.where}", fix=error.fix) from None


def cached_base(model: str, *, weights: bool) -> Path | None:
    """The directory of a base model in the cache; ``None`` if it is not there.

    Args:
        model: its name.
        weights: false if its configuration and tokenizer are enough.

    Raises:
        RecipeError: a malformed name.
    """
    whole, small = _folders(parse_base_artifact(model))
    if whole.is_dir():
        return whole
    return small if not weights and small.is_dir() else None


def fetch_base_artifact(model: str, *, weights: bool) -> Path:
    """The directory of a base model, fetched unless it is in the cache.

    Args:
        model: its name.
        weights: false to fetch only its configuration and tokenizer.

    Raises:
        RecipeError: a malformed name.
        InputError: the artifact does not exist, or does not consist of the files of a model.
        GateError: the registry sends bytes with another digest.
        ServiceError: the registry cannot be reached, refuses or keeps failing, or the disk is full.
    """
    if (found := cached_base(model, weights=weights)) is not None:
        return found
    reference = parse_base_artifact(model)
    whole, small = _folders(reference)
    return made_once(whole if weights else small, partial(_fetch, reference, weights))


def _folders(reference: DigestReference) -> tuple[Path, Path]:
    digest = reference.digest.removeprefix("sha256:")
    return cache_folder("models") / digest, cache_folder("models") / f"{digest}-configuration"


def _fetch(reference: DigestReference, weights: bool, folder: Path) -> None:
    from starfreight.registry.fetch_blob import fetch_blob

    client, files = open_artifact(reference)
    if not weights:
        files = {
            name: blob
            for name, blob in files.items()
            if blob.size <= _MOST_SMALL and not name.endswith(WEIGHTS)
        }
    total = sum(blob.size for blob in files.values())
    folder.mkdir()
    if total > shutil.disk_usage(folder).free:
        raise ServiceError(
            f"The disk has too little space for the base model, which needs {human_count(total, 'B')}.",
            where=str(folder.parent),
            fix="free some space, or set XDG_CACHE_HOME to a directory on a larger disk",
        )
    with Console().progress("Fetching the base model", total=total, unit="B") as advance:
        for name, blob in files.items():
            fetch_blob(client, blob, folder / name, advance, keep_partial=False)


def open_artifact(reference: DigestReference) -> tuple[RegistryClient, dict[str, Descriptor]]:
    """A client of a base model's repository, and the model's files by name.

    Raises:
        InputError: the artifact does not exist, or does not consist of the files of a model.
        GateError: the registry sends a manifest with another digest.
        ServiceError: the registry cannot be reached, refuses or keeps failing.
    """
    from starfreight.registry.client import RegistryClient

    data, insecure = fetch_manifest(reference, OCI_MANIFEST)
    return RegistryClient(reference, insecure=insecure), read_base_manifest(data, str(reference))


def read_base_manifest(data: bytes, where: str) -> dict[str, Descriptor]:
    """The files of a model by name, from the manifest of an artifact.

    Raises:
        InputError: not the manifest of a model.
    """
    try:
        document: Any = json.loads(data)
        layers = document["layers"]
        if not isinstance(layers, list) or len(layers) > MAX_ENTRIES:
            raise ValueError("no list of layers")
        found: dict[str, Descriptor] = {}
        for layer in layers:
            notes = layer.get("annotations") or {}
            name = notes.get(TITLE) or notes.get(FILE_PATH)
            if not isinstance(name, str) or not is_model_file(name):
                continue
            if name.casefold() in {each.casefold() for each in found}:
                raise ValueError(f"the file {name} is named twice")
            found[name] = Descriptor(
                media_type=layer["mediaType"], digest=layer["digest"], size=layer["size"]
            )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, ValidationError):
        raise _refused("is malformed", where) from None
    if "config.json" not in found or not any(name.endswith(WEIGHTS) for name in found):
        raise _refused("names no config.json, or no .safetensors file", where)
    return found


def is_model_file(name: str) -> bool:
    """True for the name of a file of a model in Hugging Face layout, without directories."""
    return _NAME.fullmatch(name) is not None and any(
        fnmatch.fnmatchcase(name, pattern) for pattern in MODEL_FILES
    )


def _refused(what: str, where: str) -> InputError:
    return InputError(
        f"The manifest of the base model {what}.",
        where=where,
        fix="push the files of the model as layers with titles: starfreight data push, or in its directory "
        "oras push HOST/NAMESPACE/NAME:TAG *.json *.safetensors",
    )
