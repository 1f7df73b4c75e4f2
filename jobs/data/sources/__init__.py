"""Sources of training data: one file per kind, behind one interface.

check_source(data, recipe_folder)
path = locate_source(data, recipe_folder, console)
for sample in open_source(data, path).samples():
    ...
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

from starfreight.console import Console
from starfreight.errors import RecipeError, StarfreightError
from starfreight.jobs.data.sources.interface import Sample, Source, SourceKind, Unusable
from starfreight.jobs.data.sources.kinds import kind_of
from starfreight.licenses.spdx import is_license
from starfreight.recipe import Data

__all__ = [
    "Sample", "Source", "SourceKind", "Unusable", "check_source", "kind_of", "locate_source", "naming_source",
    "open_source",
]  # fmt: skip


_KEY = re.compile(rf"\bdata\.(?=(?:{'|'.join(Data.model_fields)})\b)")


@contextlib.contextmanager
def naming_source(number: int) -> Iterator[None]:
    """Add the number of the source, from 0, to errors about keys of ``data``."""
    try:
        yield
    except StarfreightError as error:
        error.where = error.where and error.where.replace("key data.", f"key data[{number}].", 1)
        error.fix = error.fix and _KEY.sub(f"data[{number}].", error.fix)
        raise


def check_source(data: Data, folder: Path) -> None:
    """Validate a source as far as possible without fetching it.

    Args:
        data: the source.
        folder: the base of the recipe's relative paths.

    Raises:
        RecipeError: the source does not exist, or the recipe lacks something needed to fetch it.
    """
    if data.license != "NOASSERTION" and not is_license(data.license):
        raise RecipeError(
            f"{data.license!r} is not a license on the SPDX list.",
            where="key data.license",
            fix="write an SPDX expression (https://spdx.org/licenses), or LicenseRef-NAME for your own",
        )
    kind = kind_of(data.source, folder / data.source)
    kind.check(data, folder)
    if data.repositories == "subfolders" and not kind.has_repositories:
        raise RecipeError(
            f"The source {data.source!r} is not a directory of repositories.",
            where="key data.repositories",
            fix="remove the key, or name the directory with the repositories in it",
        )


def locate_source(data: Data, folder: Path, console: Console) -> Path:
    """Return the local file or directory of a source, fetching it unless it is in the cache.

    Args:
        data: the source.
        folder: the base of the recipe's relative paths.
        console: shows the progress of a fetch.

    Raises:
        RecipeError: as :func:`check_source`, or the commit does not exist.
        InputError: the repository, dataset or artifact does not exist or cannot be accessed.
        GateError: a registry sends bytes with another digest.
        ServiceError: the source could not be fetched.
    """
    check_source(data, folder)
    return kind_of(data.source, folder / data.source).locate(data, folder, console)


def open_source(data: Data, path: Path) -> Source:
    """Return the reader of a source located at ``path``."""
    return kind_of(data.source, path).open(data, path)
