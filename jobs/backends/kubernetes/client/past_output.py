"""Output of a job without pods: why there is none yet, or ``job.log`` of its run on the volume."""

from __future__ import annotations

from collections.abc import Iterator

from starfreight.console import Console
from starfreight.errors import InputError, StarfreightError
from starfreight.jobs.backends.kubernetes.client.cluster import Cluster
from starfreight.jobs.backends.kubernetes.client.job_status import has_ended, is_sweep, view
from starfreight.jobs.backends.kubernetes.client.logs import text_lines
from starfreight.jobs.backends.kubernetes.client.pod_exec import Execution
from starfreight.jobs.backends.kubernetes.client.reader_pod import RUNS, reader_job, reader_pod
from starfreight.jobs.backends.kubernetes.client.suspension import is_suspended_by_others, suspension
from starfreight.jobs.backends.kubernetes.client.targets import Target, pods_of, results_of
from starfreight.jobs.backends.kubernetes.client.wait_reasons import wait_reason
from starfreight.jobs.backends.kubernetes.manifests.templates import Object
from starfreight.jobs.protocol.log import LOG_FILE
from starfreight.results.address import ResultAddress


def past_output(cluster: Cluster, target: Target, job: Object, console: Console) -> Iterator[str]:
    """Yields the lines of a job whose pods gave none.

    Args:
        cluster: the cluster.
        target: the job, or one variant of it.
        job: its object.
        console: shows why there is no output, or where it comes from.

    Raises:
        InputError: the pods are gone, and the output with them.
    """
    pods = pods_of(cluster, target)
    now = view(job)
    if pods or now.status in ("active", "queued"):
        left = [pod for pod in pods if not has_ended(pod)]
        why = f": {wait_reason(cluster, job, left)}" if left or not pods else ""
        console.note(f"{target.link} has no output{'' if pods and not left else ' yet'}{why}.")
        return
    gone = f"The pods of {target.link} are gone, and their output with them"
    if now.status not in ("done", "failed"):
        why = suspension(cluster, job).what if is_suspended_by_others(job) else now.what
        gone = f"{target.link} has no pods: {why}"
    if is_sweep(job) and target.variant is None:
        raise InputError(
            f"{gone}.",
            where=f"namespace {cluster.namespace}",
            fix=f"read the log of one variant's run: starfreight jobs logs {target.name}-0 {cluster.on}",
        )
    place = results_of(job)
    if place is not None:
        from starfreight.jobs.results.fetch import past_log

        console.note(f"{gone}. Reading {LOG_FILE} of the run from {place}.")
        yield from past_log(ResultAddress(place, target.link, None))
        return
    console.note(f"{gone}. Reading {LOG_FILE} of the run from its volume.")
    fix = f"the figures of its run: starfreight jobs fetch {target.link} {cluster.on}"
    try:
        with (
            reader_pod(cluster, reader_job(job, target), job, console) as pod,
            Execution(cluster, pod, "reader", ["cat", f"{RUNS}/.jobs/{target.link}/{LOG_FILE}"]) as log,
        ):
            yield from text_lines(log)
            code, said = log.exit_code, log.errors.decode("utf-8", "replace").strip()
    except StarfreightError as error:
        raise InputError(
            f"{gone}, and the log in its run cannot be read: {error.what}", where=error.where, fix=fix
        ) from error
    if code != 0:
        raise InputError(
            f"{gone}, and its run has no {LOG_FILE}: {said or 'the file cannot be read'}.",
            where=f"job {target.link}, namespace {cluster.namespace}",
            fix=fix,
        )
