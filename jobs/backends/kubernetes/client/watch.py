"""Answers of the API that are long: a list page by page, a watch that is taken up again, lines of a stream.

A list of a thousand jobs is never held as a whole: each page is given out and forgotten. A watch begins where
its list ended, so that nothing is missed in between, and one watch is enough for all the jobs of a namespace.
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
"""Seconds that the server is asked to keep a watch open; then it is opened again where it ended."""
_LATE = 30
"""Seconds after which a watch that should have ended counts as broken."""
_LONGEST_LINE = 8 << 20
_GONE = 410
_PAUSE = 1.0


class BrokenOff(Exception):
    """A connection was lost in the middle of a stream. Whoever reads it opens it again where it broke off."""


@dataclass(frozen=True)
class Change:
    """One object as it is now."""

    kind: Literal["ADDED", "MODIFIED", "DELETED"]
    object: Object


def pages(
    cluster: Cluster, path: str, query: Mapping[str, str], size: int = PAGE
) -> Iterator[tuple[list[Object], str]]:
    """A list's pages, each with the version that a watch goes on from.

    Where the server has forgotten the list's version between two pages, the rest comes from a newer one, as
    the server offers; when it offers none, the list begins again, so an object may come twice.

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


def everything(cluster: Cluster, path: str, **query: str) -> list[Object]:
    """A list that is known to be short, as the pods of one job: a dict for each object."""
    return list({_key(one): one for page, _ in pages(cluster, path, query) for one in page}.values())


def changes(
    cluster: Cluster,
    path: str,
    *,
    until: Callable[[], bool] = lambda: False,
    seconds: int = _WATCH,
    **query: str,
) -> Iterator[Change | None]:
    """All objects of a list as ``ADDED``, then ``None``, then each change as it happens.

    A connection that ends is opened again where it ended. When the server has forgotten that place, the list
    is read again, and what is different since is given out as changes.

    Args:
        cluster: the cluster.
        path: of the list.
        until: asked after each change, and whenever a watch ends; true ends it.
        seconds: how long the server is asked to keep each watch open.
        query: selectors.

    Raises:
        StarfreightError: as :meth:`Cluster.get`.
    """
    known: dict[str, str] = {}
    first = True
    while not until():
        version = ""
        there: dict[str, str] = {}
        for page, at in pages(cluster, path, query):
            version = at
            for one in page:
                key = _key(one)
                there[key] = str(one["metadata"].get("resourceVersion"))
                if known.get(key) != there[key]:
                    yield Change("MODIFIED" if key in known else "ADDED", one)
        for key in known.keys() - there.keys():
            namespace, _, name = key.partition("/")
            yield Change("DELETED", {"metadata": {"namespace": namespace, "name": name}})
        known = there
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
) -> Iterator[Change]:
    """Changes from a version on; ends when the server has forgotten that version."""
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
                        break  # Such as a server that shuts down: go on from the same version.
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
        if time.monotonic() - began < _PAUSE:  # A server that ends every watch at once is not to be flooded.
            time.sleep(_PAUSE)


def wait_for_change(cluster: Cluster, path: str, seconds: int, **query: str) -> None:
    """Returns when an object of a short list has changed, or after so many seconds.

    Raises:
        StarfreightError: as :meth:`Cluster.get`.
    """
    # What came before this list was seen by the caller, or is seen when it looks again after these seconds.
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
    """The events of a watch until the connection ends, however it does."""
    with contextlib.suppress(BrokenOff):
        for line in lines(response):
            try:
                event = json.loads(line)
            except ValueError:
                return  # Cut off in the middle: that event comes again.
            if isinstance(event, dict):
                yield event


def lines(response: Any) -> Iterator[bytes]:
    """The whole lines of a stream until it ends, each without its newline.

    Raises:
        BrokenOff: the connection was lost; half a line is not given out, since it comes again as a whole.
        ServiceError: a line has no end.
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
                    fix="look at what the job writes: kubectl logs",
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
