"""The source of a Python package that is installed here: where it lies, and under which license."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import sys
from pathlib import Path

from starfreight.errors import InputError, RecipeError
from starfreight.files import read_limited
from starfreight.jobs.data.repository_license import MAX_LICENSE_BYTES, repository_license

PYTHON = "python:"

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


def locate_python_package(name: str) -> Path:
    """The folder of an installed package, which is found without importing it.

    Raises:
        RecipeError: no such package, or it is a single module.
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
            fix="install it, or name a folder",
        )
    return Path(locations[0]).resolve()


def package_license(name: str) -> str | None:
    """The license of an installed package as an SPDX expression; ``None`` when it does not say one.

    What its author declared as an expression comes first, then the license texts in it, then a
    classifier that means one license ("BSD License" means several).
    """
    if name in sys.stdlib_module_names:
        return "PSF-2.0"
    distributions = sorted(set(importlib.metadata.packages_distributions().get(name, ())))
    if len(distributions) != 1:  # None, or a namespace that several share.
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
        if path.parts[0].endswith(".dist-info") and len(path.parts) <= 3
    }

    def read(name: str) -> bytes | None:
        try:
            return read_limited(files[name], MAX_LICENSE_BYTES, "license")
        except InputError:
            return None

    return repository_license(files, read)


def _license_of_classifiers(distribution: importlib.metadata.Distribution) -> str | None:
    prefix = "License :: "
    said = {
        _CLASSIFIERS.get(each.rsplit(" :: ", 1)[-1])
        for each in distribution.metadata.get_all("Classifier") or ()
        if each.startswith(prefix) and each != prefix + "OSI Approved"
    }
    return said.pop() if len(said) == 1 else None
