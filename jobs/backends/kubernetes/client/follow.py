"""Follows a job to its end and shows its progress, as a local run's."""

from __future__ import annotations

import time
from collections.abc import Callable

from starfreight.console import Console
from starfreight.errors import (
    GateError,
    InputError,
    JobFailed,
    JobStopped,
    ServiceError,
    StarfreightError,
)
from starfreight.jobs.backends.kubernetes.client.cluster import Cluster
from starfreight.jobs.backends.kubernetes.client.job_status import (
    End,
    end_of,
    has_ended,
    is_over,
    is_working,
    paused,
    view,
)
from starfreight.jobs.backends.kubernetes.client.logs import log_lines
from starfreight.jobs.backends.kubernetes.client.targets import Target, pods_of
from starfreight.jobs.backends.kubernetes.client.wait_reasons import why
from starfreight.jobs.backends.kubernetes.client.watch import changes
from starfreight.jobs.backends.kubernetes.manifests.templates import Object
from starfreight.jobs.protocol.progress import watch

_ASK_WHY = 5.0
"""Seconds between two looks at why nothing runs."""
_LOOK = 15
_CLASSES: dict[int, type[StarfreightError]] = {2: InputError, 3: GateError, 4: ServiceError, 75: JobStopped}


def follow(cluster: Cluster, target: Target, console: Console) -> None:
    """Shows a job's progress until it ends.

    Ctrl-C ends the following and not the job, as people know it of a cluster's other tools.

    Raises:
        JobStopped: it was cancelled, or reached its time limit; its checkpoint is written.
        StarfreightError: what the job reported, or how it ended.
    """
    try:
        job = cluster.get(target.path(cluster))
        if is_sweep(job) and target.variant is None:
            failure = _follow_sweep(cluster, target, console)
        else:
            tell = _TellWhy(cluster, console)
            found = log_lines(cluster, target, follow=True, waiting=tell, fresh=True)
            failure = watch((line.text for line in found), console)
    except KeyboardInterrupt:
        console.note(
            f"The job {target.name} goes on without you. To see more: starfreight jobs logs -f {target.name} "
            f"--on kubernetes. To stop it: starfreight jobs cancel {target.name} --on kubernetes"
        )
        raise
    raise_unless_done(cluster, target, failure)


def is_sweep(job: Object) -> bool:
    """Whether it is an Indexed Job with a pod for each variant."""
    return (job.get("spec") or {}).get("completionMode") == "Indexed"


class _TellWhy:
    """Says what a job waits for, each time that it is something else."""

    def __init__(self, cluster: Cluster, console: Console) -> None:
        self._cluster, self._console = cluster, console
        self._next = time.monotonic()
        self._said = ""

    def __call__(self, job: Object, pods: list[Object]) -> None:
        now = time.monotonic()
        if now < self._next or is_over(job) or any(is_working(pod) for pod in pods):
            return
        self._next = now + _ASK_WHY
        waiting = why(self._cluster, job, pods)
        if str(waiting) != self._said:
            self._said = str(waiting)
            self._console.note(f"Waiting: {waiting}" + (f". Next: {waiting.fix}" if waiting.fix else ""))


def _follow_sweep(cluster: Cluster, target: Target, console: Console) -> StarfreightError | None:
    """One watch on the Job, however many variants it has."""
    tell = _TellWhy(cluster, console)
    done: set[int] = set()
    failed: set[int] = set()
    total = int(cluster.get(target.path(cluster))["spec"].get("completions") or 1)
    over = False
    with console.progress("Variants", total=total, unit="variants") as advance:
        for change in changes(
            cluster,
            cluster.path(target.kind.group, target.kind.plural),
            until=lambda: over,  # noqa: B023
            seconds=_LOOK,
            fieldSelector=f"metadata.name={target.name}",
        ):
            if change is None:
                continue
            job = change.object
            if change.kind == "DELETED":
                return None
            status = job.get("status") or {}
            for known, key, word in ((done, "completedIndexes", "done"), (failed, "failedIndexes", "failed")):
                new = indexes(str(status.get(key) or "")) - known
                known |= new
                for number in sorted(new):
                    advance(1, f"Variant {number} {word}")
            stopped = paused(job) is not None and not status.get("active")
            over = is_over(job) or stopped
            if not over and not status.get("ready") and not status.get("succeeded"):
                tell(job, [pod for pod in pods_of(cluster, target) if not has_ended(pod)])
    if not failed:
        return None
    return JobFailed(
        f"{len(failed)} of {total} variants failed: {', '.join(map(str, sorted(failed)[:20]))}.",
        where=target.name,
        fix=f"starfreight jobs logs {target.name}-{min(failed)} --on kubernetes",
    )


def indexes(text: str) -> set[int]:
    """``0,3-5`` as the numbers that it means."""
    found: set[int] = set()
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        if first.isdigit() and (last or first).isdigit():
            found.update(range(int(first), int(last or first) + 1))
    return found


def raise_unless_done(cluster: Cluster, target: Target, failure: StarfreightError | None) -> None:
    """Waits for the Job's own word, which comes a moment after its last pod's end, and raises what it means.

    Args:
        cluster: the cluster.
        target: the job.
        failure: what the job reported on the way; it counts only if the job did not recover from it.

    Raises:
        StarfreightError: the job is not done.
    """
    job = _settled(cluster, target)
    where = f"job {target.name}, namespace {cluster.namespace}"
    if job is None:
        raise failure or JobFailed(
            "The job was deleted while it ran.",
            where=where,
            fix="submit its recipe again; it goes on from its checkpoint",
        )
    now = view(job)
    if now.status == "done":
        return
    if now.status in ("stopped", "stopping"):
        raise JobStopped(
            "The job was cancelled; its checkpoint is kept.",
            where=where,
            fix=f"starfreight jobs resume {target.name} --on kubernetes",
        )
    if failure is not None:
        raise failure
    ends = [end for end in map(end_of, pods_of(cluster, target)) if end is not None and end.exit_code != 0]
    raise _error(ends[-1] if ends else None, now.what, where, target)


def _settled(cluster: Cluster, target: Target) -> Object | None:
    end = time.monotonic() + 60
    while True:
        job = cluster.find(target.path(cluster))
        if job is None or view(job).status in ("done", "failed", "stopped") or time.monotonic() > end:
            return job
        time.sleep(0.5)


def _error(end: End | None, what: str, where: str, target: Target) -> StarfreightError:
    again = f"starfreight jobs resume {target.name} --on kubernetes"
    if end is None:
        kind: Callable[..., StarfreightError] = JobStopped if "time limit" in what else JobFailed
        return kind(f"The job failed: {what}.", where=where, fix=f"{again}: it goes on from its checkpoint")
    if end.out_of_memory:
        return JobFailed(
            f"The pod {end.what}.",
            where=where,
            fix=f"raise run.memory, or lower training.batch_size or training.sequence_length; then {again}",
        )
    kind = _CLASSES.get(end.exit_code or 0, JobFailed)
    return kind(
        f"The pod ended: {end.what}.",
        where=where,
        fix=f"starfreight jobs logs {target.link} --on kubernetes; then {again}",
    )
