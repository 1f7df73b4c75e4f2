"""``jobs fetch``: brings a run home from the cluster's volume, through the API alone.

A Job whose pod may only read the volume is made for it, and deleted. The files come as a tar over an
execution in that pod, and get their final place only when each has the digest that it had there.
"""

from __future__ import annotations

import contextlib
import io
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from starfreight.console import Console, human_count
from starfreight.errors import GateError, InputError, ServiceError, StarfreightError
from starfreight.files import PARTIAL_PREFIX, disk_errors, only_one
from starfreight.jobs.backends.kubernetes.client.cluster import Cluster
from starfreight.jobs.backends.kubernetes.client.job_status import end_of, is_working
from starfreight.jobs.backends.kubernetes.client.pod_exec import Execution
from starfreight.jobs.backends.kubernetes.client.targets import JOB, Target, pod_templates, pods_of
from starfreight.jobs.backends.kubernetes.client.unpack import Unpacking
from starfreight.jobs.backends.kubernetes.client.wait_reasons import why
from starfreight.jobs.backends.kubernetes.client.watch import wait_for_change
from starfreight.jobs.backends.kubernetes.manifests.templates import Object, load_template
from starfreight.run import INPUTS_FILE, RUN_FILE, Run

_RUNS = "/runs"
_PATIENCE = 300
"""Seconds for the reading pod to start: its image may have to be pulled."""


def fetch(cluster: Cluster, target: Target, job: Object, runs: Path, console: Console) -> Path:
    """Brings the run of a job home.

    Args:
        cluster: the cluster.
        target: the job, or one variant of it.
        job: its object.
        runs: the folder of all runs on this machine.
        console: shows progress.

    Returns:
        the run's folder here.

    Raises:
        InputError: there is no run yet, or a run of this machine lies in its place.
        GateError: a file has not the digest that it should have.
        ServiceError: the pod does not start, the connection is lost, or the disk is full.
    """
    if target.kind.name == "TrainJob":
        raise InputError(
            "A TrainJob does not say where its runs lie.",
            where=target.name,
            fix="copy the run from the volume that run.kubernetes.runs_claim names",
        )
    reader = reader_job(pod_templates(job)[0]["spec"], target)
    with only_one(runs, "fetching"), _running(cluster, reader, console) as name:
        command = [
            "python",
            "-P",
            "-m",
            "starfreight.jobs.backends.kubernetes.run_archive",
            f"{_RUNS}/.jobs/{target.link}",
        ]
        with Execution(cluster, name, "reader", command) as execution:
            try:
                return _receive(execution, runs, target, console)
            except StarfreightError:
                for _ in iter(lambda: execution.read(1 << 16), b""):
                    pass  # To its end, where the reason stands.
                if execution.exit_code == InputError.exit_code and execution.said:
                    raise InputError(
                        execution.said.decode("utf-8", "replace").strip(),
                        where=f"job {target.link}, namespace {cluster.namespace}",
                        fix=f"wait: starfreight jobs status {target.name} --on kubernetes",
                    ) from None
                raise


def _receive(execution: Execution, runs: Path, target: Target, console: Console) -> Path:
    unpacking = Unpacking(io.BufferedReader(execution, 1 << 20), f"job {target.link}")
    index = unpacking.index
    final = runs / index.run
    _check_place(final)
    with disk_errors(runs):
        partial = Path(tempfile.mkdtemp(prefix=PARTIAL_PREFIX, dir=runs))
    try:
        unpacking.into(partial)
        run = Run.load(partial)
        if run.id != index.run or (run.status == "done" and not run.is_done(partial)):
            raise GateError(
                "What arrived is not the run that its record describes.",
                where=f"job {target.link}, {RUN_FILE}",
                fix="look at the run on its volume; train it again if its adapter was changed",
            )
        partial.chmod(0o755)
        _put_in_place(partial, final)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    console.note(f"{len(index.files)} files, {human_count(index.size, 'B')}")
    return final


def _check_place(final: Path) -> None:
    """A run that this machine has prepared or trained has more than a fetched one, and is not replaced."""
    if (final / INPUTS_FILE).exists() or (final.exists() and not (final / RUN_FILE).is_file()):
        raise InputError(
            "A run of this machine lies where the fetched one belongs.",
            where=str(final),
            fix="fetch it into another folder with --runs",
        )


def _put_in_place(partial: Path, final: Path) -> None:
    with disk_errors(final):
        if not final.exists():
            partial.rename(final)
            return
        # An earlier fetch of the same run: it goes when the new one is in its place.
        old = Path(tempfile.mkdtemp(prefix=PARTIAL_PREFIX, dir=final.parent))
        final.rename(old / final.name)
        partial.rename(final)
        shutil.rmtree(old, ignore_errors=True)


def reader_job(template: Object, target: Target) -> Object:
    """The Job that reads, made of what the job's own pods have: their image, claim, user and tolerations."""
    job = load_template("reader")
    spec = job["spec"]["template"]["spec"]
    step = [*(template.get("initContainers") or ()), *template["containers"]][-1]
    spec["containers"][0]["image"] = step["image"]
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
    mounted = {one["name"] for one in step.get("volumeMounts") or () if one.get("mountPath") == _RUNS}
    for volume in template.get("volumes") or ():
        if volume["name"] in mounted and "persistentVolumeClaim" in volume:
            return str(volume["persistentVolumeClaim"]["claimName"])
    raise InputError(
        f"The job {target.name} keeps its runs on no claim that could be read.",
        where=f"volume at {_RUNS}",
        fix="name a claim in run.kubernetes.runs_claim, and submit the recipe again",
    )


@contextlib.contextmanager
def _running(cluster: Cluster, reader: Object, console: Console) -> Iterator[str]:
    """Makes the reader, waits until its pod runs, and deletes it at the end.

    Yields:
        the pod's name.
    """
    made = cluster.create(cluster.jobs(), reader)
    if made is None:
        raise ServiceError(
            "The reader cannot be made.",
            where=f"namespace {cluster.namespace}",
            fix="run the same command again",
        )
    target = Target(JOB, str(made["metadata"]["name"]))
    try:
        yield _wait_for_reader(cluster, target, made, console)
    finally:
        # It ends by itself when even this fails.
        with contextlib.suppress(StarfreightError):
            cluster.delete(target.path(cluster), propagationPolicy="Background")


def _wait_for_reader(cluster: Cluster, target: Target, made: Object, console: Console) -> str:
    end = time.monotonic() + _PATIENCE
    said = ""
    while True:
        pods = pods_of(cluster, target)
        if pods and is_working(pods[0]):
            return str(pods[0]["metadata"]["name"])
        ended = end_of(pods[0]) if pods else None
        waiting = why(cluster, made, pods)
        if str(waiting) != said and waiting.kind != "starting":
            said = str(waiting)
            console.note(f"The reader waits: {waiting}")
        if ended is not None or time.monotonic() > end:
            raise ServiceError(
                f"The reader does not start: {ended.what if ended else waiting}",
                where=f"job {target.name}, namespace {cluster.namespace}",
                fix=waiting.fix or "run the same command again",
            )
        wait_for_change(cluster, cluster.core("pods"), 2, labelSelector=target.pods)
