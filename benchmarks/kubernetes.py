"""Jobs in a cluster against kubectl, on the API server that KUBECONFIG names: requests, seconds, peak memory.

    python benchmarks/kubernetes.py                       # 1,000 jobs in a namespace of its own
    python benchmarks/kubernetes.py --jobs 5000 --kubectl ~/bin/kubectl

The jobs have no pods (``parallelism: 0``), so that the figures are those of the API and the clients. Listings
are the best of three, each client a whole process; memory is that process's peak resident size. Submitting
and watching happen once, and ours without starting a process, so they have no ratio to the peer's figures.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import json
import os
import resource
import secrets
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[0] = str(ROOT)  # Not this directory: this file has the name of the official client.
IMAGE = f"registry.example/starfreight/trainer@sha256:{'0' * 64}"
RECIPE = {
    "version": 1,
    "name": "bench",
    "base": {"model": "builtin:starter"},
    "data": [{"source": "python:click", "license": "BSD-3-Clause"}],
    "run": {"where": "kubernetes", "gpus": 0, "image": IMAGE},
}


def measured(command: list[str]) -> tuple[float, float, str]:
    """Seconds, peak resident MB, and output of a process."""
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=ROOT)
    assert process.stdout is not None
    out = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{command} ended with {process.returncode}")
    return time.perf_counter() - began, usage.ru_maxrss / 1024, out.decode()


def best(command: list[str]) -> tuple[float, float]:
    """The best of three runs, after one to fill the caches."""
    measured(command)
    found = [measured(command)[:2] for _ in range(3)]
    return min(found)


class Counting:
    """Counts the requests to a cluster, in place of its client."""

    def __init__(self, cluster: Any) -> None:
        self.requests: list[tuple[str, str]] = []
        self._send = cluster._send
        cluster._send = self._count

    def _count(self, method: str, path: str, query: Any, *more: Any, **options: Any) -> Any:
        kind = "dry run" if "dryRun" in query else "watch" if "watch" in query else method
        self.requests.append((kind, path.rpartition("/")[2]))
        return self._send(method, path, query, *more, **options)


def sweep_file(folder: Path, variants: int) -> Path:
    """A recipe with the given number of variants and a unique name."""
    path = folder / "sweep.yaml"
    name = f"bench-{secrets.token_hex(3)}"
    path.write_text(json.dumps({**RECIPE, "name": name, "sweep": {"training.seed": list(range(variants))}}))
    return path


def submitting(cluster: Any, kubectl: str, folder: Path) -> None:
    """Submits a sweep of 100 variants: one write of a Job."""
    from starfreight.jobs.backends.kubernetes.client.submit import submit
    from starfreight.jobs.backends.kubernetes.manifests.render import render
    from starfreight.recipe import load_recipe

    began = time.perf_counter()
    # Rendered for a current server: an old one drops unknown fields and keeps the Job.
    rendered = render(load_recipe(sweep_file(folder, 100)))
    rendering = time.perf_counter() - began
    for document in rendered.documents:
        if document["kind"] == "Job":
            document["spec"]["parallelism"] = 0
    counting = Counting(cluster)
    began = time.perf_counter()
    submit(cluster, rendered.documents, cluster.console)
    seconds = time.perf_counter() - began
    writes = [what for kind, what in counting.requests if kind == "POST"]
    print(f"submitting a sweep of 100: rendered in {rendering:.3f} s, sent in {seconds:.3f} s; "
          f"{writes.count('jobs')} write of a Job, {writes.count('configmaps')} of a ConfigMap, "
          f"{len(counting.requests)} requests")  # fmt: skip
    manifest = folder / "sweep-job.json"
    again = [
        json.loads(json.dumps(one).replace(rendered.name, rendered.name + "-k")) for one in rendered.documents
    ]
    manifest.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": again}))
    peer, memory, _ = measured(
        [kubectl, "create", "--validate=false", "-n", cluster.namespace, "-f", str(manifest)]
    )
    print(f"  kubectl create of it: {peer:.3f} s with its start, {memory:.0f} MB")


def fill(cluster: Any, count: int) -> None:
    """Creates jobs, eight at a time."""
    from starfreight.jobs.backends.kubernetes.manifests.render import render
    from starfreight.recipe import load_recipe

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "recipe.yaml"
        path.write_text(json.dumps(RECIPE))
        job = next(one for one in render(load_recipe(path)).documents if one["kind"] == "Job")
    text = json.dumps({**job, "spec": {**job["spec"], "parallelism": 0}})

    def create(number: int) -> None:
        cluster.create(
            cluster.jobs(), json.loads(text.replace(job["metadata"]["name"], f"bench-{number:05}"))
        )

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(create, range(count)))


def listing(cluster: Any, kubectl: str, count: int) -> None:
    """``jobs list`` beside ``kubectl get jobs``."""
    command = ["jobs", "list", "--on", "kubernetes", "--namespace", cluster.namespace]
    ours, memory = best([sys.executable, "-m", "starfreight", *command])
    theirs, peer = best([kubectl, "get", "jobs", "-n", cluster.namespace])
    wide, wide_peer = best([kubectl, "get", "jobs", "-n", cluster.namespace, "-o", "json"])
    print(f"listing {count:,} jobs: {ours:.3f} s, {memory:.0f} MB")
    print(
        f"  kubectl get jobs (the server's table): {theirs:.3f} s, {peer:.0f} MB; ratio {ours / theirs:.2f}"
    )
    print(f"  kubectl get jobs -o json: {wide:.3f} s, {wide_peer:.0f} MB; ratio {ours / wide:.2f}")


def watching(cluster: Any, kubectl: str, count: int) -> None:
    """Changes each job, and follows the changes through one watch."""
    from starfreight.jobs.backends.kubernetes.client.watch import changes

    counting = Counting(cluster)
    seen: set[str] = set()
    listed = threading.Event()
    first = 0.0

    def touch() -> None:
        listed.wait()
        from starfreight.jobs.backends.kubernetes.client.connect import connect

        other = connect(cluster.console, namespace=cluster.namespace)
        for number in range(count):
            note = {"metadata": {"annotations": {"bench": "seen"}}}
            other.patch(other.jobs(f"bench-{number:05}"), note)

    writer = threading.Thread(target=touch)
    writer.start()
    began = time.perf_counter()
    for change in changes(cluster, cluster.jobs(), until=lambda: len(seen) == count):
        if change is None:
            first = time.perf_counter() - began
            listed.set()
        elif change.object["metadata"].get("annotations", {}).get("bench"):
            seen.add(change.object["metadata"]["name"])
    writer.join()
    seconds = time.perf_counter() - began - first
    kinds = [kind for kind, _ in counting.requests]
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"watching {count:,} jobs: {kinds.count('watch')} watch, {kinds.count('GET')} pages; "
          f"{len(seen):,} changes in {seconds:.1f} s ({memory:.0f} MB, including the writer)")  # fmt: skip
    began = time.perf_counter()
    process = subprocess.Popen(
        [kubectl, "get", "jobs", "-n", cluster.namespace, "--watch", "-o", "name"],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    for _, _line in zip(range(count), process.stdout, strict=False):
        pass
    peer = time.perf_counter() - began
    process.terminate()
    _, _, usage = os.wait4(process.pid, 0)
    process.returncode = 0
    print(f"  until all are listed: {first:.3f} s; kubectl get --watch: {peer:.3f} s with its start, "
          f"{usage.ru_maxrss / 1024:.0f} MB")  # fmt: skip


@contextmanager
def a_namespace(cluster: Any) -> Iterator[None]:
    """Creates a namespace, and deletes it at the end."""
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": cluster.namespace}}
    cluster.create("/api/v1/namespaces", body)
    try:
        yield
    finally:
        cluster.delete(f"/api/v1/namespaces/{cluster.namespace}")


def main() -> None:
    """Prints a line for each figure, and the peer's below it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--jobs", type=int, default=1000, help="number of jobs")
    parser.add_argument("--kubectl", default="kubectl", help="the peer's program")
    options = parser.parse_args()
    from starfreight.console import Console
    from starfreight.jobs.backends.kubernetes.client.connect import connect

    def anew() -> Any:
        return connect(Console(quiet=True), namespace=namespace)

    namespace = f"starfreight-bench-{secrets.token_hex(3)}"
    parts: list[Callable[[], None]] = [
        lambda: listing(anew(), options.kubectl, options.jobs),
        lambda: watching(anew(), options.kubectl, options.jobs),
    ]
    with a_namespace(anew()), tempfile.TemporaryDirectory() as folder:
        print(f"server {anew().version()}")
        submitting(anew(), options.kubectl, Path(folder))
        began = time.perf_counter()
        fill(anew(), options.jobs)
        print(f"({options.jobs:,} jobs made in {time.perf_counter() - began:.0f} s)")
        for part in parts:
            part()


if __name__ == "__main__":
    main()
