"""A copy of a run as it is now, whose files do not change while they are sent.

Checkpoints are written once and deleted later, so they are hard links: they take no disk space, and outlive
their deletion. The other files are small and copied.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from starfreight.files import open_regular, sha256_file
from starfreight.jobs.kinds.interface import JobKind
from starfreight.results.index import OF_THE_MACHINE, ResultFile, ResultIndex

_CHUNK = 1 << 20


def stage(kind: JobKind, run: Path, job: str, into: Path) -> ResultIndex:
    """Copy a run into an empty directory.

    Args:
        kind: of its job.
        run: its directory.
        job: name of the job that sends it.
        into: on the same file system, to link checkpoints.

    Raises:
        FileNotFoundError: a checkpoint was deleted meanwhile; try again.
    """
    resume = kind.resume_paths(run)
    files = [
        _place(run, path, into, resume=True) for start in resume if _below(start, kind.scratch)
        for path in _walk(run / start)
    ]  # fmt: skip
    left_out = {*kind.scratch, *OF_THE_MACHINE}
    files += [
        _place(run, path, into, resume=False)
        for path in _walk(run)
        if not _below(path.relative_to(run).as_posix(), left_out)
    ]
    ordered = tuple(sorted(files, key=lambda one: one.path))
    return ResultIndex(kind="run", name=run.name, job=job, files=ordered)


def list_package(package: Path, name: str, job: str) -> ResultIndex:
    """The index of a finished package, whose files do not change.

    Args:
        package: its directory.
        name: the id of its run.
        job: name of the job that sends it.
    """
    files = tuple(
        ResultFile(
            path=path.relative_to(package).as_posix(), digest=sha256_file(path), size=path.stat().st_size
        )
        for path in sorted(_walk(package))
    )
    return ResultIndex(kind="package", name=name, job=job, files=files)


def state_of(kind: JobKind, run: Path) -> tuple[tuple[str, int, int], ...]:
    """A value that changes with each new checkpoint."""
    found = []
    for start in kind.resume_paths(run):
        try:
            status = (run / start).stat(follow_symlinks=False)
        except FileNotFoundError:
            continue
        found.append((start, status.st_ino, status.st_mtime_ns))
    return tuple(found)


def _walk(start: Path) -> Iterator[Path]:
    """Regular files below ``start`` or ``start`` itself, without links, hidden and unfinished ones."""
    mode = start.lstat().st_mode
    if stat.S_ISREG(mode):
        yield start
    elif stat.S_ISDIR(mode):
        for path in sorted(start.iterdir()):
            if not path.name.startswith("."):
                yield from _walk(path)


def _below(path: str, parents: set[str] | tuple[str, ...]) -> bool:
    parts = path.split("/")
    return any("/".join(parts[:count]) in parents for count in range(1, len(parts) + 1))


def _place(run: Path, path: Path, into: Path, *, resume: bool) -> ResultFile:
    relative = path.relative_to(run)
    target = into / relative
    target.parent.mkdir(parents=True, exist_ok=True)
    if resume:
        try:
            os.link(path, target, follow_symlinks=False)
        except FileNotFoundError:
            raise
        except OSError:  # Some shared volumes have no hard links.
            shutil.copyfile(path, target, follow_symlinks=False)
        size, digest = target.stat().st_size, sha256_file(target)
    else:
        size, digest = _copy(path, target)
    return ResultFile(path=relative.as_posix(), digest=digest, size=size, resume=resume)


def _copy(path: Path, target: Path) -> tuple[int, str]:
    """Copy a file as long as it is now: the job may be appending to it."""
    digest, size = hashlib.sha256(), 0
    with open_regular(path, follow=False) as stream, target.open("xb") as out:
        left = os.fstat(stream.fileno()).st_size
        while left and (piece := stream.read(min(left, _CHUNK))):
            digest.update(piece)
            out.write(piece)
            size += len(piece)
            left -= len(piece)
    return size, "sha256:" + digest.hexdigest()
