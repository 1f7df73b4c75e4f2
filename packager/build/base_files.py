"""Check that a base model's directory holds the files that an adapter was trained on."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from starfreight.checkpoint.files import deciding_files
from starfreight.console import Console
from starfreight.errors import GateError, InputError
from starfreight.files import sha256_file
from starfreight.records import FileDigest


def check_base_files(folder: Path, files: Iterable[FileDigest], console: Console) -> None:
    """Compare every file with the digest in the run's record. Reads all of them, with a progress bar.

    An adapter also loads on another model of the same shape and then completes nonsense, so names and sizes
    are not enough. Sizes are compared first because they settle most cases at once.

    Args:
        folder: the base model's directory.
        files: the files recorded by the run.
        console: shows progress.

    Raises:
        InputError: the directory does not exist, or has no weights or two sets of them.
        GateError: a file is missing, differs or was added; file and digests are named.
    """
    if not folder.is_dir():
        raise InputError(
            "The base model's directory does not exist.", where=str(folder), fix="check the path"
        )
    files = tuple(files)
    for file in files:
        path = folder / file.path
        if not path.is_file():
            raise _another(path, f"it has no {file.path}")
        size = path.stat().st_size
        if size != file.size:
            raise _another(path, f"{file.path} has {size:,} bytes where the run recorded {file.size:,}")
    recorded = {file.path for file in files}
    for name in deciding_files(folder):
        if name not in recorded:
            raise _another(folder / name, f"the run recorded no {name}")
    with console.progress("Checking the base", total=sum(file.size for file in files), unit="B") as advance:
        for file in files:
            digest = sha256_file(folder / file.path, advance)
            if digest != file.digest:
                raise _another(
                    folder / file.path, f"{file.path} has the digest {digest}, the run recorded {file.digest}"
                )


def _another(path: Path, why: str) -> GateError:
    return GateError(
        f"The base model is not the one the adapter was trained on: {why}.",
        where=str(path),
        fix="name the directory of the right one, complete and unchanged",
    )
