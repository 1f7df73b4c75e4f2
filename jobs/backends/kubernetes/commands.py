"""What ``starfreight jobs ... --on kubernetes`` does: a function for each command."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from starfreight.console import Console, as_json, printable
from starfreight.errors import StarfreightError
from starfreight.jobs.backends.kubernetes.client.cluster import Cluster
from starfreight.jobs.backends.kubernetes.client.connect import LONG_PATIENCE, connect
from starfreight.jobs.backends.kubernetes.client.fetch import fetch
from starfreight.jobs.backends.kubernetes.client.follow import follow, is_sweep
from starfreight.jobs.backends.kubernetes.client.job_status import (
    age,
    container_status,
    containers,
    end_of,
    has_ended,
    is_working,
    pod_words,
    variant_of,
    view,
)
from starfreight.jobs.backends.kubernetes.client.logs import log_lines
from starfreight.jobs.backends.kubernetes.client.pause import cancel
from starfreight.jobs.backends.kubernetes.client.submit import Submitted, resume, submit
from starfreight.jobs.backends.kubernetes.client.targets import find_target, pods_of
from starfreight.jobs.backends.kubernetes.client.wait_reasons import why
from starfreight.jobs.backends.kubernetes.manifests.render import render
from starfreight.jobs.protocol.events import receive
from starfreight.jobs.protocol.progress import in_words
from starfreight.recipe import RecipeFile


def run_in_cluster(file: RecipeFile, *, context: str | None, detach: bool, console: Console) -> None:
    """Submits a recipe and follows it to its end.

    Args:
        file: the recipe, with the command line's options in it.
        context: of the kubeconfig.
        detach: leave it alone once it is submitted.
        console: shows progress and the result.

    Raises:
        StarfreightError: as :func:`submit` and :func:`follow`.
    """
    namespace = file.recipe.run.kubernetes.namespace
    cluster = connect(console, context=context, namespace=namespace, patience=LONG_PATIENCE)
    rendered = render(file, version=cluster.version())
    for warning in rendered.warnings:
        console.note(f"Warning: {warning}")
    _finish(cluster, submit(cluster, rendered.documents, console), detach, console)


def resume_job(cluster: Cluster, name: str, *, detach: bool, console: Console) -> None:
    """Lets a job go on that was cancelled or failed, and follows it to its end."""
    target, job = find_target(cluster, name)
    _finish(cluster, (resume(cluster, target, job, console),), detach, console)


def _finish(cluster: Cluster, submitted: tuple[Submitted, ...], detach: bool, console: Console) -> None:
    names = [one.target.name for one in submitted]
    failures = []
    for one in () if detach else submitted:
        try:
            if one.how != "done":
                follow(cluster, one.target, console)
        except StarfreightError as error:  # Variants that are Jobs of their own do not stop one another.
            failures.append(error)
            if len(submitted) > 1:
                console.note(f"{one.target.name}: {error}")
    if failures:
        raise failures[0]
    where = f"--on kubernetes --namespace {cluster.namespace}"
    rows = [{"job": one.target.name, "namespace": cluster.namespace, "how": one.how} for one in submitted]
    lines = (
        [f"Next: starfreight jobs logs -f {name} {where}" for name in names]
        if detach
        else [f"{name} is done. Next: starfreight jobs fetch {name} {where}" for name in names]
    )
    console.result({"jobs": rows}, "\n".join(lines))


def show_status(cluster: Cluster, name: str, console: Console) -> None:
    """What a job does, pod by pod, and why it waits if it does."""
    target, job = find_target(cluster, name)
    now = view(job)
    pods = pods_of(cluster, target)
    left = [pod for pod in pods if not has_ended(pod)]
    waiting = None
    if now.status in ("active", "queued") and not any(map(is_working, left)):
        waiting = why(cluster, job, left)
    working = any(map(is_working, left))
    word = "running" if working and now.status == "active" else "waiting" if waiting else now.status
    lines = [f"{target.link}: {word}" + (f", {now.what}" if now.what else "")]
    if now.pods > 1:
        lines.append(f"  variants: {now.done} of {now.pods} done, {now.failed} pods failed")
    if waiting is not None:
        lines.append(f"  waits for {waiting}")
        lines += [f"  next: {waiting.fix}"] if waiting.fix else []
    clock = cluster.now()
    for pod in pods:
        metadata, spec = pod["metadata"], pod.get("spec") or {}
        lines.append(
            f"  {metadata['name']}  {pod_words(pod)}, on {spec.get('nodeName') or 'no node'}, "
            f"made {age(metadata.get('creationTimestamp'), clock)} ago"
        )
    data: dict[str, Any] = {
        **now.as_dict(),
        "status": word,
        "namespace": cluster.namespace,
        "waiting": waiting and {"kind": waiting.kind, "what": waiting.what, "next": waiting.fix},
        "pods_now": [_pod_row(pod) for pod in pods],
    }
    console.result(data, "\n".join(lines))


def _pod_row(pod: dict[str, Any]) -> dict[str, Any]:
    end = end_of(pod)
    steps = {name: next(iter(container_status(pod, name)), "waiting") for name in containers(pod)}
    return {
        "pod": pod["metadata"]["name"],
        "node": (pod.get("spec") or {}).get("nodeName"),
        "variant": variant_of(pod),
        "what": pod_words(pod),
        "steps": steps,
        "exit_code": end.exit_code if end else None,
    }


def show_logs(cluster: Cluster, name: str, console: Console, *, follow: bool) -> None:
    """Prints what a job's pods have written, those of several variants with their number before each line."""
    target, job = find_target(cluster, name)
    several = is_sweep(job) and target.variant is None
    for line in log_lines(cluster, target, follow=follow):
        event = receive(line.text)
        if console.json_output:
            print(as_json({**(event or {"text": line.text}), "pod": line.pod}), flush=True)
            continue
        # What a library prints may try to steer the terminal.
        text = in_words(event) if event else line.text
        shown = printable(text)
        print(f"[{line.variant}] {shown}" if several else shown, flush=True)


def cancel_job(cluster: Cluster, name: str, *, patience: float, console: Console) -> None:
    """Stops a job with its checkpoint; it can be resumed."""
    target, job = find_target(cluster, name)
    how = cancel(cluster, target, job, console, patience)
    console.result(
        {"job": target.name, "status": "stopped", "what": how},
        f"{target.name} is stopped: {how}. To go on: starfreight jobs resume {target.name} --on kubernetes",
    )


def fetch_run(cluster: Cluster, name: str, runs: Path, console: Console) -> None:
    """Brings a job's run home."""
    target, job = find_target(cluster, name)
    folder = fetch(cluster, target, job, runs, console)
    console.result({"run": str(folder)}, f"The run lies in {folder}.")
