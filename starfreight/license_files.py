"""License texts: copied from beside the recipe into the run, and required of every package.

A package publishes these texts. For this reason, neither a recipe nor a run from somebody else may name a
file elsewhere on this machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from starfreight.checkpoint.files import license_paths
from starfreight.errors import GateError, InputError, RecipeError
from starfreight.files import read_limited, write_bytes
from starfreight.recipe import PackageOptions

FOLDER = "licenses"
MAX_LICENSE_BYTES = 1 << 20


def read_beside_recipe(package: PackageOptions, folder: Path) -> tuple[bytes, ...]:
    """Reads the texts that a recipe names, in its order.

    Args:
        package: the recipe's section.
        folder: the recipe's directory, which must contain the files.

    Raises:
        RecipeError: a file is outside the directory.
        InputError: a file is missing, unreadable, or larger than 1 MiB.
    """
    texts = []
    for name in package.license_files:
        path = (folder / name).resolve()
        if not path.is_relative_to(folder.resolve()):
            raise RecipeError(
                f"The license file {name!r} is outside the recipe's directory.",
                where="key package.license_files",
                fix="copy it beside the recipe: its text will be published",
            )
        texts.append(read_limited(path, MAX_LICENSE_BYTES, "license"))
    return tuple(texts)


def keep_in_run(texts: tuple[bytes, ...], run: Path) -> None:
    """Writes the texts to a run's directory."""
    for number, text in enumerate(texts):
        write_bytes(run / FOLDER / f"{number}.txt", text, below=run)


def read_from_run(package: PackageOptions, run: Path) -> tuple[bytes, ...]:
    """Reads the texts written by :func:`keep_in_run`.

    Raises:
        InputError: a text is missing, or is a symbolic link.
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


def find_license_texts(
    package: PackageOptions, base_license: str, base: Path | None, added: Sequence[bytes]
) -> tuple[tuple[str, bytes], ...]:
    """The license texts of the tuned model, with the text that comes with Starfreight if the base has none.

    Args:
        package: the recipe's section, which may name a license of its own.
        base_license: the base model's license.
        base: the base model's directory, whose LICENSE files are included; ``None`` if it is not here yet.
        added: the texts of the recipe's license files.

    Returns:
        SPDX identifier (or ``LicenseRef-...``) and text of each: first those of the base model.

    Raises:
        InputError: a file of the base model is unreadable, or larger than 1 MiB.
    """
    from starfreight.licenses.expression import license_names

    names = license_names(base_license)
    texts = [
        (base_license, read_limited(path, MAX_LICENSE_BYTES, "license"))
        for path in (license_paths(base) if base is not None else ())
        if _is_license(path.name)
    ]
    given = [(_license_of(text, package.license or base_license, names), text) for text in added]
    if not texts:
        texts = [(name, text) for name in names if (text := _text_that_ships(name, added)) is not None]
    return (*texts, *given)


def require_license_texts(
    package: PackageOptions, base_license: str, base: Path, added: Sequence[bytes]
) -> tuple[tuple[str, bytes], ...]:
    """The license gate: a model without any license text may not be packaged.

    Arguments and result as for :func:`find_license_texts`.

    Raises:
        GateError: there is no license text.
        InputError: a file of the base model is unreadable, or larger than 1 MiB.
    """
    texts = find_license_texts(package, base_license, base, added)
    if not texts:
        raise GateError(
            f"The text of the license {package.license or base_license} is missing, and the model may not be "
            "shipped without it.",
            where=f"{base} has no LICENSE file, and package.license_files is empty",
            fix="save the license's text beside the recipe and name it in package.license_files",
        )
    return texts


def _is_license(name: str) -> bool:
    return name.upper().startswith(("LICENSE", "LICENCE"))


def _license_of(text: bytes, stated: str, base: Sequence[str]) -> str:
    """The license of a text of the recipe: the stated one, unless it is recognised as one of the base's."""
    from starfreight.licenses.registry import find_license, has_phrases

    words = text.decode(errors="replace")
    if has_phrases(find_license(stated), words):
        return stated
    return next((name for name in base if has_phrases(find_license(name), words)), stated)


def _text_that_ships(name: str, added: Sequence[bytes]) -> bytes | None:
    """The text of a license that comes with Starfreight, unless the recipe brings it."""
    from starfreight.licenses.registry import find_license, has_phrases, license_text

    license = find_license(name)
    if any(has_phrases(license, text.decode(errors="replace")) for text in added):
        return None
    return license_text(name)
