"""Inside the cluster: writes a run's folder to standard output as a tar, for ``jobs fetch``.

    python -P -m starfreight.jobs.backends.kubernetes.run_archive /runs/.jobs/NAME

The first member, ``files.json``, names each file with its size and its digest, so that whoever reads it can
tell a whole stream from one that broke off. What only going on needs is left behind.
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

_LEFT_BEHIND = (
    "checkpoints",
    "data/blocks.bin",
    "data/blocks.json",
    "inputs.json",
    "job.json",
    "tensorboard",
)


def main(arguments: list[str]) -> int:
    """Writes the tar; returns 2 when the folder is not there."""
    folder = Path(arguments[0])
    if not (folder / "run.json").is_file():
        print(f"There is no run in {folder}: the job has not prepared one yet.", file=sys.stderr)
        return 2
    files = [(path, _look(path)) for path in run_files(folder.resolve())]
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


def run_files(folder: Path) -> Iterator[Path]:
    """The files of a run that are worth bringing home, in the order of their names; no links."""
    for parent, folders, names in os.walk(folder):
        inside = Path(parent)
        folders[:] = sorted(one for one in folders if _wanted(inside / one, folder))
        for name in sorted(names):
            path = inside / name
            if _wanted(path, folder) and stat.S_ISREG(path.lstat().st_mode):
                yield path


def _wanted(path: Path, folder: Path) -> bool:
    return path.relative_to(folder).as_posix() not in _LEFT_BEHIND and not path.name.startswith(".")


def _look(path: Path) -> tuple[int, str]:
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
