"""Check that a base model's directory holds the files that an adapter was trained on."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from starfreight.checkpoint import StreamedBase, folder_of
from starfreight.checkpoint.files import deciding_files
from starfreight.checkpoint.streamed_base import streamed_sizes
from starfreight.console import Advance, Console
from starfreight.errors import GateError, InputError
from starfreight.files import sha256_file
from starfreight.records import FileDigest


def check_base_files(base: Path | StreamedBase, files: Iterable[FileDigest], console: Console) -> None:
    """Compare every file with the digest in the run's record. Reads all of them, with a progress bar.

    An adapter also loads on another model of the same shape and then completes nonsense, so names and sizes
    are not enough. Sizes are compared first because they settle most cases at once.

    Args:
        base: the base model. The weights of a streamed base can be read afterwards.
        files: the files recorded by the run.
        console: shows progress.

    Raises:
        InputError: the directory does not exist, or has no weights or two sets of them.
        GateError: a file is missing, differs or was added; file and digests are named.
        ServiceError: the source of a streamed base fails.
    """
    folder = folder_of(base)
    if not folder.is_dir():
        raise InputError(
            "The base model's directory does not exist.", where=str(folder), fix="check the path"
        )
    files = tuple(files)
    for file in files:
        size = file_size(base, file.path)
        path = folder / file.path
        if size is None:
            raise _another(path, f"it has no {file.path}")
        if size != file.size:
            raise _another(path, f"{file.path} has {size:,} bytes where the run recorded {file.size:,}")
    recorded = {file.path for file in files}
    for name in deciding_files(base):
        if name not in recorded:
            raise _another(folder / name, f"the run recorded no {name}")
    with console.progress("Checking the base", total=sum(file.size for file in files), unit="B") as advance:
        for file in files:
            digest = file_digest(base, file.path, advance)
            if digest != file.digest:
                raise _another(
                    folder / file.path, f"{file.path} has the digest {digest}, the run recorded {file.digest}"
                )


def file_size(base: Path | StreamedBase, name: str) -> int | None:
    """Bytes of a file of a base model; ``None`` if it has no such file."""
    streamed = streamed_sizes(base)
    if name in streamed:
        return streamed[name]
    path = folder_of(base) / name
    return path.stat().st_size if path.is_file() else None


def file_digest(base: Path | StreamedBase, name: str, advance: Advance) -> str:
    """The digest of a file of a base model; the weights of a streamed base can be read afterwards.

    Raises:
        InputError: it is not a regular file.
        GateError: a server sent other bytes than before.
        ServiceError: the source of a streamed base fails.
    """
    if isinstance(base, StreamedBase) and name in base.weights.sizes:
        return base.weights.verify(name, advance)
    return sha256_file(folder_of(base) / name, advance)


def check_published(base: StreamedBase, console: Console) -> None:
    """Compare the weights of a streamed base with the digests that its source gives for them.

    Args:
        base: the base model. Its weights can be read afterwards.
        console: shows progress.

    Raises:
        InputError: it has no weights, or two sets of them.
        GateError: a file has another digest.
        ServiceError: the source fails.
    """
    weights = base.weights
    names = [name for name in deciding_files(base) if name in weights.sizes]
    total = sum(weights.sizes[name] for name in names)
    with console.progress("Checking the base", total=total, unit="B") as advance:
        for name in names:
            digest = weights.verify(name, advance)
            if digest != weights.published[name]:
                raise GateError(
                    f"The server sent bytes with the digest {digest}, and names {weights.published[name]}.",
                    where=f"{weights.where}/{name}",
                    fix="do not use them; check the proxies on the way, or ask the server's operator",
                )


def _another(path: Path, why: str) -> GateError:
    return GateError(
        f"The base model is not the one the adapter was trained on: {why}.",
        where=str(path),
        fix="name the directory of the right one, complete and unchanged",
    )
