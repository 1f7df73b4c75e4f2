"""Long answers of the API: lists in pages, watches that survive lost connections, and lines of streams.

Pages are yielded one by one, so that a list of a thousand jobs is never in memory as a whole. A watch starts
at the version of its list, so that no change is missed, and one watch serves all jobs of a namespace.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from starfreight.errors import ServiceError
from starfreight.jobs.backends.kubernetes.client.cluster import Cluster
from starfreight.jobs.backends.kubernetes.manifests.templates import Object

PAGE = 500
_WATCH = 300
"""Seconds after which the server closes a watch; it is reopened at the last version."""
_LATE = 30
"""Seconds after a watch's due end at which its connection counts as broken."""
_LONGEST_LINE = 8 << 20
_GONE = 410
_PAUSE = 1.0


class BrokenOff(Exception):
    """A stream's connection was lost. The reader reopens the stream at the same position."""


@dataclass(frozen=True)
class Change:
    """A change of an object, with its current state."""

    kind: Literal["ADDED", "MODIFIED", "DELETED"]
    object: Object


def pages(
    cluster: Cluster, path: str, query: Mapping[str, str], size: int = PAGE
) -> Iterator[tuple[list[Object], str]]:
    """Yields the pages of a list, each with the version to start a watch at.

    If the list's version expires between two pages, the rest comes from a newer version if the server offers
    one. Otherwise the list is restarted, and an object may be yielded twice.

    Raises:
        StarfreightError: as :meth:`Cluster.get`.
    """
    token = ""
    while True:
        more = {"continue": token} if token else {}
        status, answer = cluster.page(path, {"limit": size, **query, **more})
        if status == _GONE:
            offered = _metadata(answer).get("continue")
            token = offered if isinstance(offered, str) and offered != token else ""
            continue
        found = _metadata(answer)
        yield (
            [one for one in answer.get("items") or () if isinstance(one, dict)],
            str(found.get("resourceVersion") or ""),
        )
        token = str(found.get("continue") or "")
        if not token:
            return


def list_all(cluster: Cluster, path: str, **query: str) -> list[Object]:
    """All objects of a list that is known to be short, e.g. the pods of one job."""
    return list({_key(one): one for page, _ in pages(cluster, path, query) for one in page}.values())


def changes(
    cluster: Cluster,
    path: str,
    *,
    until: Callable[[], bool] = lambda: False,
    seconds: int = _WATCH,
    **query: str,
) -> Iterator[Change | None]:
    """Yields all objects of a list as ``ADDED``, then ``None``, then each change, and ``None`` now and then.

    A lost connection is reopened at the last version. If that version has expired, the list is read again,
    and the differences are yielded as changes.

    Args:
        cluster: the cluster.
        path: of the list.
        until: called after each change and each watch; true ends the iteration.
        seconds: time after which the server closes each watch; ``None`` is yielded then.
        query: selectors.

    Raises:
        StarfreightError: as :meth:`Cluster.get`.
    """
    known: dict[str, str] = {}
    first = True
    while not until():
        version = ""
        current: dict[str, str] = {}
        for page, at in pages(cluster, path, query):
            version = at
            for one in page:
                key = _key(one)
                current[key] = str(one["metadata"].get("resourceVersion"))
                if known.get(key) != current[key]:
                    yield Change("MODIFIED" if key in known else "ADDED", one)
        for key in known.keys() - current.keys():
            namespace, _, name = key.partition("/")
            yield Change("DELETED", {"metadata": {"namespace": namespace, "name": name}})
        known = current
        if first:
            first = False
            yield None
        yield from _watch(cluster, path, version, known, until, seconds, query)


def _watch(
    cluster: Cluster,
    path: str,
    version: str,
    known: dict[str, str],
    until: Callable[[], bool],
    seconds: int,
    query: dict[str, str],
) -> Iterator[Change | None]:
    """Yields the changes after a version, until it expires, and ``None`` at the end of each watch."""
    while not until():
        began = time.monotonic()
        with cluster.stream(
            path,
            quiet_for=seconds + _LATE,
            watch="true",
            allowWatchBookmarks="true",
            resourceVersion=version,
            timeoutSeconds=seconds,
            **query,
        ) as (status, response):
            if status == _GONE:
                return
            if status != 200:
                raise cluster.refusal(status, response.read(1 << 20), path)
            for event in _events(response):
                one = event.get("object") or {}
                if event.get("type") == "ERROR":
                    if one.get("code") != _GONE:
                        time.sleep(_PAUSE)
                        break  # E.g. the server shuts down: continue from the same version.
                    return
                version = str(_metadata(one).get("resourceVersion") or version)
                if event.get("type") in ("ADDED", "MODIFIED", "DELETED"):
                    if event["type"] == "DELETED":
                        known.pop(_key(one), None)
                    else:
                        known[_key(one)] = version
                    yield Change(event["type"], one)
                if until():
                    return
        if time.monotonic() - began < _PAUSE:  # Do not flood a server that closes every watch at once.
            time.sleep(_PAUSE)
        yield None


def wait_for_change(cluster: Cluster, path: str, seconds: int, **query: str) -> None:
    """Returns when an object of a short list changes, or after ``seconds``.

    Raises:
        StarfreightError: as :meth:`Cluster.get`.
    """
    # The caller has seen earlier changes, or sees them when it reads the state again after this call.
    *_, (_, version) = pages(cluster, path, query)
    began = time.monotonic()
    with cluster.stream(
        path,
        quiet_for=seconds + _LATE,
        watch="true",
        resourceVersion=version,
        timeoutSeconds=seconds,
        **query,
    ) as (status, response):
        happened = status == 200 and next(_events(response), None) is not None
    if not happened and time.monotonic() - began < _PAUSE:
        time.sleep(_PAUSE)


def _events(response: Any) -> Iterator[dict[str, Any]]:
    """Yields the events of a watch until the connection is closed or lost."""
    with contextlib.suppress(BrokenOff):
        for line in lines(response):
            try:
                event = json.loads(line)
            except ValueError:
                return  # Cut off: the event is sent again by the next watch.
            if isinstance(event, dict):
                yield event


def lines(response: Any) -> Iterator[bytes]:
    """Yields the lines of a stream without their newlines.

    Raises:
        BrokenOff: the connection was lost. A partial line is dropped, because it is sent again.
        ServiceError: a line is too long.
    """
    import urllib3

    rest = b""
    try:
        for piece in response.stream(None):
            *whole, rest = (rest + piece).split(b"\n")
            yield from whole
            if len(rest) > _LONGEST_LINE:
                raise ServiceError(
                    f"A line of the API server's answer is longer than {_LONGEST_LINE:,} bytes.",
                    fix="check the output of the job: kubectl logs",
                )
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise BrokenOff from error
    if rest:
        yield rest


def _metadata(one: Object) -> dict[str, Any]:
    found = one.get("metadata")
    return found if isinstance(found, dict) else {}


def _key(one: Object) -> str:
    found = _metadata(one)
    return f"{found.get('namespace', '')}/{found.get('name', '')}"
