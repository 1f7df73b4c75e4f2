"""Warnings that the cluster has recorded for a job's objects, the newest first."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from starfreight.errors import StarfreightError
from starfreight.jobs.backends.kubernetes.client.cluster import Cluster
from starfreight.jobs.backends.kubernetes.client.refusals import clean
from starfreight.jobs.backends.kubernetes.client.watch import list_all
from starfreight.jobs.backends.kubernetes.manifests.templates import Object

_OVERCOME = ("SuccessfulCreate", "Resumed", "Started", "Created", "Pulled", "Pulling")
"""Reasons of events that end the troubles before them."""
_HARMLESS = ("DNSConfigForming", "FailedScheduling", "FailedToRetrieveImagePullSecret")
"""Warnings of pods that start all the same, or that have a condition with the current state."""


@dataclass(frozen=True)
class WarningEvent:
    """A warning.

    Attributes:
        reason: a word, e.g. ``FailedCreatePodSandBox``.
        message: the explanation of the cluster.
        subject: the kind and name of the object, e.g. ``pod acme-x7k2p``.
    """

    reason: str
    message: str
    subject: str


def warnings_of(cluster: Cluster, objects: Iterable[Object]) -> list[WarningEvent]:
    """Warnings of objects, the newest first, without those that later events have made obsolete.

    Empty without the right to read events.
    """
    found = [each for one in objects for each in _of_one(cluster, one)]
    return [warning for _, warning in sorted(found, key=lambda each: each[0], reverse=True)]


def events_of(cluster: Cluster, one: Object) -> list[Object]:
    """Events of an object, the newest first; none without the right to read them."""
    selector = f"involvedObject.uid={one['metadata']['uid']}"
    try:
        found = list_all(cluster, cluster.core("events"), fieldSelector=selector)
    except StarfreightError:
        return []
    return sorted(found, key=_time, reverse=True)


def message_of(event: Object) -> str:
    """The explanation in an event."""
    return clean(event.get("message") or event.get("reason") or "")


def _of_one(cluster: Cluster, one: Object) -> Iterator[tuple[str, WarningEvent]]:
    for event in events_of(cluster, one):
        reason = str(event.get("reason") or "")
        if event.get("type", "Warning") != "Warning":
            if reason in _OVERCOME:
                return
            continue
        if reason not in _HARMLESS:
            about = event.get("involvedObject") or {}
            subject = f"{about.get('kind') or 'object'} {about.get('name') or one['metadata']['name']}"
            yield _time(event), WarningEvent(clean(reason), message_of(event), clean(subject))


def _time(event: Object) -> str:
    """Time of an event's last occurrence, in a format that sorts."""
    series = event.get("series") or {}
    times = (series.get("lastObservedTime"), event.get("lastTimestamp"), event.get("eventTime"))
    return max(str(each).rstrip("Z") for each in (*times, "") if each is not None)


def without_random_names(text: str) -> str:
    """A text without the names that change at each try, to tell whether it says something new."""
    return re.sub(r"\b[0-9a-f]{12,}\b|(?<=-)[bcdfghjklmnpqrstvwxz2456789]{5}\b", "*", text)
