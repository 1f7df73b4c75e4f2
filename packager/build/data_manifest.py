"""A run's data manifest: check the parts that a package is described from, and find the files to ship."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from starfreight.data_manifest import DataManifest, OtherVersionError
from starfreight.packager.layout.write_package import DataFiles
from starfreight.run import Run

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def is_data_manifest(value: Any) -> bool:
    """True if a package can be described from the value, of version 1 or 2; more keys are ignored.

    A record from somebody else names any file as its data manifest. Manifests of millions of files are
    checked without a copy.
    """
    try:
        return _is_listed(value.get("left_out")) and all(map(_is_source, value["sources"]))
    except (AttributeError, KeyError, TypeError):
        return False


def data_files(run: Run, folder: Path) -> DataFiles | None:
    """The data manifest and its lists, to ship in the package.

    Args:
        run: the finished run.
        folder: its directory.

    Returns:
        ``None`` if the recipe keeps them out, and for a manifest of an earlier version.

    Raises:
        InputError: a list is missing or damaged.
    """
    if run.recipe.package.data_manifest == "digest":
        return None
    try:
        manifest = DataManifest.load(folder / run.data_manifest.path)
    except OtherVersionError:
        return None
    return DataFiles(manifest.path, tuple(manifest.lists.values()))


def _is_source(source: Mapping[str, Any]) -> bool:
    whole = isinstance(source["source"], str) and _is_text(source["revision"])
    if "found" in source:
        numbers = [source["found"], *(source[key][of] for key in _SPLITS for of in ("samples", "bytes"))]
        whole = whole and all(isinstance(name, str) for name in source["licenses"])
    else:  # Version 1: one license for all files of a source.
        numbers = list(source["left_out"].values())
        whole = whole and isinstance(source["license"], str)
    return (
        whole
        and all(type(number) is int for number in numbers)
        and _is_text(source.get("license"))
        and _is_listed(source.get("records"))
        and all(_is_file(file, source) for file in source["files"])
    )


_SPLITS = ("train", "held_out")


def _is_file(file: Mapping[str, Any], source: Mapping[str, Any]) -> bool:
    licensed = isinstance(file.get("license") or source.get("license"), str)
    return licensed and type(file["size"]) is int and _is_listed(file)


def _is_listed(file: Mapping[str, Any] | None) -> bool:
    """True for a path with a digest, and for none."""
    if file is None:
        return True
    return isinstance(file["path"], str) and _DIGEST.fullmatch(file["digest"]) is not None


def _is_text(value: Any) -> bool:
    return value is None or isinstance(value, str)
