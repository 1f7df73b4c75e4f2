"""Sealed checkpoints: a checkpoint is valid only with a list of digests that matches its files."""

from __future__ import annotations

import re
from pathlib import Path

from starfreight.directories import discard, refuse_link
from starfreight.errors import InputError
from starfreight.files import read_json, sha256_file, write_json

_SEAL = "digests.json"
_PREFIX = "checkpoint-"
GENERATOR_STATES = "rng_state*.pth"
"""States of random number generators, a file for each process: kept before the first release. Now dropout
is seeded by position in the data, so that a checkpoint fits any number of processes."""
_UNUSED = ("training_args.bin", "README.md", GENERATOR_STATES)
"""Files the Trainer writes beside a checkpoint without need; the first is a pickle."""


def seal(checkpoint: Path) -> None:
    """Write the digests of a checkpoint's files, which makes it valid.

    The files also become world-readable: safetensors writes mode 0600, which locks out other users of a
    shared volume.
    """
    for pattern in _UNUSED:
        for path in checkpoint.glob(pattern):
            path.unlink()
    entries = [path for path in checkpoint.iterdir() if path.name != _SEAL and not path.is_symlink()]
    files = sorted(path for path in entries if path.is_file())
    for path in files:
        path.chmod(0o644)
    write_json(checkpoint / _SEAL, {path.name: sha256_file(path) for path in files})


def last_good(folder: Path) -> Path | None:
    """The newest valid checkpoint. Invalid ones are deleted, being of no use.

    Raises:
        InputError: ``folder`` is a symbolic link.
    """
    refuse_link(folder, below=folder.parent)
    good = None
    for checkpoint in sorted(folder.glob(_PREFIX + "*"), key=step_of):
        if _is_whole(checkpoint):
            good = checkpoint
        else:
            discard(checkpoint, below=folder.parent)
    return good


def newest_step(folder: Path) -> int | None:
    """Step of the newest sealed checkpoint, ``None`` without one. Reads no checkpoint and deletes none."""
    sealed = [step_of(path) for path in folder.glob(_PREFIX + "*") if (path / _SEAL).is_file()]
    return max((step for step in sealed if step >= 0), default=None)


def newest(folder: Path) -> Path | None:
    """The newest sealed checkpoint, ``None`` without one. Reads no checkpoint and deletes none."""
    step = newest_step(folder)
    return None if step is None else folder / f"{_PREFIX}{step}"


def step_of(checkpoint: Path) -> int:
    """Number of steps trained at a checkpoint, -1 for a directory of another name."""
    number = checkpoint.name.removeprefix(_PREFIX)
    return int(number) if re.fullmatch(r"[0-9]{1,18}", number) else -1


def _is_whole(checkpoint: Path) -> bool:
    if checkpoint.is_symlink():
        return False
    try:
        digests = read_json(checkpoint / _SEAL, 1 << 20, "checkpoint's list of digests")
        present = {path.name for path in checkpoint.iterdir() if path.name != _SEAL}
        return (
            isinstance(digests, dict)
            and present == set(digests)
            and all(sha256_file(checkpoint / name) == digest for name, digest in digests.items())
        )
    except (InputError, OSError):
        return False
