"""The reader: a short-lived Job whose pod mounts the volume of a job's runs, read-only."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from starfreight.console import Console
from starfreight.errors import InputError, ServiceError, StarfreightError
from starfreight.jobs.backends.kubernetes.client.cluster import Cluster
from starfreight.jobs.backends.kubernetes.client.job_status import end_of, is_working
from starfreight.jobs.backends.kubernetes.client.suspension import is_suspended_by_others
from starfreight.jobs.backends.kubernetes.client.targets import JOB, Target, pod_templates, pods_of
from starfreight.jobs.backends.kubernetes.client.wait_reasons import wait_reason
from starfreight.jobs.backends.kubernetes.client.warning_events import without_random_names
from starfreight.jobs.backends.kubernetes.client.watch import wait_for_change
from starfreight.jobs.backends.kubernetes.manifests.names import LABEL_QUEUE
from starfreight.jobs.backends.kubernetes.manifests.templates import Object, load_template

RUNS = "/runs"
"""Mount point of the volume of the runs."""
_LABEL_PRIORITY = "kueue.x-k8s.io/priority-class"
_PATIENCE = 300
"""Seconds to wait for the reader's pod. Its image may have to be pulled."""


def reader_job(submitted: Object, target: Target) -> Object:
    """The reader Job, with the image, claim, user and tolerations of the submitted job's pods."""
    template = pod_templates(submitted)[0]["spec"]
    job = load_template("reader")
    spec = job["spec"]["template"]["spec"]
    step = [*(template.get("initContainers") or ()), *template["containers"]][-1]
    # A TrainJob has its image outside the pod template.
    spec["containers"][0]["image"] = step.get("image") or submitted["spec"]["trainer"]["image"]
    if "imagePullPolicy" in step:
        spec["containers"][0]["imagePullPolicy"] = step["imagePullPolicy"]
    for key in ("imagePullSecrets", "tolerations", "serviceAccountName"):
        if template.get(key):
            spec[key] = template[key]
    for key, value in (template.get("securityContext") or {}).items():
        if key.startswith("runAs"):
            spec["securityContext"][key] = value
    spec["volumes"][0]["persistentVolumeClaim"]["claimName"] = _claim(template, step, target)
    return job


def _claim(template: Object, step: Object, target: Target) -> str:
    mounted = {one["name"] for one in step.get("volumeMounts") or () if one.get("mountPath") == RUNS}
    for volume in template.get("volumes") or ():
        if volume["name"] in mounted and "persistentVolumeClaim" in volume:
            return str(volume["persistentVolumeClaim"]["claimName"])
    raise InputError(
        f"The job {target.name} does not keep its runs on a PersistentVolumeClaim.",
        where=f"volume at {RUNS}",
        fix="set run.kubernetes.runs_claim or run.kubernetes.results, and submit the recipe again",
    )


@contextlib.contextmanager
def reader_pod(cluster: Cluster, reader: Object, job: Object, console: Console) -> Iterator[str]:
    """Creates the reader of a job, waits until its pod is running, and deletes it at the end.

    Args:
        cluster: the cluster.
        reader: see :func:`reader_job`.
        job: the job whose runs it reads.
        console: shows why the reader waits.

    Yields:
        name of the pod.

    Raises:
        ServiceError: the pod does not start.
    """
    made = cluster.create(cluster.jobs(), reader)
    if made is None:
        raise ServiceError(
            "The reader Job cannot be created: its name is taken.",
            where=f"namespace {cluster.namespace}",
            fix="run the same command again",
        )
    target = Target(JOB, str(made["metadata"]["name"]))
    try:
        yield _wait_for_reader(cluster, target, _queue_of(job), console)
    finally:
        # If this fails, the reader ends by itself at its deadline.
        with contextlib.suppress(StarfreightError):
            cluster.delete(target.path(cluster), propagationPolicy="Background")


def _queue_of(job: Object) -> dict[str, str]:
    """The labels with a job's queue and its priority there."""
    labels = job["metadata"].get("labels") or {}
    return {key: labels[key] for key in (LABEL_QUEUE, _LABEL_PRIORITY) if key in labels}


def _wait_for_reader(cluster: Cluster, reader: Target, queue: dict[str, str], console: Console) -> str:
    end = time.monotonic() + _PATIENCE
    shown = ""
    while True:
        pods = pods_of(cluster, reader)
        if pods and is_working(pods[0]):
            return str(pods[0]["metadata"]["name"])
        made = cluster.get(reader.path(cluster))
        if queue and is_suspended_by_others(made):
            # Kueue holds jobs without a queue in this cluster. Elsewhere, the reader needs no place in one.
            cluster.patch(reader.path(cluster), {"metadata": {"labels": queue}})
            queue = {}
            continue
        ended = end_of(pods[0]) if pods else None
        waiting = wait_reason(cluster, made, pods)
        said = without_random_names(str(waiting))
        if said != shown and waiting.kind != "starting":
            shown = said
            console.note(f"Waiting for the reader: {waiting}")
        if ended is not None or time.monotonic() > end:
            what = f"its pod {ended.what}" if ended else str(waiting)
            raise ServiceError(
                f"The reader, which copies the files, has not started in {_PATIENCE} s: {what}."
                if ended is None
                else f"The reader, which copies the files, does not start: {what}.",
                where=f"job {reader.name}, namespace {cluster.namespace}",
                fix=waiting.fix or "run the same command again",
            )
        wait_for_change(cluster, cluster.core("pods"), 2, labelSelector=reader.pods)
