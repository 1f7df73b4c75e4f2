"""A kind of job: its program, its image and needs, its record, and the test for being done.

Backends run jobs of any kind and know none by name::

    kind = find_kind("train")
    (directory,) = kind.prepare([recipe], recipe_directory, Path("runs"), console)
    job = kind.load(directory)

A new kind is a directory with its program and an implementation of :class:`JobKind`, and a line in
:mod:`starfreight.jobs.kinds.table`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from starfreight.console import Console
    from starfreight.jobs.planning.pod import PodResources
    from starfreight.recipe import Recipe
    from starfreight.recipe.run import RunOptions


@dataclass(frozen=True)
class JobInput:
    """A file or directory that a job reads, outside its own directory.

    Attributes:
        option: the option of the kind's program that takes its path, e.g. ``--base``.
        path: on this machine.
        target: the directory that a container mounts it in, e.g. ``/base``.
        files: paths inside it that must not be links out of it.
    """

    option: str
    path: Path
    target: str
    files: tuple[str, ...] = ()


@dataclass(frozen=True)
class Job:
    """A prepared job, as its record describes it.

    Attributes:
        kind: its kind.
        id: the name of its directory among all runs.
        directory: its own directory, the only one it writes to.
        options: the resources it may use.
        status: ``prepared``, ``running``, ``stopped``, ``failed`` or ``done``.
        started: time of its first start in the format of records, if it has been started.
    """

    kind: JobKind
    id: str
    directory: Path
    options: RunOptions
    status: str
    started: str | None = None


@dataclass(frozen=True)
class Figures:
    """Figures of a job.

    Attributes:
        data: for ``--json``.
        rows: for people: a label and its value each.
    """

    data: Mapping[str, Any]
    rows: tuple[tuple[str, str], ...]


class JobKind(Protocol):
    """A kind of job."""

    @property
    def name(self) -> str:
        """Name in commands, in the table, and of the first step of a pod."""
        ...

    @property
    def activity(self) -> str:
        """Completes the sentence "The job failed while ...", e.g. ``training``."""
        ...

    @property
    def module(self) -> str:
        """Program of the job: ``python -P -m MODULE DIRECTORY [OPTION PATH ...]``.

        It reports events (:mod:`starfreight.jobs.protocol.events`) on standard output and exits with a
        documented code. On SIGTERM it writes a checkpoint and exits with 75.
        """
        ...

    @property
    def image(self) -> str:
        """Image of its containers, by its name in ``starfreight images build``."""
        ...

    @property
    def libraries(self) -> tuple[str, ...]:
        """Modules that a plain process needs."""
        ...

    @property
    def extra(self) -> str:
        """Extra of Starfreight that installs them."""
        ...

    @property
    def secrets(self) -> tuple[str, ...]:
        """Environment variables with credentials that its program reads on this machine, if they are set."""
        ...

    @property
    def runs_generated_code(self) -> bool:
        """True if its program runs code that a model wrote, in a sandbox: places to write are then small."""
        ...

    @property
    def record_file(self) -> str:
        """Name of the record in the job's directory. It identifies the kind."""
        ...

    @property
    def scratch(self) -> tuple[str, ...]:
        """Paths in the job's directory needed only to resume; they are not fetched from a cluster."""
        ...

    def resume_paths(self, directory: Path) -> tuple[str, ...]:
        """Paths in the job's directory that a new machine needs to resume, as far as they are complete now.

        They are sent to a store of results, also those in :attr:`scratch`. A new checkpoint is a new path, or
        a file that was replaced. Files in scratch never change once they are listed.
        """
        ...

    @property
    def pod_steps(self) -> tuple[str, ...]:
        """Steps of its pods, the job itself first; ``run.kubernetes.until`` selects the last one to run."""
        ...

    @property
    def memory_advice(self) -> str:
        """Advice for a job that ran out of memory, e.g. ``lower training.batch_size``."""
        ...

    def prepare(
        self,
        recipes: Sequence[Recipe],
        folder: Path,
        runs: Path,
        console: Console,
        is_active: Callable[[Path], bool] = lambda directory: False,
        *,
        part: str = "",
        ship: bool = False,
    ) -> list[Path]:
        """Makes the directory of each recipe's job, or finds the one of an earlier command.

        Args:
            recipes: without a sweep in them.
            folder: the directory that their relative paths start from.
            runs: the directory of all runs.
            console: shows progress.
            is_active: true for a directory whose job is running, which is left as it is.
            part: separates this work from others preparing the same data at the same time.
            ship: the results will be packaged: check the licenses first.

        Raises:
            GateError: a license is missing, with ``ship``.
            StarfreightError: an input is missing or cannot be used.
        """
        ...

    def load(self, directory: Path) -> Job:
        """Reads the record.

        Raises:
            InputError: the record cannot be read.
        """
        ...

    def inputs(self, directory: Path) -> tuple[JobInput, ...]:
        """Inputs of a prepared job on this machine.

        Raises:
            InputError: the list of inputs cannot be read.
        """
        ...

    def is_done(self, directory: Path) -> bool:
        """True if the job has finished and its results are intact."""
        ...

    def main(self, arguments: list[str]) -> int:
        """Runs the program in this process and returns its exit code."""
        ...

    def progress(self, directory: Path, *, active: bool) -> Figures:
        """Figures for ``jobs status``; ``active`` if the job is running."""
        ...

    def headline(self, directory: Path) -> Figures:
        """Figures for a line of ``jobs list``."""
        ...

    def next_step(self, directory: Path) -> str:
        """Line for people after the job has finished: its result, and the command to run next."""
        ...

    def pod_resources(self, recipe: Recipe, folder: Path) -> PodResources:
        """Resources of a pod that runs this job."""
        ...

    def pod_model(self, recipe: Recipe) -> str | None:
        """The packaged model that a pod reads instead of the recipe's data and base model.

        A path on the volume of runs, or an ``oci://`` reference. ``None`` for a kind that reads the data.

        Raises:
            RecipeError: the recipe names no model that a pod can read.
        """
        ...
