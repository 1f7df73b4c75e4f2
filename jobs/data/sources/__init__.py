"""Where training data comes from: each kind of source is a file behind one interface."""

from __future__ import annotations

from pathlib import Path

from jobs.data.sources.dataset import DatasetSource, locate_dataset
from jobs.data.sources.folder import FolderSource, locate_python_package
from jobs.data.sources.interface import Found, Listing, Sample, Source
from jobs.data.sources.jsonl import JsonlSource
from starfreight.errors import RecipeError
from starfreight.recipe import Data

__all__ = ["Found", "Listing", "Sample", "Source", "locate_source", "open_source"]

_PYTHON = "python:"
_DATASET = "dataset:"


def locate_source(data: Data, folder: Path) -> Path:
    """The file or folder on this machine that a source of a recipe means.

    Args:
        data: the source.
        folder: where the recipe's relative paths start.

    Raises:
        RecipeError: there is nothing there.
        ServiceError: a dataset could not be fetched.
    """
    if data.source.startswith(_PYTHON):
        return locate_python_package(data.source.removeprefix(_PYTHON))
    if data.source.startswith(_DATASET):
        return locate_dataset(data.source.removeprefix(_DATASET), data.revision, folder)
    path = folder / data.source
    if not path.exists():
        raise RecipeError(
            f"The data source {data.source!r} does not exist.",
            where=f"key data.source, looked for at {path}",
            fix="correct the path, which starts at the recipe's folder",
        )
    return path.resolve()


def open_source(data: Data, path: Path) -> Source:
    """The reader of a source that lies at ``path``."""
    if data.source.startswith(_DATASET):
        return DatasetSource(path, data)
    return FolderSource(path, data) if path.is_dir() else JsonlSource(path, data)
