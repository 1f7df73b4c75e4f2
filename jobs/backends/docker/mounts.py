"""Mounts of a job's container: the job's directory and its inputs, and nothing else of this machine.

The job's directory is writable, everything else read-only. The job gets the paths of its inputs in the
container as arguments, so that no path of this machine gets into a record.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from starfreight.errors import InputError
from starfreight.jobs.kinds.interface import Job

JOB = "/job"
"""Not ``/run``, where NVIDIA's container runtime keeps sockets of its own."""


@dataclass(frozen=True)
class Bind:
    """A file or directory of this machine at a path in the container."""

    source: Path
    target: str
    read_only: bool = True


@dataclass(frozen=True)
class Mounts:
    """Everything that a container sees of this machine.

    Attributes:
        binds: the mounts; the job's directory comes first.
        command: the job's program with the paths of its inputs in the container.
    """

    binds: tuple[Bind, ...]
    command: tuple[str, ...]

    def host_path(self, text: str | None) -> str | None:
        """The path on this machine of a path that the job reports; other text is returned unchanged."""
        for bind in self.binds:
            if text is not None and (text == bind.target or text.startswith(bind.target + "/")):
                return str(bind.source) + text.removeprefix(bind.target)
        return text


def plan_mounts(job: Job) -> Mounts:
    """The mounts of a prepared job.

    Raises:
        InputError: an input is missing, or is a link out of its mount.
    """
    binds = [Bind(job.directory.resolve(), JOB, read_only=False)]
    command = ["python", "-P", "-m", job.kind.module, JOB]
    for given in job.kind.inputs(job.directory):
        command += [given.option, _bind(given.path, given.target, binds)]
        for file in given.files:
            _check_inside(given.path.resolve() / file, binds[-1].source)
    return Mounts(tuple(binds), tuple(command))


def _bind(path: Path, target: str, binds: list[Bind]) -> str:
    """Adds the mount for ``path``; returns its path in the container.

    The last component stays the same: samples are named by it, and a file's format depends on its suffix.
    """
    try:
        source = path.resolve(strict=True)
    except OSError as error:
        raise InputError(
            "An input of the job no longer exists.",
            where=str(path),
            fix="restore it, or run the recipe again: starfreight jobs run",
        ) from error
    mounted = source
    if source.parent.name == "snapshots":  # In the hub's cache files are links to ../../blobs.
        mounted = source.parent.parent
    inside = PurePosixPath(target) / mounted.name
    binds.append(Bind(mounted, str(inside)))
    return str(inside / source.relative_to(mounted))


def _check_inside(path: Path, folder: Path) -> None:
    if not path.resolve().is_relative_to(folder):
        raise InputError(
            "A file of the base model is a link out of its directory. A container cannot follow it.",
            where=f"{path} -> {path.resolve()}",
            fix="replace the link by the file, or use the directory that holds the file",
        )
