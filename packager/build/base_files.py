"""Whether a base model's folder holds the very files that an adapter was trained on."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from starfreight.console import Console
from starfreight.errors import GateError, InputError
from starfreight.files import sha256_file
from starfreight.records import FileDigest


def check_base_files(folder: Path, files: Iterable[FileDigest], console: Console) -> None:
    """Compares every file with the digest that the run recorded. It reads all of them, with a progress bar.

    Two models of one shape load with the same adapter, and the wrong one completes nonsense, so nothing less
    than the whole digest will do. Sizes are compared first, which settles most cases at once.

    Args:
        folder: the base model's.
        files: those that the run found there.
        console: shows progress.

    Raises:
        InputError: there is no such folder.
        GateError: a file is missing or another one; it names file and digests.
    """
    if not folder.is_dir():
        raise InputError("The base model's folder does not exist.", where=str(folder), fix="check the path")
    files = tuple(files)
    for file in files:
        path = folder / file.path
        if not path.is_file():
            raise _another(path, f"it has no {file.path}")
        size = path.stat().st_size
        if size != file.size:
            raise _another(path, f"{file.path} has {size:,} bytes where the run recorded {file.size:,}")
    with console.progress("Checking the base", total=sum(file.size for file in files), unit="B") as advance:
        for file in files:
            digest = sha256_file(folder / file.path, advance)
            if digest != file.digest:
                raise _another(
                    folder / file.path, f"{file.path} has the digest {digest}, the run recorded {file.digest}"
                )


def _another(path: Path, why: str) -> GateError:
    return GateError(
        f"The base model is not the one that the adapter was trained on: {why}.",
        where=str(path),
        fix="name the folder of the right one, complete and unchanged",
    )
