"""The license texts that a recipe names: taken from beside the recipe once, and kept with the run.

A package holds these texts in the open, so neither a recipe nor a run from somebody else may name a
file elsewhere on this machine.
"""

from __future__ import annotations

from pathlib import Path

from starfreight.errors import InputError, RecipeError
from starfreight.files import read_limited, write_bytes
from starfreight.recipe import Package

FOLDER = "licenses"
MAX_LICENSE_BYTES = 1 << 20


def read_beside_recipe(package: Package, folder: Path) -> tuple[bytes, ...]:
    """The texts, in the recipe's order.

    Args:
        package: the recipe's section.
        folder: the recipe's folder, which the files must lie in.

    Raises:
        RecipeError: a file lies elsewhere.
        InputError: a file is missing, unreadable, or larger than 1 MiB.
    """
    texts = []
    for name in package.license_files:
        path = (folder / name).resolve()
        if not path.is_relative_to(folder.resolve()):
            raise RecipeError(
                f"The license file {name!r} does not lie in the recipe's folder.",
                where="key package.license_files",
                fix="copy it beside the recipe: its text will be published",
            )
        texts.append(read_limited(path, MAX_LICENSE_BYTES, "license"))
    return tuple(texts)


def keep_in_run(texts: tuple[bytes, ...], run: Path) -> None:
    """Writes the texts into a run's folder."""
    for number, text in enumerate(texts):
        write_bytes(run / FOLDER / f"{number}.txt", text)


def read_from_run(package: Package, run: Path) -> tuple[bytes, ...]:
    """The texts that :func:`keep_in_run` wrote.

    Raises:
        InputError: one is missing, or is a link to another place.
    """
    texts = []
    for number in range(len(package.license_files)):
        path = run / FOLDER / f"{number}.txt"
        if path.is_symlink() or path.parent.is_symlink():
            raise InputError(
                "A license text of the run is a symbolic link.", where=str(path), fix="remove it"
            )
        texts.append(read_limited(path, MAX_LICENSE_BYTES, "license"))
    return tuple(texts)
