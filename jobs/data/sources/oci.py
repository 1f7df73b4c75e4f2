"""An artifact of an OCI registry, by the digest of its manifest."""

from __future__ import annotations

import os
from pathlib import Path

from starfreight.console import Console
from starfreight.errors import InputError, RecipeError
from starfreight.jobs.data.repository_license import is_license_file
from starfreight.jobs.data.sources.folder import FolderSource
from starfreight.jobs.data.sources.interface import Source
from starfreight.jobs.data.sources.record_file import RecordFileKind
from starfreight.jobs.data.sources.text_files import is_skipped
from starfreight.recipe.data import Data
from starfreight.registry import DigestReference, parse_digest_reference

_PREFIX = "oci://"


class OciKind:
    """``oci://HOST/NAMESPACE/NAME@sha256:...``: one file of records, or a directory of code."""

    has_repositories = True  # Unless it is a file of records, which is known after the fetch.

    def claims(self, source: str, path: Path) -> bool:
        """Return true for the prefix ``oci://``."""
        return source.startswith(_PREFIX)

    def check(self, data: Data, folder: Path) -> None:
        """Require a valid address with a digest, without a request to the registry.

        Raises:
            RecipeError: there is no digest, or the address cannot be used.
        """
        _reference(data)

    def locate(self, data: Data, folder: Path, console: Console) -> Path:
        """Return the artifact's file of records or the directory of its files, fetching it if necessary.

        Raises:
            RecipeError: it holds records, and the recipe has ``repositories: subfolders``.
            InputError: the artifact does not exist, or is neither one file of records nor files of code.
            GateError: the registry sends bytes with another digest.
            ServiceError: the registry cannot be reached, refuses or keeps failing, or the disk is full.
        """
        from starfreight.jobs.data.sources.oci_cache import fetch_artifact

        reference = _reference(data)
        artifact = fetch_artifact(reference, console)
        records = _only_records(artifact)
        if len(records) > 1:
            raise InputError(
                "The artifact holds several files of records and nothing else.",
                where=f"{reference}: {', '.join(path.name[:80] for path in records)}",
                fix="push each as an artifact of its own, or all records in one file",
            )
        if records and data.repositories == "subfolders":
            raise RecipeError(
                f"The source {data.source!r} is not a directory of repositories.",
                where="key data.repositories",
                fix="remove the key: the artifact is a file of records",
            )
        return records[0] if records else artifact

    def open(self, data: Data, path: Path) -> Source:
        """Return the reader of the file of records, or of the directory as the registry's repository."""
        kind = _record_file_kind(path)
        if kind is not None:
            return kind.open(data, path)
        return FolderSource(path, data, _reference(data).repository)

    def is_remote(self, source: str) -> bool:
        """Return true."""
        return True

    def local_path(self, source: str) -> str | None:
        """Return nothing: the artifact is read from the cache."""
        return None


def _reference(data: Data) -> DigestReference:
    if data.revision is not None:
        raise RecipeError(
            "The artifact has a revision in addition to its digest.",
            where="key data.revision",
            fix="remove the key",
        )
    try:
        return parse_digest_reference(data.source.removeprefix(_PREFIX))
    except InputError as error:
        raise RecipeError(error.what, where=f"key data.source, {error.where}", fix=error.fix) from None


def _record_file_kind(path: Path) -> RecordFileKind | None:
    from starfreight.jobs.data.sources.kinds import kind_of  # The table lists this kind, too.

    kind = kind_of(path.name, path)
    return kind if isinstance(kind, RecordFileKind) else None


def _only_records(folder: Path) -> list[Path]:
    """Return up to two files of records if there is nothing else but licenses and a README beside them."""
    found: list[Path] = []
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not is_skipped(name)]
        for name in names:
            if is_skipped(name) or is_license_file(name) or name.upper().startswith("README"):
                continue
            path = Path(place) / name
            if _record_file_kind(path) is None:
                return []
            found.append(path)
    return sorted(found)[:2]
