"""Follows a job to its end and shows its progress, like that of a job on this machine."""

from __future__ import annotations

import time
from collections.abc import Callable

from starfreight.console import Console
from starfreight.errors import GateError, InputError, JobFailed, JobStopped, StarfreightError
from starfreight.jobs.backends.endings import Advice, error_of
from starfreight.jobs.backends.kubernetes.client.cluster import Cluster
from starfreight.jobs.backends.kubernetes.client.job_status import (
    PodEnd,
    end_of,
    has_ended,
    indexes,
    is_over,
    is_sweep,
    paused,
    view,
)
from starfreight.jobs.backends.kubernetes.client.logs import log_lines
from starfreight.jobs.backends.kubernetes.client.sick_nodes import remember_sick_nodes
from starfreight.jobs.backends.kubernetes.client.suspension import (
    Held,
    is_suspended_by_others,
    suspension,
)
from starfreight.jobs.backends.kubernetes.client.sweep_end import sweep_error
from starfreight.jobs.backends.kubernetes.client.targets import Target, pods_of
from starfreight.jobs.backends.kubernetes.client.wait_reasons import is_waiting, wait_reason
from starfreight.jobs.backends.kubernetes.client.warning_events import without_random_names
from starfreight.jobs.backends.kubernetes.client.watch import changes
from starfreight.jobs.backends.kubernetes.manifests.templates import Object
from starfreight.jobs.kinds.table import KINDS, find_kind
from starfreight.jobs.protocol.progress import watch

_REASON_INTERVAL = 5.0
"""Seconds between two checks of the reason why nothing is running."""
_SUBMIT_AGAIN = "submit the corrected recipe again: it resumes from the last checkpoint"
_WATCH = 15
"""Seconds after which the state of a sweep is checked again without a change."""


def follow(cluster: Cluster, target: Target, console: Console) -> None:
    """Shows a job's progress until it ends. Ctrl-C ends the command but not the job.

    Raises:
        JobStopped: the job was cancelled, or reached its time limit; its checkpoint is written.
        StarfreightError: the error that the job reported, or one for its end.
    """
    try:
        job = cluster.get(target.path(cluster))
        if is_sweep(job) and target.variant is None:
            failure = _follow_sweep(cluster, target, console)
        else:
            note_reason = _ReasonNotes(cluster, console)
            found = log_lines(cluster, target, follow=True, on_wait=note_reason, skip_ended=True)
            failure = watch(remember_sick_nodes(cluster, target, found), console)
    except KeyboardInterrupt:
        console.note(
            f"The job {target.name} continues. To follow it: starfreight jobs logs -f {target.name} "
            f"{cluster.on}. To stop it: starfreight jobs cancel {target.name} {cluster.on}"
        )
        raise
    raise_unless_done(cluster, target, failure)


def note_waits(cluster: Cluster, console: Console) -> Callable[[Object, list[Object]], None]:
    """A function that shows why a job is waiting; called with the job and its pods now and then."""
    return _ReasonNotes(cluster, console)


class _ReasonNotes:
    """Shows the reason for which a job is waiting, whenever it changes."""

    def __init__(self, cluster: Cluster, console: Console) -> None:
        self._cluster, self._console = cluster, console
        self._next = time.monotonic()
        self._last = ""

    def __call__(self, job: Object, pods: list[Object]) -> None:
        now = time.monotonic()
        if now < self._next or is_over(job) or not is_waiting(job, pods):
            return
        self._next = now + _REASON_INTERVAL
        waiting = wait_reason(self._cluster, job, pods)
        said = without_random_names(str(waiting))
        if said != self._last:
            self._last = said
            what = str(waiting).removesuffix(".")
            self._console.note(f"Waiting: {what}" + (f". Next: {waiting.fix}" if waiting.fix else ""))


def _follow_sweep(cluster: Cluster, target: Target, console: Console) -> StarfreightError | None:
    """Follows all variants by a single watch on the Job."""
    note_reason = _ReasonNotes(cluster, console)
    held = Held()
    done: set[int] = set()
    failed: set[int] = set()
    total = int(cluster.get(target.path(cluster))["spec"].get("completions") or 1)
    over = False
    job: Object | None = None
    with console.progress("Variants", total=total, unit="variants") as advance:
        for change in changes(
            cluster,
            target.kind.path(cluster),
            until=lambda: over,  # noqa: B023
            seconds=_WATCH,
            fieldSelector=f"metadata.name={target.name}",
        ):
            if change is not None:
                job = change.object
                if change.kind == "DELETED":
                    return None
            if job is None:
                continue
            status = job.get("status") or {}
            for known, key, word in (
                (done, "completedIndexes", "done"),
                (failed, "failedIndexes", "failed"),
            ):
                new = indexes(str(status.get(key) or "")) - known
                known |= new
                for number in sorted(new):
                    advance(1, f"Variant {number} {word}")
            stopped = paused(job) is not None or held.lasts(job)
            over = is_over(job) or (stopped and not status.get("active"))
            if not over and not status.get("ready") and not status.get("succeeded"):
                note_reason(job, [pod for pod in pods_of(cluster, target) if not has_ended(pod)])
    return sweep_error(cluster, target, failed, total) if failed else None


def raise_unless_done(cluster: Cluster, target: Target, failure: StarfreightError | None) -> None:
    """Waits for the final status of a job, shortly after its last pod's end, and raises the error for it.

    Args:
        cluster: the cluster.
        target: the job.
        failure: error that the job reported; ignored if the job recovered from it.

    Raises:
        StarfreightError: the job is not done.
    """
    job = _wait_for_status(cluster, target)
    where = f"job {target.name}, namespace {cluster.namespace}"
    if job is None:
        raise failure or JobFailed(
            "The job was deleted while it was running.",
            where=where,
            fix="submit its recipe again; it resumes from the last checkpoint",
        )
    now = view(job)
    if now.status == "done":
        return
    if is_suspended_by_others(job):
        reason = suspension(cluster, job)
        raise JobStopped(f"The job does not go on: {reason.what}.", where=where, fix=reason.fix)
    if now.status in ("stopped", "stopping"):
        raise JobStopped(
            "The job was cancelled. Its last checkpoint is kept, if it had written one.",
            where=where,
            fix=f"starfreight jobs resume {target.name} {cluster.on}",
        )
    if failure is not None:
        raise failure
    ends = [end for end in map(end_of, pods_of(cluster, target)) if end is not None and end.exit_code != 0]
    raise _error(cluster, target, ends[-1] if ends else None, now.what, where)


def _wait_for_status(cluster: Cluster, target: Target) -> Object | None:
    end = time.monotonic() + 60
    while True:
        job = cluster.find(target.path(cluster))
        if job is None or view(job).status in ("done", "failed", "stopped") or time.monotonic() > end:
            return job
        time.sleep(0.5)


def _error(cluster: Cluster, target: Target, end: PodEnd | None, what: str, where: str) -> StarfreightError:
    again = f"starfreight jobs resume {target.name} {cluster.on}"
    if end is None:
        kind = JobStopped if "time limit" in what else JobFailed
        return kind(f"The job failed: {what}.", where=where, fix=f"{again} resumes from the last checkpoint")
    if end.out_of_memory or end.exit_code in (InputError.exit_code, GateError.exit_code):
        again = _SUBMIT_AGAIN  # A resume would keep the options that are wrong.
    advice = Advice(
        where=where,
        again=again,
        log=f"starfreight jobs logs {target.link} {cluster.on}",
        memory=f"raise run.memory, or {_memory_advice(end.container)}",
    )
    return error_of(end, None, advice) or JobFailed(f"The job {end.what}.", where=where, fix=again)


def _memory_advice(step: str | None) -> str:
    return find_kind(step).memory_advice if step in KINDS else "reduce the needs of the recipe"
