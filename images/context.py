"""The build context: a directory with everything an image is built from.

    Dockerfile
    torch/requirements.txt        the lock of torch's build, and its wheels (trainer only)
    libraries/requirements.txt    the lock of everything else, and its wheels
    project/starfreight-*.whl     Starfreight itself

It holds wheels only if a wheelhouse is given. Builds reuse the same directory, so that BuildKit transfers
only the changes.
"""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from starfreight.directories import delete
from starfreight.errors import InputError
from starfreight.files import disk_errors, read_limited
from starfreight.images.catalogue import DOCKERFILE, ImageSource

_LOCKED = re.compile(r"^([a-z0-9-]+)==([^ \\\n]+)", re.MULTILINE)
_LIMIT = 16 << 20
_LISTED = 8


@dataclass(frozen=True)
class LockFile:
    """The libraries of one layer: names, versions and digests of files."""

    path: Path
    layer: str
    """Its directory in the context, and the stage of the Dockerfile that installs it."""

    def packages(self) -> list[tuple[str, str]]:
        """Normalised names and versions."""
        return _LOCKED.findall(read_limited(self.path, _LIMIT, "lock file").decode())


def lock_files(source: ImageSource, torch: str | None) -> list[LockFile]:
    """The lock files of an image.

    Args:
        source: the image.
        torch: ``cuda``, ``cpu``, or ``None`` for the image's default.

    Raises:
        InputError: the image has no torch.
    """
    locks = [LockFile(source.folder / "requirements.txt", "libraries")]
    if (source.folder / "torch-cuda.txt").exists():
        return [LockFile(source.folder / f"torch-{torch or 'cuda'}.txt", "torch"), *locks]
    if torch is not None:
        raise InputError(
            f"The {source.name} image does not contain torch.", where="--torch", fix="omit --torch"
        )
    return locks


def write_context(
    folder: Path, source: ImageSource, locks: list[LockFile], wheel: Path, wheelhouse: Path | None
) -> None:
    """Writes a context, replacing the contents of the directory.

    Raises:
        InputError: the wheelhouse lacks a wheel from a lock file.
        ServiceError: the disk is full.
    """
    wheels = _wheels(wheelhouse) if wheelhouse else {}
    missing = [
        f"{name}=={version}"
        for lock in locks
        for name, version in lock.packages()
        if wheelhouse and (name, version) not in wheels
    ]
    if missing:
        more = f" and {len(missing) - _LISTED} more" if len(missing) > _LISTED else ""
        raise InputError(
            f"The wheelhouse lacks {', '.join(missing[:_LISTED])}{more}.",
            where=str(wheelhouse),
            fix="fill it with pip download --no-deps --require-hashes --dest WHEELHOUSE --requirement "
            + " --requirement ".join(str(lock.path) for lock in locks),
        )
    with disk_errors(folder):
        delete(folder, below=folder.parent)
        folder.mkdir(parents=True)
        _place(source.folder / DOCKERFILE, folder / DOCKERFILE)
        _place(wheel, folder / "project" / wheel.name)
        for lock in locks:
            _place(lock.path, folder / lock.layer / "requirements.txt")
            for package in lock.packages():
                for path in wheels.get(package, ()):
                    _place(path, folder / lock.layer / path.name)


def _wheels(wheelhouse: Path) -> dict[tuple[str, str], list[Path]]:
    if not wheelhouse.is_dir():
        raise InputError("The wheelhouse is not a directory.", where=str(wheelhouse), fix="check the path")
    found: dict[tuple[str, str], list[Path]] = {}
    for path in sorted(wheelhouse.glob("*.whl")):
        name, dash, rest = path.name.partition("-")
        if not dash:  # Not a wheel's name.
            continue
        version = rest.partition("-")[0]
        found.setdefault((re.sub(r"[-_.]+", "-", name).lower(), version), []).append(path.resolve())
    return found


def _place(path: Path, target: Path) -> None:
    """Makes a hard link if possible, otherwise a copy. Both keep the file's modification time."""
    target.parent.mkdir(exist_ok=True)
    try:
        os.link(path, target)
    except OSError:
        shutil.copy2(path, target)
