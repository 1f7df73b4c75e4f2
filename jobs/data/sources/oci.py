"""Training data from an OCI registry, by the digest of its manifest."""

from __future__ import annotations

import os
from pathlib import Path

from starfreight.console import Console
from starfreight.errors import InputError, RecipeError
from starfreight.jobs.data.repository_license import is_license_file
from starfreight.jobs.data.sources.jsonl import SUFFIXES
from starfreight.jobs.data.sources.oci_cache import fetch_artifact
from starfreight.jobs.data.sources.parquet import SUFFIX
from starfreight.jobs.data.sources.texts import is_skipped
from starfreight.recipe.data import Data
from starfreight.registry import DigestReference, parse_digest_reference

OCI = "oci://"


def check_oci(data: Data) -> DigestReference:
    """What a source of a registry means, without asking the registry.

    Raises:
        RecipeError: no digest, or an address that cannot be used.
    """
    if data.revision is not None:
        raise RecipeError(
            "The artifact has a revision, and its digest says already which one it is.",
            where="key data.revision",
            fix="remove that key",
        )
    try:
        return parse_digest_reference(data.source.removeprefix(OCI))
    except InputError as error:
        raise RecipeError(error.what, where=f"key data.source, {error.where}", fix=error.fix) from None


def locate_oci(data: Data, console: Console) -> Path:
    """The artifact's one file of records, or the folder of its files, which are fetched when they have to be.

    Raises:
        RecipeError: as :func:`check_oci`, or subfolders are asked for where there are records.
        InputError: no such artifact, or one that is neither records nor files of code.
        GateError: the registry sends other bytes than a digest stands for.
        ServiceError: the registry cannot be reached, refuses or keeps failing, or the disk is full.
    """
    reference = check_oci(data)
    folder = fetch_artifact(reference, console)
    records = _only_records(folder)
    if len(records) > 1:
        raise InputError(
            "The artifact holds several files of records and nothing else.",
            where=f"{reference}: {', '.join(path.name[:80] for path in records)}",
            fix="push each as an artifact of its own, or all records in one file",
        )
    if records and data.repositories == "subfolders":
        raise RecipeError(
            f"The source {data.source!r} is no folder of repositories.",
            where="key data.repositories",
            fix="remove that key: the artifact is a file of records",
        )
    return records[0] if records else folder


def oci_repository(source: str) -> str:
    """What the files of an artifact are said to come from: the repository's path, ``namespace/name``."""
    return parse_digest_reference(source.removeprefix(OCI)).repository


def _only_records(folder: Path) -> list[Path]:
    """At most two files of records, when there is nothing else but licenses and a README beside them."""
    found: list[Path] = []
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not is_skipped(name)]
        for name in names:
            if is_skipped(name) or is_license_file(name) or name.upper().startswith("README"):
                continue
            path = Path(place) / name
            if path.suffix not in (*SUFFIXES, SUFFIX):
                return []
            found.append(path)
    return sorted(found)[:2]
