"""What a job's container sees of this machine: the run's folder, the base model and the data, and no more.

The run's folder can be written to, everything else only read. ``inputs.json`` names the places on this
machine; the job is told those in its container by arguments, so that nothing of them gets into a record.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from starfreight.errors import InputError
from starfreight.run import Inputs, Run

RUN = "/job"
"""Not ``/run``, where NVIDIA's container runtime puts sockets of its own."""
BASE = "/base"
DATA = "/data"


@dataclass(frozen=True)
class Bind:
    """A file or folder of this machine at a place in the container."""

    source: Path
    target: str
    read_only: bool = True


@dataclass(frozen=True)
class Layout:
    """All that a container sees.

    Attributes:
        binds: what is mounted; the run's folder comes first.
        base: where the base model lies in the container.
        data: where each source lies in the container.
    """

    binds: tuple[Bind, ...]
    base: str
    data: tuple[str, ...]

    def command(self) -> list[str]:
        """What the container runs."""
        data = [part for place in self.data for part in ("--data", place)]
        return ["python", "-P", "-m", "starfreight.jobs.train", RUN, "--base", self.base, *data]

    def on_this_machine(self, text: str | None) -> str | None:
        """A place that the job names, as it is called on this machine."""
        for bind in self.binds:
            if text is not None and (text == bind.target or text.startswith(bind.target + "/")):
                return str(bind.source) + text.removeprefix(bind.target)
        return text


def lay_out(folder: Path, run: Run) -> Layout:
    """Where everything of a prepared run goes.

    Args:
        folder: the run's folder.
        run: its record.

    Raises:
        InputError: an input is not there any more, or is a link to a place that would not be mounted.
    """
    inputs = Inputs.load(folder)
    binds = [Bind(folder.resolve(), RUN, read_only=False)]
    base = _bind(Path(inputs.base), BASE, binds)
    for file in run.base.files:
        _check_inside(Path(inputs.base).resolve() / file.path, binds[-1].source)
    data = [_bind(Path(path), f"{DATA}/{number}", binds) for number, path in enumerate(inputs.data)]
    return Layout(tuple(binds), base, tuple(data))


def _bind(path: Path, target: str, binds: list[Bind]) -> str:
    """Adds what has to be mounted for ``path`` to be read; returns where it is then.

    Its last name stays: what a source calls its samples and how a file is read depend on it.
    """
    try:
        source = path.resolve(strict=True)
    except OSError as error:
        raise InputError(
            "An input of the run is not there any more.",
            where=str(path),
            fix="restore it, or run the recipe again: starfreight jobs run",
        ) from error
    mounted = source
    if source.parent.name == "snapshots":  # The hub's cache, whose files are links to its blobs.
        mounted = source.parent.parent
    place = PurePosixPath(target) / mounted.name
    binds.append(Bind(mounted, str(place)))
    return str(place / source.relative_to(mounted))


def _check_inside(path: Path, folder: Path) -> None:
    if not path.resolve().is_relative_to(folder):
        raise InputError(
            "A file of the base model is a link out of its folder, where a container cannot follow.",
            where=f"{path} -> {path.resolve()}",
            fix="put the file itself there, or name the folder that it lies in",
        )
