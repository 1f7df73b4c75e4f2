"""Copies a run and its package from the store of the job's results, or from the cluster's volume.

A job with ``run.kubernetes.results`` names the store in an annotation: then neither the volume nor a pod is
needed. A volume is read through the API alone: a short-lived Job, the reader, mounts it read-only, and a
program in its pod sends the files as a tar. The directory gets its final name only after the digest of each
file was checked.
"""

from __future__ import annotations

import contextlib
import io
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from starfreight.console import Console, human_count
from starfreight.directories import discard, refuse_link
from starfreight.directory_lock import only_one
from starfreight.errors import InputError, StarfreightError
from starfreight.files import PARTIAL_PREFIX, disk_errors
from starfreight.jobs.backends.interface import Fetched, FetchedVariants
from starfreight.jobs.backends.kubernetes.client.cluster import Cluster
from starfreight.jobs.backends.kubernetes.client.fetched_directory import (
    check_job,
    check_package,
    check_replaceable,
)
from starfreight.jobs.backends.kubernetes.client.job_status import view
from starfreight.jobs.backends.kubernetes.client.pod_exec import Execution
from starfreight.jobs.backends.kubernetes.client.reader_pod import RUNS, reader_job, reader_pod
from starfreight.jobs.backends.kubernetes.client.targets import JOB, Target, pod_templates, results_of
from starfreight.jobs.backends.kubernetes.client.unpack import Unpacking
from starfreight.jobs.backends.kubernetes.manifests.templates import Object
from starfreight.results.address import ResultAddress
from starfreight.results.receive import put_in_place


def fetch(
    cluster: Cluster,
    target: Target,
    job: Object,
    runs: Path,
    console: Console,
    packages: Path | None = None,
    *,
    only_if_built: bool = False,
) -> Fetched:
    """Copies the run of a job to this machine, and its package if ``packages`` is given.

    Args:
        cluster: the cluster.
        target: the job, or one variant of it.
        job: its object.
        runs: the directory of all runs on this machine.
        console: shows progress.
        packages: the directory of all packages.
        only_if_built: a missing package is fine.

    Raises:
        InputError: the run or the package does not exist yet, or its directory here is another's.
        GateError: a file does not match its digest.
        ServiceError: the pod does not start, the connection is lost, or the disk is full.
    """
    wanted = _Wanted(runs, packages, only_if_built).of(job)
    with _open_source(cluster, target, job, console, wanted) as take:
        return take(target, wanted.packages)


def fetch_variants(
    cluster: Cluster,
    target: Target,
    job: Object,
    runs: Path,
    console: Console,
    packages: Path | None = None,
    *,
    only_if_built: bool = False,
) -> FetchedVariants:
    """Copies the runs of all variants of a sweep that have ended, by one reader.

    A failed variant without a run, and one whose pods have not prepared it, is left out with a note.

    Args:
        cluster: the cluster.
        target: the sweep.
        job: its object.
        runs: the directory of all runs on this machine.
        console: shows progress.
        packages: the directory of all packages.
        only_if_built: missing packages are fine.

    Raises:
        InputError: no variant has ended yet.
        StarfreightError: a variant that is done cannot be fetched; the others are.
    """
    now = view(job)
    ended = sorted({*now.done_variants, *now.failed_variants})
    if now.status == "done":  # All of them, also on servers that keep no list.
        ended = list(range(now.pods))
    if not ended:
        raise InputError(
            f"None of the {now.pods} variants of {target.name} has ended yet.",
            where=f"namespace {cluster.namespace}",
            fix=f"wait for it: starfreight jobs status {target.name} {cluster.on}",
        )
    fetched: dict[str, Fetched] = {}
    errors: list[StarfreightError] = []
    wanted = _Wanted(runs, packages, only_if_built).of(job)
    with _open_source(cluster, target, job, console, wanted) as take:
        for number in ended:
            variant = replace(target, variant=number)
            failed = number in now.failed_variants
            try:
                # A failed variant has no package.
                fetched[variant.link] = take(variant, None if failed else wanted.packages)
            except StarfreightError as error:
                console.note(f"{variant.link} is not fetched: {error.what}")
                errors += [] if failed and isinstance(error, InputError) else [error]
    if errors:
        raise errors[0]
    names = {number: replace(target, variant=number).link for number in range(now.pods)}
    return FetchedVariants(
        fetched,
        tuple(names[number] for number in now.failed_variants if number in names),
        tuple(name for number, name in names.items() if number not in ended),
    )


def fetch_jobs(
    cluster: Cluster,
    jobs: Sequence[Object],
    runs: Path,
    console: Console,
    packages: Path | None = None,
    *,
    only_if_built: bool = False,
) -> FetchedVariants:
    """As :func:`fetch_variants`, for a sweep with a Job for each variant.

    Args:
        cluster: the cluster.
        jobs: the Jobs of the variants.
        runs: the directory of all runs on this machine.
        console: shows progress.
        packages: the directory of all packages.
        only_if_built: missing packages are fine.

    Raises:
        StarfreightError: a variant that is done cannot be fetched; the others are.
    """
    fetched: dict[str, Fetched] = {}
    errors: list[StarfreightError] = []
    status = {str(job["metadata"]["name"]): view(job).status for job in jobs}
    for job in jobs:
        name = str(job["metadata"]["name"])
        failed = status[name] == "failed"
        if not failed and status[name] != "done":
            continue
        try:
            wanted = None if failed else packages
            fetched[name] = fetch(
                cluster, Target(JOB, name), job, runs, console, wanted, only_if_built=only_if_built
            )
        except StarfreightError as error:
            console.note(f"{name} is not fetched: {error.what}")
            errors += [] if failed and isinstance(error, InputError) else [error]
    if errors:
        raise errors[0]
    return FetchedVariants(
        fetched,
        tuple(name for name, word in status.items() if word == "failed"),
        tuple(name for name, word in status.items() if word not in ("done", "failed")),
    )


@dataclass(frozen=True)
class _Wanted:
    """Directories on this machine."""

    runs: Path
    packages: Path | None
    only_if_built: bool

    def of(self, job: Object) -> _Wanted:
        """The same without packages for a job that does not package, if they are not required."""
        builds = any(
            step["name"] == "package"
            for template in pod_templates(job)
            for key in ("initContainers", "containers")
            for step in (template.get("spec") or {}).get(key) or ()
        )
        return self if builds or not self.only_if_built else replace(self, packages=None)


@contextlib.contextmanager
def _open_source(
    cluster: Cluster, target: Target, job: Object, console: Console, wanted: _Wanted
) -> Iterator[Callable[[Target, Path | None], Fetched]]:
    """A function that copies the run and package of a target: from the store of results, or by a reader."""
    place = results_of(job)
    if place is not None:
        from starfreight.jobs.results.fetch import fetch_result

        yield lambda one, packages: fetch_result(
            ResultAddress(place, one.link, None), wanted.runs, console, packages,
            only_if_built=wanted.only_if_built,
        )  # fmt: skip
        return
    with (
        only_one(wanted.runs, "fetching"),
        reader_pod(cluster, reader_job(job, target), job, console) as pod,
    ):
        yield lambda one, packages: _fetch_one(
            _Source(cluster, pod, one, console, wanted.only_if_built), wanted.runs, packages
        )


def _fetch_one(source: _Source, runs: Path, packages: Path | None) -> Fetched:
    """Copies one run, and its package if ``packages`` is given, in a pod that is running."""
    link = source.target.link
    directory = source.copy(f"{RUNS}/.jobs/{link}", runs, None, check_job)
    if packages is None:
        return Fetched(directory)
    with only_one(packages, "fetching"):
        path = f"{RUNS}/packages/{link}"
        try:
            return Fetched(directory, source.copy(path, packages, directory.name, check_package))
        except InputError as error:
            if not source.only_if_built:
                raise
            source.console.note(f"The package of {link} is not fetched: {error.what}")
            return Fetched(directory)


@dataclass(frozen=True)
class _Source:
    """The volume in the reader's pod."""

    cluster: Cluster
    pod: str
    target: Target
    console: Console
    only_if_built: bool = False

    def copy(self, path: str, parent: Path, name: str | None, check: Callable[[Path, str], None]) -> Path:
        """Copies a directory into ``parent`` as ``name``; under its own name if ``None``."""
        command = ["python", "-P", "-m", "starfreight.jobs.backends.kubernetes.run_archive", path]
        with Execution(self.cluster, self.pod, "reader", command) as execution:
            try:
                return self._receive(execution, parent, name, check)
            except StarfreightError:
                for _ in iter(lambda: execution.read(1 << 16), b""):
                    pass  # Read to the end: the exit code and the reason come last.
                if execution.exit_code == InputError.exit_code and execution.errors:
                    raise InputError(
                        execution.errors.decode("utf-8", "replace").strip(),
                        where=f"job {self.target.link}, namespace {self.cluster.namespace}",
                        fix=f"wait for it: starfreight jobs status {self.target.name} {self.cluster.on}",
                    ) from None
                raise

    def _receive(
        self, execution: Execution, parent: Path, name: str | None, check: Callable[[Path, str], None]
    ) -> Path:
        unpacking = Unpacking(io.BufferedReader(execution, 1 << 20), f"job {self.target.link}")
        index = unpacking.index
        final = parent / (name or index.run)
        refuse_link(final, below=parent)
        check_replaceable(final)
        with disk_errors(parent):
            partial = Path(tempfile.mkdtemp(prefix=PARTIAL_PREFIX, dir=parent))
        try:
            with self.console.progress("Fetching", total=index.size, unit="B") as advance:
                unpacking.into(partial, advance)
            check(partial, index.run)
            partial.chmod(0o755)
            put_in_place(partial, final)
        finally:
            discard(partial, below=parent)
        files = human_count(len(index.files), "files")
        self.console.note(f"{final}: {files}, {human_count(index.size, 'B')}")
        return final
