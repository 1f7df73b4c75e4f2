"""The table of source kinds."""

from __future__ import annotations

from pathlib import Path

from starfreight.jobs.data.sources.dataset import DatasetKind
from starfreight.jobs.data.sources.folder import FolderKind
from starfreight.jobs.data.sources.git import GitKind
from starfreight.jobs.data.sources.interface import SourceKind
from starfreight.jobs.data.sources.jsonl import JSON, JSONL
from starfreight.jobs.data.sources.oci import OciKind
from starfreight.jobs.data.sources.parquet import PARQUET
from starfreight.jobs.data.sources.python_package import PythonKind

KINDS: tuple[SourceKind, ...] = (
    GitKind(),
    DatasetKind(),
    OciKind(),
    PythonKind(),
    JSONL,
    JSON,
    PARQUET,
    FolderKind(),  # Last: it claims any path.
)


def kind_of(source: str, path: Path) -> SourceKind:
    """Return the kind of a source string.

    Args:
        source: as written in the recipe.
        path: the local path if the string is a path; it need not exist.
    """
    return next(kind for kind in KINDS if kind.claims(source, path))
