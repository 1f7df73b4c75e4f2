"""A backend runs jobs: as processes, in containers, or in a cluster.

    backend = open_backend("docker", Location(runs=Path("runs")))
    submitted = backend.submit(JobRequest(find_kind("train"), recipe_file), console)
    for line in backend.lines(submitted.results[0], follow=True, console=console):
        print(line.text)

Commands call these methods and know no backend by name. A job is found again from any terminal: by its
directory or id on this machine, by its name in a cluster. A new backend is a directory, and a line in
:mod:`starfreight.jobs.backends.table`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from starfreight.console import Console
    from starfreight.jobs.kinds.interface import JobKind
    from starfreight.jobs.prune.rules import PruneRules
    from starfreight.recipe import RecipeFile


@dataclass(frozen=True)
class Location:
    """Location of jobs.

    Attributes:
        runs: the directory of all runs on this machine.
        namespace: of a cluster; the kubeconfig's by default.
        context: of the kubeconfig; its current one by default.
    """

    runs: Path = Path("runs")
    namespace: str | None = None
    context: str | None = None


@dataclass(frozen=True)
class JobRequest:
    """A request to run the jobs of a recipe.

    Attributes:
        kind: of the jobs.
        file: the recipe, with the command line's options in it.
        detach: start the jobs without following them.
        last_step: last step to run instead of the recipe's, if the backend runs later steps.
        ship: true if the results will be packaged: a missing license is then an error before the job runs.
        replace: delete a job that exists already, and submit it again with these options; its checkpoints are
            kept. Only for backends whose jobs keep the options that they were submitted with.
    """

    kind: JobKind
    file: RecipeFile
    detach: bool = False
    last_step: str | None = None
    ship: bool = False
    replace: bool = False


@dataclass(frozen=True)
class Report:
    """The result of a command: as plain data for ``--json``, and as text."""

    data: Mapping[str, Any]
    text: str


@dataclass(frozen=True)
class Submitted:
    """Jobs submitted to a backend.

    Attributes:
        results: names for :meth:`Backend.fetch`, one for each variant of the recipe.
        report: for the user.
    """

    results: tuple[str, ...]
    report: Report


@dataclass(frozen=True)
class Fetched:
    """Results on this machine.

    Attributes:
        directory: of the job, e.g. of a run.
        package: directory of the job's package, if it was fetched.
    """

    directory: Path
    package: Path | None = None


@dataclass(frozen=True)
class FetchedVariants:
    """Results of all variants of a job.

    Attributes:
        fetched: of each variant that has ended, by the name of the variant.
        failed: names of the variants that failed. Those with a run are fetched, too.
        unfinished: names of the variants that have not ended.
        is_one: true for a job without variants, or one variant alone.
    """

    fetched: Mapping[str, Fetched]
    failed: tuple[str, ...] = ()
    unfinished: tuple[str, ...] = ()
    is_one: bool = False


@dataclass(frozen=True)
class Deletion:
    """The deletion of a job, which the user may still refuse.

    Attributes:
        deleted: description of the objects to delete.
        kept: description of the job's results, which are kept.
        carry_out: deletes the objects, and reports it.
    """

    deleted: str
    kept: str
    carry_out: Callable[[], Report]


@dataclass(frozen=True)
class LogLine:
    """A line of a job's output.

    Attributes:
        text: an event (:mod:`starfreight.jobs.protocol.events`), or output of a library.
        prefix: shown before the text; the variant's number if the job has several.
        fields: added to the line's JSON object, e.g. the pod.
    """

    text: str
    prefix: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)


class Backend(Protocol):
    """Runs jobs of any kind, finds them again, and returns their results.

    Every method may raise ServiceError if the backend does not answer, and InputError for an unknown job.
    """

    @property
    def runs_later_steps(self) -> bool:
        """True if a job also packages and publishes; otherwise these steps run on this machine."""
        ...

    def submit(self, request: JobRequest, console: Console) -> Submitted:
        """Runs the jobs of a recipe and follows them to their end, unless ``request.detach`` is set.

        A finished job is not run again, an interrupted one is resumed, and a running one is followed.

        Raises:
            JobStopped: a job was stopped on request; its checkpoint is written.
            JobFailed: a job failed.
            StarfreightError: a job cannot be started, or reported an error.
        """
        ...

    def state(self, name: str, console: Console) -> Report:
        """State and progress of a job."""
        ...

    def lines(self, name: str, *, follow: bool, console: Console) -> Iterator[LogLine]:
        """Output of a job from its beginning; with ``follow``, until the job ends."""
        ...

    def cancel(self, name: str, console: Console, *, patience: float) -> Report:
        """Stops a job with a checkpoint, and waits at most ``patience`` seconds for its end.

        Raises:
            InputError: no such job is running.
            ServiceError: the job has not ended in time. It is not killed.
        """
        ...

    def resume(self, name: str, console: Console, *, detach: bool) -> Report:
        """Resumes a job from its last checkpoint with the options it had, and follows it."""
        ...

    def fetch(self, name: str, runs: Path, console: Console, packages: Path | None = None) -> Fetched:
        """Copies a job's results into ``runs`` and, if given, its package into ``packages``."""
        ...

    def fetch_variants(
        self,
        name: str,
        runs: Path,
        console: Console,
        packages: Path | None = None,
        *,
        only_if_built: bool = False,
    ) -> FetchedVariants:
        """As :meth:`fetch`, for every variant of a sweep that has ended, or for a job without variants.

        With ``only_if_built``, a job that has no package is fetched without one.
        """
        ...

    def deletion(self, name: str, console: Console) -> Deletion:
        """The deletion of a job. Nothing is deleted yet.

        Raises:
            InputError: the job cannot be deleted without its results.
        """
        ...

    def list_jobs(self, console: Console) -> Report:
        """Jobs of this backend."""
        ...

    def prune(self, rules: PruneRules, packages: Path, console: Console, *, delete: bool) -> Report:
        """Selects runs by rules, and removes them with ``delete``; runs that ``packages`` name are kept."""
        ...
