"""Runs in a pod for ``jobs fetch``: writes a run or a package to standard output as a tar.

    python -P -m starfreight.jobs.backends.kubernetes.run_archive /runs/.jobs/NAME

The first member, ``files.json``, lists each file with its size and digest, so that the receiver can detect a
stream that broke off. Files needed only to resume are left out.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import stat
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

INDEX = "files.json"

_OF_THE_MACHINE = ("inputs.json", "job.json")
"""Files that describe the machine that ran the job."""


def main(arguments: list[str]) -> int:
    """Writes the tar; returns 2 if the directory holds neither a run nor a package."""
    from starfreight.jobs.kinds.table import kind_of

    folder = Path(arguments[0])
    kind = kind_of(folder)
    if kind is None and not (folder / "package.json").is_file():
        print(f"{folder} holds neither a run nor a package yet.", file=sys.stderr)
        return 2
    left_out = {*_OF_THE_MACHINE, *(kind.scratch if kind else ())}
    files = [(path, _measure(path)) for path in _files(folder.resolve(), left_out)]
    listed = [
        {"path": path.relative_to(folder.resolve()).as_posix(), "size": size, "digest": digest}
        for path, (size, digest) in files
    ]
    with tarfile.open(fileobj=sys.stdout.buffer, mode="w|", format=tarfile.PAX_FORMAT) as tar:
        index = json.dumps({"run": folder.resolve().name, "files": listed}).encode()
        tar.addfile(_member(INDEX, len(index)), io.BytesIO(index))
        for (path, (size, _)), entry in zip(files, listed, strict=True):
            with path.open("rb") as stream:
                tar.addfile(_member(str(entry["path"]), size), stream)
    sys.stdout.buffer.flush()
    return 0


def _files(folder: Path, left_out: set[str]) -> Iterator[Path]:
    """Yields the files to fetch in the order of their names, without links."""
    for parent, folders, names in os.walk(folder):
        inside = Path(parent)
        folders[:] = sorted(one for one in folders if _wanted(inside / one, folder, left_out))
        for name in sorted(names):
            path = inside / name
            if _wanted(path, folder, left_out) and stat.S_ISREG(path.lstat().st_mode):
                yield path


def _wanted(path: Path, folder: Path, left_out: set[str]) -> bool:
    return path.relative_to(folder).as_posix() not in left_out and not path.name.startswith(".")


def _measure(path: Path) -> tuple[int, str]:
    """Size and digest of a file."""
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as stream:
        while piece := stream.read(1 << 20):
            digest.update(piece)
            size += len(piece)
    return size, "sha256:" + digest.hexdigest()


def _member(name: str, size: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size = size
    return member


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
