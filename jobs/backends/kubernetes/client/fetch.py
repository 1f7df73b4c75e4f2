"""Copies a run and its package from the cluster's volume, through the API alone.

A short-lived Job, the reader, mounts the volume read-only. A program in its pod sends the files as a tar. The
directory gets its final name only after the digest of each file was checked.
"""

from __future__ import annotations

import contextlib
import io
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from starfreight.console import Console, human_count
from starfreight.directories import discard, refuse_link
from starfreight.directory_lock import only_one
from starfreight.errors import GateError, InputError, ServiceError, StarfreightError
from starfreight.files import PARTIAL_PREFIX, disk_errors
from starfreight.jobs.backends.interface import Fetched
from starfreight.jobs.backends.kubernetes.client.cluster import Cluster
from starfreight.jobs.backends.kubernetes.client.job_status import end_of, is_working
from starfreight.jobs.backends.kubernetes.client.pod_exec import Execution
from starfreight.jobs.backends.kubernetes.client.targets import JOB, Target, pod_templates, pods_of
from starfreight.jobs.backends.kubernetes.client.unpack import Unpacking
from starfreight.jobs.backends.kubernetes.client.wait_reasons import wait_reason
from starfreight.jobs.backends.kubernetes.client.watch import wait_for_change
from starfreight.jobs.backends.kubernetes.manifests.templates import Object, load_template
from starfreight.jobs.kinds.table import kind_of, load_job
from starfreight.package import PACKAGE_FILE
from starfreight.run import INPUTS_FILE

_RUNS = "/runs"
_PATIENCE = 300
"""Seconds to wait for the reader's pod. Its image may have to be pulled."""


def fetch(
    cluster: Cluster,
    target: Target,
    job: Object,
    runs: Path,
    console: Console,
    packages: Path | None = None,
) -> Fetched:
    """Copies the run of a job to this machine, and its package if ``packages`` is given.

    Args:
        cluster: the cluster.
        target: the job, or one variant of it.
        job: its object.
        runs: the directory of all runs on this machine.
        console: shows progress.
        packages: the directory of all packages.

    Raises:
        InputError: the run or the package does not exist yet, or its directory here is another's.
        GateError: a file does not match its digest.
        ServiceError: the pod does not start, the connection is lost, or the disk is full.
    """
    with only_one(runs, "fetching"), _reader_pod(cluster, reader_job(job, target), console) as pod:
        source = _Source(cluster, pod, target, console)
        directory = source.copy(f"{_RUNS}/.jobs/{target.link}", runs, None, _check_job)
        if packages is None:
            return Fetched(directory)
        with only_one(packages, "fetching"):
            path = f"{_RUNS}/packages/{target.link}"
            return Fetched(directory, source.copy(path, packages, directory.name, _check_package))


@dataclass(frozen=True)
class _Source:
    """The volume in the reader's pod."""

    cluster: Cluster
    pod: str
    target: Target
    console: Console

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
                        fix=f"wait for it: starfreight jobs status {self.target.name} --on kubernetes",
                    ) from None
                raise

    def _receive(
        self, execution: Execution, parent: Path, name: str | None, check: Callable[[Path, str], None]
    ) -> Path:
        unpacking = Unpacking(io.BufferedReader(execution, 1 << 20), f"job {self.target.link}")
        index = unpacking.index
        final = parent / (name or index.run)
        refuse_link(final, below=parent)
        _check_replaceable(final)
        with disk_errors(parent):
            partial = Path(tempfile.mkdtemp(prefix=PARTIAL_PREFIX, dir=parent))
        try:
            with self.console.progress("Fetching", total=index.size, unit="B") as advance:
                unpacking.into(partial, advance)
            check(partial, index.run)
            partial.chmod(0o755)
            _move(partial, final)
        finally:
            discard(partial, below=parent)
        self.console.note(f"{final}: {len(index.files)} files, {human_count(index.size, 'B')}")
        return final


def _check_job(partial: Path, name: str) -> None:
    """Checks that the record belongs to the job, and that the results match the record."""
    job = load_job(partial)
    if job.id != name or (job.status == "done" and not job.kind.is_done(partial)):
        raise GateError(
            "The fetched run does not match its record.",
            where=job.kind.record_file,
            fix="check the run on its volume; if its adapter was changed, train it again",
        )


def _check_package(partial: Path, name: str) -> None:
    """Checks that the directory is a package. The caller verifies its contents."""
    if not (partial / PACKAGE_FILE).is_file():
        raise GateError("The fetched directory is not a package.", where=name, fix="fetch it again")


def _check_replaceable(final: Path) -> None:
    """Refuses to replace a run prepared on this machine, which has more files, or any other directory."""
    known = kind_of(final) is not None or (final / PACKAGE_FILE).is_file()
    if (final / INPUTS_FILE).exists() or (final.exists() and not known):
        raise InputError(
            "A directory of this machine has the same name.",
            where=str(final),
            fix="fetch into another directory with --runs or --packages",
        )


def _move(partial: Path, final: Path) -> None:
    with disk_errors(final):
        if not final.exists():
            partial.rename(final)
            return
        # An earlier fetch of the same run is deleted after the new one has its name.
        old = Path(tempfile.mkdtemp(prefix=PARTIAL_PREFIX, dir=final.parent))
        final.rename(old / final.name)
        partial.rename(final)
        discard(old, below=old.parent)


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
    mounted = {one["name"] for one in step.get("volumeMounts") or () if one.get("mountPath") == _RUNS}
    for volume in template.get("volumes") or ():
        if volume["name"] in mounted and "persistentVolumeClaim" in volume:
            return str(volume["persistentVolumeClaim"]["claimName"])
    raise InputError(
        f"The job {target.name} does not keep its runs on a PersistentVolumeClaim.",
        where=f"volume at {_RUNS}",
        fix="set run.kubernetes.runs_claim, and submit the recipe again",
    )


@contextlib.contextmanager
def _reader_pod(cluster: Cluster, reader: Object, console: Console) -> Iterator[str]:
    """Creates the reader, waits until its pod is running, and deletes it at the end.

    Yields:
        name of the pod.
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
        yield _wait_for_reader(cluster, target, made, console)
    finally:
        # If this fails, the reader ends by itself at its deadline.
        with contextlib.suppress(StarfreightError):
            cluster.delete(target.path(cluster), propagationPolicy="Background")


def _wait_for_reader(cluster: Cluster, target: Target, made: Object, console: Console) -> str:
    end = time.monotonic() + _PATIENCE
    shown = ""
    while True:
        pods = pods_of(cluster, target)
        if pods and is_working(pods[0]):
            return str(pods[0]["metadata"]["name"])
        ended = end_of(pods[0]) if pods else None
        waiting = wait_reason(cluster, made, pods)
        if str(waiting) != shown and waiting.kind != "starting":
            shown = str(waiting)
            console.note(f"Waiting for the reader: {waiting}")
        if ended is not None or time.monotonic() > end:
            raise ServiceError(
                f"The reader does not start: {ended.what if ended else waiting}.",
                where=f"job {target.name}, namespace {cluster.namespace}",
                fix=waiting.fix or "run the same command again",
            )
        wait_for_change(cluster, cluster.core("pods"), 2, labelSelector=target.pods)
