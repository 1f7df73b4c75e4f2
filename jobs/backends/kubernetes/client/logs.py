"""Output of a job's pods: each line once, across new pods and lost connections."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator

from starfreight.jobs.backends.kubernetes.client.cluster import Cluster
from starfreight.jobs.backends.kubernetes.client.container_log import (
    LONGEST,
    PodLine,
    container_lines,
    has_log,
)
from starfreight.jobs.backends.kubernetes.client.job_status import (
    containers,
    has_ended,
    has_succeeded,
    is_over,
    is_sweep,
    paused,
)
from starfreight.jobs.backends.kubernetes.client.parallel_logs import has_several_pods, parallel_lines
from starfreight.jobs.backends.kubernetes.client.suspension import Held
from starfreight.jobs.backends.kubernetes.client.targets import Target, pods_of
from starfreight.jobs.backends.kubernetes.client.watch import wait_for_change
from starfreight.jobs.backends.kubernetes.manifests.templates import Object

_WAIT = 5
"""Seconds after which the state of the job is checked again without a change of its pods."""


def log_lines(
    cluster: Cluster,
    target: Target,
    *,
    follow: bool,
    on_wait: Callable[[Object, list[Object]], None] = lambda job, pods: None,
    skip_ended: bool = False,
) -> Iterator[PodLine]:
    """Yields the lines of all pods of a job, in the order of their creation.

    With ``follow``, the pods of several nodes or variants are read at the same time.

    Args:
        cluster: the cluster.
        target: the job, or one variant of it.
        follow: wait for more lines until the job has ended or is stopped, by a cancel or by somebody else.
        on_wait: called repeatedly with the job and its pods while none of them is running.
        skip_ended: leave out pods that have ended already.

    Raises:
        StarfreightError: the server refuses, or does not answer for too long.
    """
    if follow:
        first = cluster.find(target.path(cluster))
        if first is not None and has_several_pods(first, target):
            yield from parallel_lines(cluster, target, on_wait=on_wait, skip_ended=skip_ended)
            return
    read: set[tuple[str, str]] = set()
    if skip_ended:
        over = [pod for pod in pods_of(cluster, target) if has_ended(pod)]
        read = {(pod["metadata"]["uid"], one) for pod in over for one in containers(pod)}
    held = Held()
    while True:
        job = cluster.find(target.path(cluster)) if follow else None
        pods = pods_of(cluster, target)
        unread = [
            (pod, one) for pod in pods for one in containers(pod) if (pod["metadata"]["uid"], one) not in read
        ]
        ready = [(pod, one) for pod, one in unread if has_log(pod, one)]
        for pod, container in ready[:1] if follow else ready:
            yield from container_lines(cluster, pod, container, follow=follow)
            read.add((pod["metadata"]["uid"], container))
        if not follow:
            return
        if ready:
            continue
        left = [pod for pod in pods if not has_ended(pod)]
        if job is None or (not left and (is_over(job) or paused(job) is not None)):
            return
        if held.lasts(job) and not left:
            return
        if left or is_sweep(job) or not any(map(has_succeeded, pods)):
            on_wait(job, left)
        wait_for_change(cluster, cluster.core("pods"), _WAIT, labelSelector=target.pods)


def text_lines(stream: io.RawIOBase) -> Iterator[str]:
    """Yields the lines of a file that a program in a pod sends. A line that is too long is cut."""
    with io.BufferedReader(stream, 1 << 16) as reader:
        while line := reader.readline(LONGEST):
            yield line.decode("utf-8", "replace").rstrip("\r\n")
