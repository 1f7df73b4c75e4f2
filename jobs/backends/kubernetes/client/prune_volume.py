"""Removes old runs from a cluster's volume, in a pod like that of ``jobs fetch`` that may write to it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from starfreight.console import Console
from starfreight.errors import InputError, ServiceError, StarfreightError
from starfreight.jobs.backends.interface import Report
from starfreight.jobs.backends.kubernetes.client.cluster import Cluster
from starfreight.jobs.backends.kubernetes.client.job_status import is_over
from starfreight.jobs.backends.kubernetes.client.labels import SELECTOR
from starfreight.jobs.backends.kubernetes.client.pod_exec import Execution
from starfreight.jobs.backends.kubernetes.client.reader_pod import RUNS, reader_job, reader_pod
from starfreight.jobs.backends.kubernetes.client.targets import (
    JOB,
    KINDS,
    Target,
    check_namespace,
    is_owned,
    pod_templates,
)
from starfreight.jobs.backends.kubernetes.client.watch import list_all
from starfreight.jobs.backends.kubernetes.manifests.image import choose_image
from starfreight.jobs.backends.kubernetes.manifests.templates import Object
from starfreight.jobs.kinds.table import load_job
from starfreight.jobs.prune.prune import report
from starfreight.jobs.prune.rules import PruneRules

_PROGRAM = "starfreight.jobs.prune.prune"
_LARGEST = 64 << 20
_MOST_COPIES = 100
"""Ids of runs sent to the pod: its command is a part of an address."""


def prune_volume(
    cluster: Cluster, rules: PruneRules, runs: Path, console: Console, *, delete: bool
) -> Report:
    """Selects runs on the volume of the namespace's jobs, and removes them with ``delete``.

    The volume and the image are those of the newest job. Runs of jobs that are not over are in use.

    Args:
        cluster: the cluster.
        rules: for the runs to remove.
        runs: the directory of all runs on this machine: a run fetched to it has a copy.
        console: shows why the pod waits.
        delete: false to change nothing.

    Raises:
        InputError: no job and no image shows how to mount the volume.
        ServiceError: the pod does not start, or its image is too old.
    """
    jobs = list(_jobs(cluster))
    target, job = _example(cluster, jobs)
    options = {
        **asdict(rules),
        "delete": delete,
        "active": [str(one["metadata"]["name"]) for one in jobs if not is_over(one)],
        "copied": _copied(runs),
    }
    reader = reader_job(job, target)
    if delete:
        (container,) = reader["spec"]["template"]["spec"]["containers"]
        container["volumeMounts"] = [
            {key: value for key, value in mount.items() if key != "readOnly"}
            for mount in container["volumeMounts"]
        ]
    command = ["python", "-P", "-m", _PROGRAM, RUNS, json.dumps(options)]
    with (
        reader_pod(cluster, reader, job, console) as pod,
        Execution(cluster, pod, "reader", command) as execution,
    ):
        said = b"".join(iter(lambda: execution.read(1 << 16), b""))
        code, errors = execution.exit_code, execution.errors.decode("utf-8", "replace").strip()
    claim = reader["spec"]["template"]["spec"]["volumes"][0]["persistentVolumeClaim"]["claimName"]
    return report(_outcome(said, code, errors, cluster), f"the volume {claim}")


def _jobs(cluster: Cluster) -> Iterable[Object]:
    """Jobs of the namespace, the newest last."""
    found = []
    for kind in KINDS:
        try:
            found += list_all(cluster, kind.path(cluster), labelSelector=SELECTOR)
        except StarfreightError:
            if kind is JOB:
                raise
    found.sort(key=lambda one: str(one["metadata"].get("creationTimestamp") or ""))
    return [one for one in found if not is_owned(one)]


def _example(cluster: Cluster, jobs: list[Object]) -> tuple[Target, Object]:
    """A job whose pods mount the volume; a made-up one if the cluster has no job any more."""
    for job in reversed(jobs):
        target = Target(JOB, str(job["metadata"]["name"]))
        if pod_templates(job):
            try:
                reader_job(job, target)
            except (InputError, KeyError, IndexError):
                continue
            return target, job
    check_namespace(cluster)
    from starfreight.recipe.kubernetes import KubernetesOptions

    try:
        image, _ = choose_image("trainer", None)
    except StarfreightError as error:
        raise InputError(
            "The namespace has no job whose volume could be looked at, and this machine has pushed no image.",
            where=f"namespace {cluster.namespace}",
            fix="submit a job, or push the trainer image: starfreight images push trainer",
        ) from error
    claim = KubernetesOptions().runs_claim
    mount = {"name": "runs", "mountPath": RUNS}
    volume = {"name": "runs", "persistentVolumeClaim": {"claimName": claim}}
    pod = {"containers": [{"name": "train", "image": image, "volumeMounts": [mount]}], "volumes": [volume]}
    return Target(JOB, "prune"), {"metadata": {"name": "prune"}, "spec": {"template": {"spec": pod}}}


def _copied(runs: Path) -> list[str]:
    """Ids of finished runs on this machine."""
    found = []
    for path in sorted(runs.iterdir()) if runs.is_dir() else ():
        try:
            job = load_job(path)
            if job.id == path.name and job.kind.is_done(path):
                found.append(job.id)
        except (StarfreightError, OSError):
            continue
    return found[-_MOST_COPIES:]


def _outcome(said: bytes, code: int | None, errors: str, cluster: Cluster) -> dict[str, Any]:
    """The outcome that the pod's program printed."""
    where = f"namespace {cluster.namespace}"
    if code != 0:
        old = "No module named" in errors
        raise ServiceError(
            f"The image of the pod is too old: it lacks {_PROGRAM}."
            if old
            else f"The runs cannot be removed: {errors[-300:] or f'exit code {code}'}.",
            where=where,
            fix="build and push the trainer image, and submit a job with it"
            if old
            else "run the command again",
        )
    try:
        found = json.loads(said[:_LARGEST])
        rows = [
            {
                "run": str(row["run"]),
                "state": str(row["state"]),
                "at": str(row["at"]),
                "size": int(row["size"]),
                "remove": bool(row["remove"]),
                "removed": bool(row["removed"]),
                "why_kept": None if row["why_kept"] is None else str(row["why_kept"]),
            }
            for row in found["runs"]
        ]
        left_out = [{"run": str(one["run"]), "what": str(one["what"])} for one in found["left_out"]]
        disk = found["disk"] and {key: float(found["disk"][key]) for key in ("total", "free", "used")}
        return {
            "runs": rows, "left_out": left_out, "deleted": bool(found["deleted"]),
            "all_runs": int(found["all_runs"]), "disk": disk,
        }  # fmt: skip
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise ServiceError(
            "The pod's answer is not valid.", where=where, fix="check the image of the newest job"
        ) from error
