"""The source code of an installed Python package."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import sys
from functools import partial
from pathlib import Path

from starfreight.console import Console
from starfreight.errors import InputError, RecipeError
from starfreight.files import read_limited
from starfreight.jobs.data.repository_license import MAX_LICENSE_BYTES, repository_license
from starfreight.jobs.data.sources.folder import FolderSource
from starfreight.recipe.data import Data

_PREFIX = "python:"

_CLASSIFIERS = {
    "Apache Software License": "Apache-2.0",
    "Boost Software License 1.0 (BSL-1.0)": "BSL-1.0",
    "CC0 1.0 Universal (CC0 1.0) Public Domain Dedication": "CC0-1.0",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "MIT No Attribution License (MIT-0)": "MIT-0",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
    "The Unlicense (Unlicense)": "Unlicense",
    "Zero-Clause BSD (0BSD)": "0BSD",
    "zlib/libpng License": "Zlib",
}


class PythonKind:
    """``python:click``: an installed package, by its import name."""

    has_repositories = False

    def claims(self, source: str, path: Path) -> bool:
        """Return true for the prefix ``python:``."""
        return source.startswith(_PREFIX)

    def check(self, data: Data, folder: Path) -> None:
        """Require an installed package.

        Raises:
            RecipeError: it is not installed, or is a single module.
        """
        package_directory(data.source.removeprefix(_PREFIX))

    def locate(self, data: Data, folder: Path, console: Console) -> Path:
        """Return the directory of the package."""
        return package_directory(data.source.removeprefix(_PREFIX))

    def open(self, data: Data, path: Path) -> FolderSource:
        """Return the reader of the package's directory."""
        name = data.source.removeprefix(_PREFIX)
        return FolderSource(path, data, name, partial(package_license, name))

    def is_remote(self, source: str) -> bool:
        """Return false."""
        return False

    def local_path(self, source: str) -> str | None:
        """Return nothing: the package is part of the environment."""
        return None


def package_directory(name: str) -> Path:
    """Return the directory of an installed package, without importing it.

    Raises:
        RecipeError: it is not installed, or is a single module.
    """
    try:
        spec = importlib.util.find_spec(name) if name.isidentifier() else None
    except (ImportError, ValueError):
        spec = None
    locations = list(spec.submodule_search_locations or ()) if spec else []
    if not locations:
        raise RecipeError(
            f"No package named {name!r} is installed.",
            where="key data.source",
            fix="install it, or name a directory",
        )
    return Path(locations[0]).resolve()


def package_license(name: str) -> str | None:
    """Return the license of an installed package as an SPDX expression; ``None`` if it is unknown.

    The expression in its metadata comes first, then its license files, then a classifier that stands for a
    single license ("BSD License" stands for several).
    """
    if name in sys.stdlib_module_names:
        return "PSF-2.0"
    distributions = sorted(set(importlib.metadata.packages_distributions().get(name, ())))
    if len(distributions) != 1:  # None, or a namespace package of several.
        return None
    distribution = importlib.metadata.distribution(distributions[0])
    declared = distribution.metadata.get_all("License-Expression")
    if declared:
        return str(declared[0]).strip()[:500]
    return _license_of_files(distribution) or _license_of_classifiers(distribution)


def _license_of_files(distribution: importlib.metadata.Distribution) -> str | None:
    files = {
        path.name: Path(str(path.locate()))
        for path in distribution.files or ()
        if path.parts[0].endswith(".dist-info") and len(path.parts) <= 3 and ".." not in path.parts
    }

    def read(name: str) -> bytes | None:
        try:
            return read_limited(files[name], MAX_LICENSE_BYTES, "license")
        except InputError:
            return None

    return repository_license(files, read)


def _license_of_classifiers(distribution: importlib.metadata.Distribution) -> str | None:
    prefix = "License :: "
    stated = {
        _CLASSIFIERS.get(each.rsplit(" :: ", 1)[-1])
        for each in distribution.metadata.get_all("Classifier") or ()
        if each.startswith(prefix) and each != prefix + "OSI Approved"
    }
    return stated.pop() if len(stated) == 1 else None
