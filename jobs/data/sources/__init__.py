"""Where training data comes from: each kind of source is a file behind one interface."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from starfreight.console import Console
from starfreight.errors import RecipeError, StarfreightError
from starfreight.jobs.data.sources.dataset import DATASET, DatasetSource, check_dataset, locate_dataset
from starfreight.jobs.data.sources.folder import FolderSource
from starfreight.jobs.data.sources.git import GitSource, check_git, locate_git
from starfreight.jobs.data.sources.git_address import GIT
from starfreight.jobs.data.sources.interface import Sample, Source, Unusable
from starfreight.jobs.data.sources.jsonl import SUFFIXES, JsonlSource
from starfreight.jobs.data.sources.oci import OCI, check_oci, locate_oci
from starfreight.jobs.data.sources.parquet import SUFFIX, ParquetSource
from starfreight.jobs.data.sources.python_package import PYTHON, locate_python_package
from starfreight.jobs.data.spdx import is_license
from starfreight.recipe import Data

__all__ = ["Sample", "Source", "Unusable", "check_source", "locate_source", "naming_source", "open_source"]


@contextlib.contextmanager
def naming_source(number: int) -> Iterator[None]:
    """Makes errors about the keys of ``data`` say which of the sources they mean, from 0 on."""
    try:
        yield
    except StarfreightError as error:
        error.where = error.where and error.where.replace("key data.", f"key data[{number}].", 1)
        raise


def check_source(data: Data, folder: Path) -> None:
    """Looks at all of a source that can be known without fetching it.

    Args:
        data: the source.
        folder: where the recipe's relative paths start.

    Raises:
        RecipeError: there is nothing there, or the recipe does not say enough to fetch it.
    """
    if data.license != "NOASSERTION" and not is_license(data.license):
        raise RecipeError(
            f"{data.license!r} is no license that SPDX lists.",
            where="key data.license",
            fix="write an SPDX expression (https://spdx.org/licenses), or LicenseRef-NAME for your own",
        )
    if data.source.startswith(GIT):
        check_git(data, folder)
        is_folder = False
    elif data.source.startswith(DATASET):
        check_dataset(data.source.removeprefix(DATASET), data.revision, folder)
        is_folder = False
    elif data.source.startswith(OCI):
        check_oci(data)
        is_folder = True  # Or a file of records, which is known when it is fetched.
    elif data.source.startswith(PYTHON):
        locate_python_package(data.source.removeprefix(PYTHON))
        is_folder = False
    else:
        is_folder = _locate_path(data, folder).is_dir()
    if data.repositories == "subfolders" and not is_folder:
        raise RecipeError(
            f"The source {data.source!r} is no folder of repositories.",
            where="key data.repositories",
            fix="remove that key, or name the folder that the repositories are in",
        )


def locate_source(data: Data, folder: Path, console: Console) -> Path:
    """The file or folder on this machine that a source of a recipe means; it is fetched when it has to be.

    Args:
        data: the source.
        folder: where the recipe's relative paths start.
        console: shows how far a fetch is.

    Raises:
        RecipeError: as :func:`check_source`, or a commit does not exist.
        InputError: no such repository or dataset, or no access to it.
        GateError: a registry sends other bytes than a digest stands for.
        ServiceError: it could not be fetched.
    """
    check_source(data, folder)
    if data.source.startswith(GIT):
        return locate_git(data, folder)
    if data.source.startswith(DATASET):
        return locate_dataset(data.source.removeprefix(DATASET), data.revision, folder)
    if data.source.startswith(OCI):
        return locate_oci(data, console)
    if data.source.startswith(PYTHON):
        return locate_python_package(data.source.removeprefix(PYTHON))
    return _locate_path(data, folder)


def open_source(data: Data, path: Path) -> Source:
    """The reader of a source that lies at ``path``."""
    if data.source.startswith(GIT):
        return GitSource(path, data)
    if data.source.startswith(DATASET):
        return DatasetSource(path, data)
    if path.suffix == SUFFIX and path.is_file():
        return ParquetSource(path, data)
    return FolderSource(path, data) if path.is_dir() else JsonlSource(path, data)


def _locate_path(data: Data, folder: Path) -> Path:
    path = folder / data.source
    if not path.exists():
        raise RecipeError(
            f"The data source {data.source!r} does not exist.",
            where=f"key data.source, looked for at {path}",
            fix="correct the path, which starts at the recipe's folder",
        )
    if not path.is_dir() and path.suffix not in (*SUFFIXES, SUFFIX):
        raise RecipeError(
            f"The data source {data.source!r} is a file of another kind than JSONL and Parquet.",
            where=f"key data.source, {path}",
            fix="name a folder of code, or a file that ends in .jsonl, .ndjson or .parquet",
        )
    return path.resolve()
