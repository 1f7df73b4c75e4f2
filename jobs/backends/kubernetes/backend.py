"""Runs the jobs of a recipe in a cluster: as a Job, an Indexed Job, a JobSet or a TrainJob."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from starfreight.console import Console
from starfreight.errors import InputError, StarfreightError
from starfreight.jobs.backends.interface import (
    Deletion,
    Fetched,
    FetchedVariants,
    JobRequest,
    Location,
    LogLine,
    Report,
    Submitted,
)
from starfreight.jobs.backends.kubernetes.client.cluster import Cluster
from starfreight.jobs.backends.kubernetes.client.connect import LONG_PATIENCE, PATIENCE, connect

if TYPE_CHECKING:
    from starfreight.jobs.backends.kubernetes.client.submit import SubmittedJob
    from starfreight.jobs.prune.rules import PruneRules


class KubernetesBackend:
    """See :class:`starfreight.jobs.backends.interface.Backend`. Jobs are identified by name and namespace."""

    runs_later_steps = True

    def __init__(self, location: Location) -> None:
        self.location = location

    def submit(self, request: JobRequest, console: Console) -> Submitted:
        """Submits a recipe and follows its jobs to their end.

        The Jobs of a sweep are independent of each other; the first failure is raised at the end.
        """
        from starfreight.jobs.backends.kubernetes.client.image_labels import check_image
        from starfreight.jobs.backends.kubernetes.client.preflight import warnings_before
        from starfreight.jobs.backends.kubernetes.client.submit import submit
        from starfreight.jobs.backends.kubernetes.manifests.image import choose_image
        from starfreight.jobs.backends.kubernetes.manifests.origin import add_origin
        from starfreight.jobs.backends.kubernetes.manifests.render import render
        from starfreight.jobs.prepare.origin import find_origin

        file = request.file.with_run_options(namespace=self.location.namespace, until=request.last_step)
        cluster = connect(
            console,
            context=self.location.context,
            namespace=file.recipe.run.kubernetes.namespace,
            patience=LONG_PATIENCE,
        )
        check_image(choose_image(request.kind.image, file.recipe.run.image)[0], request.kind)
        rendered = render(file, version=cluster.version(), kind=request.kind)
        add_origin(rendered.documents, find_origin(file.folder))
        options = file.recipe.run.kubernetes
        pods = options.nodes * len(rendered.results)
        for warning in (*rendered.warnings, *warnings_before(cluster, options, pods)):
            console.note(f"Warning: {warning}")
        submitted = submit(
            cluster, rendered.documents, console, rendered.earlier_names, replace=request.replace
        )
        report = follow_all(cluster, submitted, console, detach=request.detach)
        results = rendered.results
        for name, earlier in rendered.earlier_names.items():
            if any(one.target.name == earlier for one in submitted):
                results = _renamed(results, name, earlier)
        return Submitted(results, report)

    def state(self, name: str, console: Console) -> Report:
        """State of a job and its pods, and the reason if it is waiting."""
        from starfreight.jobs.backends.kubernetes.client.state_report import state_report
        from starfreight.jobs.backends.kubernetes.client.targets import find_target

        cluster = self._connect(console)
        return state_report(cluster, *find_target(cluster, name))

    def lines(self, name: str, *, follow: bool, console: Console) -> Iterator[LogLine]:
        """Output of a job's pods, or of its run's log if they are gone.

        Lines of a sweep are prefixed with the number of the variant, and those of several nodes with that of
        the node.
        """
        from starfreight.jobs.backends.kubernetes.client.follow import note_waits
        from starfreight.jobs.backends.kubernetes.client.job_status import is_sweep, named, view
        from starfreight.jobs.backends.kubernetes.client.logs import log_lines
        from starfreight.jobs.backends.kubernetes.client.parallel_logs import prefix_of
        from starfreight.jobs.backends.kubernetes.client.past_output import past_output
        from starfreight.jobs.backends.kubernetes.client.stop_advice import with_advice
        from starfreight.jobs.backends.kubernetes.client.targets import find_target

        cluster = self._connect(console, patiently=follow)
        target, job = find_target(cluster, name)
        several = is_sweep(job) and target.variant is None
        found = False
        for line in log_lines(cluster, target, follow=follow, on_wait=note_waits(cluster, console)):
            found = True
            text = with_advice(line.text, target, cluster.on)
            yield LogLine(text, prefix_of(job, target, line), {"pod": line.pod})
        if not found:
            for text in past_output(cluster, target, job, console):
                yield LogLine(with_advice(text, target, cluster.on))
        now = view((cluster.find(target.path(cluster)) if follow else None) or job)
        if several and now.failed_variants:
            console.note(
                f"Variants that failed: {named(now.failed_variants)}. The log of one alone: "
                f"starfreight jobs logs {target.name}-{now.failed_variants[0]} {cluster.on}"
            )

    def cancel(self, name: str, console: Console, *, patience: float) -> Report:
        """Stops a job with a checkpoint. It stays in the cluster and can be resumed."""
        from starfreight.jobs.backends.kubernetes.client.pause import cancel
        from starfreight.jobs.backends.kubernetes.client.targets import find_target

        cluster = self._connect(console)
        target, job = find_target(cluster, name)
        how = cancel(cluster, target, job, console, patience)
        return Report(
            {"job": target.name, "status": "stopped", "what": how},
            f"{target.name} is stopped: {how}. To resume: starfreight jobs resume {target.name} {cluster.on}",
        )

    def resume(self, name: str, console: Console, *, detach: bool) -> Report:
        """Resumes a cancelled or failed job, and follows it to its end."""
        from starfreight.jobs.backends.kubernetes.client.submit import resume
        from starfreight.jobs.backends.kubernetes.client.targets import find_target

        cluster = self._connect(console, patiently=True)
        target, job = find_target(cluster, name)
        return follow_all(cluster, (resume(cluster, target, job, console),), console, detach=detach)

    def fetch(self, name: str, runs: Path, console: Console, packages: Path | None = None) -> Fetched:
        """Copies a job's run, and its package if ``packages`` is given, from its results or the volume."""
        from starfreight.jobs.backends.kubernetes.client.fetch import fetch
        from starfreight.jobs.backends.kubernetes.client.targets import find_target

        cluster = self._connect(console)
        target, job = find_target(cluster, name)
        return fetch(cluster, target, job, runs, console, packages)

    def fetch_variants(
        self,
        name: str,
        runs: Path,
        console: Console,
        packages: Path | None = None,
        *,
        only_if_built: bool = False,
    ) -> FetchedVariants:
        """Copies the runs of all variants of a sweep that have ended."""
        from starfreight.jobs.backends.kubernetes.client.fetch import fetch, fetch_jobs, fetch_variants
        from starfreight.jobs.backends.kubernetes.client.job_status import is_sweep
        from starfreight.jobs.backends.kubernetes.client.targets import find_target, is_name, variant_jobs

        cluster = self._connect(console)
        try:
            target, job = find_target(cluster, name)
        except InputError:
            jobs = variant_jobs(cluster, name) if is_name(name) else []
            if not jobs:
                raise
            return fetch_jobs(cluster, jobs, runs, console, packages, only_if_built=only_if_built)
        if is_sweep(job) and target.variant is None:
            return fetch_variants(cluster, target, job, runs, console, packages, only_if_built=only_if_built)
        fetched = fetch(cluster, target, job, runs, console, packages, only_if_built=only_if_built)
        return FetchedVariants({target.link: fetched}, is_one=True)

    def deletion(self, name: str, console: Console) -> Deletion:
        """The deletion of a job with its pods. Its runs, checkpoints and packages stay on the volume."""
        from starfreight.jobs.backends.kubernetes.client.deletion import deletion
        from starfreight.jobs.backends.kubernetes.client.targets import find_target

        cluster = self._connect(console)
        return deletion(cluster, *find_target(cluster, name), console)

    def list_jobs(self, console: Console) -> Report:
        """Jobs of the namespace, the newest last."""
        from starfreight.jobs.backends.kubernetes.client.list_jobs import list_jobs

        return list_jobs(self._connect(console), console)

    def prune(self, rules: PruneRules, packages: Path, console: Console, *, delete: bool) -> Report:
        """Removes runs from the volume of the namespace's jobs; ``packages`` are those on the volume."""
        from starfreight.jobs.backends.kubernetes.client.prune_volume import prune_volume

        return prune_volume(self._connect(console), rules, self.location.runs, console, delete=delete)

    def _connect(self, console: Console, *, patiently: bool = False) -> Cluster:
        """The cluster's API; ``patiently`` for commands that follow a job.

        Raises:
            InputError: the kubeconfig is missing or invalid.
        """
        return connect(
            console,
            context=self.location.context,
            namespace=self.location.namespace,
            patience=LONG_PATIENCE if patiently else PATIENCE,
        )


def _renamed(results: tuple[str, ...], name: str, earlier: str) -> tuple[str, ...]:
    """Results with those of one job under its earlier name; the pods of an Indexed Job append a number."""
    return tuple(
        earlier + result.removeprefix(name) if result == name or result.startswith(f"{name}-") else result
        for result in results
    )


def follow_all(
    cluster: Cluster, submitted: tuple[SubmittedJob, ...], console: Console, *, detach: bool
) -> Report:
    """Follows jobs one after another, or not at all with ``detach``, and reports them."""
    from starfreight.jobs.backends.kubernetes.client.follow import follow

    names = [one.target.name for one in submitted]
    failures = []
    for number, one in enumerate(() if detach else submitted, 1):
        if len(submitted) > 1:
            console.heading(f"{one.target.name} ({number} of {len(submitted)})")
        try:
            if one.how != "done":
                follow(cluster, one.target, console)
        except StarfreightError as error:
            failures.append(error)
            if len(submitted) > 1:
                console.note(f"{one.target.name}: {error}")
    if failures:
        raise failures[0]
    rows = [{"job": one.target.name, "namespace": cluster.namespace, "how": one.how} for one in submitted]
    lines = (
        [f"Next: starfreight jobs logs -f {name} {cluster.on}" for name in names]
        if detach
        else [f"{name} is done. Next: starfreight jobs fetch {name} {cluster.on}" for name in names]
    )
    return Report({"jobs": rows}, "\n".join(lines))
