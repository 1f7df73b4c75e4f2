"""Records what a job reports as Events of its object: checkpoints, measurements, errors and the end.

They are written by the command that follows the job, with the rights of its user: a pod has no token for the
API. The right to create events is not among those of a submitter; see ``kubernetes/events``. Each Event has a
name of its own, so reading an output again records nothing twice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

from starfreight.console import Console, printable
from starfreight.errors import StarfreightError
from starfreight.jobs.backends.interface import Location, LogLine
from starfreight.jobs.backends.kubernetes.client.cluster import Cluster
from starfreight.jobs.backends.kubernetes.client.connect import connect
from starfreight.jobs.backends.kubernetes.client.job_status import view
from starfreight.jobs.backends.kubernetes.client.targets import Target, find_target
from starfreight.jobs.backends.kubernetes.manifests.templates import Object
from starfreight.jobs.protocol.events import receive
from starfreight.jobs.protocol.progress import in_words

_REASONS = {"checkpoint": "Checkpoint", "measured": "Evaluated", "run": "Prepared", "error": "JobReport"}
"""Reasons of Events by the kind of the job's event."""
_LONGEST = 1024
"""Characters of an Event's message, by the API's validation."""
_STATUSES = {"done": "Finished", "failed": "Failed", "stopped": "Stopped"}


def recorded(lines: Iterator[LogLine], name: str, location: Location, console: Console) -> Iterator[LogLine]:
    """Passes the lines of a job on, and records their events.

    If the server refuses, the lines go on, and a note names the missing right.

    Args:
        lines: output of the job.
        name: of the job.
        location: of the cluster.
        console: shows a refusal.
    """
    cluster = connect(console, context=location.context, namespace=location.namespace)
    target, job = find_target(cluster, name)
    recorder = _Recorder(cluster, target, job, console)
    for line in lines:
        yield line
        event = receive(line.text)
        if event is not None and event["event"] in _REASONS:
            text = in_words(event)
            recorder.record(_REASONS[event["event"]], f"{line.prefix}{text}", f"{line.prefix}{line.text}")
    now = cluster.find(target.path(cluster))
    if now is not None and view(now).status in _STATUSES:
        found = view(now)
        reason = _STATUSES[found.status]
        recorder.record(
            reason, f"The job is {found.status}{': ' + found.what if found.what else ''}.", reason
        )


class _Recorder:
    """Creates Events, until the server refuses one.

    Args:
        cluster: the cluster.
        target: the job.
        job: its object.
        console: shows the refusal.
    """

    def __init__(self, cluster: Cluster, target: Target, job: Object, console: Console) -> None:
        self._cluster, self._target, self._job, self._console = cluster, target, job, console
        self._refused = False

    def record(self, reason: str, message: str, key: str) -> None:
        """Creates an Event, unless there is one for the same key.

        Args:
            reason: one word.
            message: for people.
            key: identifies it among the Events of the job.
        """
        if self._refused:
            return
        try:
            # A name that is taken belongs to the Event of an earlier command.
            self._cluster.create(self._cluster.core("events"), self._event(reason, message, key))
        except StarfreightError as error:
            self._refused = True
            self._console.note(f"No Events are recorded: {error}")

    def _event(self, reason: str, message: str, key: str) -> Object:
        metadata = self._job["metadata"]
        identity = hashlib.sha256(f"{metadata.get('uid')}\0{key}".encode("utf-8", "replace")).hexdigest()[:16]
        now = self._cluster.now().strftime("%Y-%m-%dT%H:%M:%SZ")
        kind = self._target.kind
        involved: dict[str, Any] = {
            "apiVersion": kind.group.removeprefix("apis/"),
            "kind": kind.name,
            "name": self._target.name,
            "namespace": self._cluster.namespace,
            "uid": metadata.get("uid"),
        }
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": f"{self._target.name}.{identity}", "namespace": self._cluster.namespace},
            "involvedObject": involved,
            "type": "Normal",
            "reason": reason,
            "message": printable(message)[:_LONGEST],
            "source": {"component": "starfreight"},
            "reportingComponent": "starfreight.dev/jobs",
            "reportingInstance": "jobs-logs",
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
