"""Answers of the API server to earlier requests: allowed, or refused for want of rights.

- A refused request is not sent again. Some users may not read events or namespaces, and asking every few
  seconds would fill the audit log.
- A request for a resource that could be read before and is refused now is repeated for a minute. A
  restarting server answers 403, 401, or 404 in plain text until it has loaded its rules and kinds.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping

from starfreight.console import Console

RESTART = 60.0
"""Seconds for which a request that was allowed before is repeated."""
PAUSE = 1.0
_REFUSALS = (401, 403)
_READS = ("get", "list", "watch")

Operation = tuple[str, str]
"""The verb and the resource of a request, e.g. ``("list", "/api/v1/namespaces/research/pods")``."""


def operation(method: str, path: str, query: Mapping[str, str | int]) -> Operation:
    """The verb and the resource of a request, as in the cluster's rules for access."""
    found = re.fullmatch(r"(/.*?/namespaces/[^/]+/[^/]+)(?:/([^/]+)(/.+)?)?", path)
    if found is None:
        return "get" if method == "GET" else method, path
    resource, name, part = found.groups()
    verb = method if method != "GET" else "get" if name else "watch" if "watch" in query else "list"
    return verb, resource + (part or "")


class Permissions:
    """Remembers what one API server has allowed and refused.

    Args:
        console: shows that requests are repeated.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._allowed: set[str] = set()
        """Resources that could be read."""
        self._refused: dict[Operation, tuple[int, bytes]] = {}
        self._since: dict[Operation, float] = {}

    def earlier_refusal(self, asked: Operation) -> tuple[int, bytes] | None:
        """Status and body of the answer that refused the same reading request before, if any."""
        return self._refused.get(asked)

    def refused(self, asked: Operation, status: int, answer: bytes) -> None:
        """Remembers a refusal. Refused changes are not remembered: a policy may refuse one object alone."""
        if status == 403 and asked[0] in _READS and asked[1] not in self._allowed:
            self._refused[asked] = status, answer

    def answered(self, asked: Operation, status: int, kind: str | None) -> None:
        """Remembers an allowed request, judged by its answer."""
        if asked[0] in _READS and (status < 300 or (status == 404 and not _is_plain(kind))):
            self._allowed.add(asked[1])
            self._since.pop(asked, None)

    def shall_repeat(self, asked: Operation, status: int, kind: str | None) -> bool:
        """Waits a moment and returns true if a request is refused only because the server has restarted.

        Args:
            asked: the request.
            status: of the answer.
            kind: content type of the answer.
        """
        refused = status in _REFUSALS or (status == 404 and _is_plain(kind))
        if not (refused and asked[1] in self._allowed and asked[0] in _READS):
            return False
        now = time.monotonic()
        if not self._since:
            self._console.note(
                "The API server refuses what it has allowed before. It may have restarted: "
                f"trying again for {RESTART:.0f} s."
            )
        if now - self._since.setdefault(asked, now) >= RESTART:
            self._allowed.discard(asked[1])
            return False
        time.sleep(PAUSE)
        return True


def _is_plain(kind: str | None) -> bool:
    """True for an answer outside the API, e.g. for a kind that the server does not have."""
    return (kind or "").startswith("text/plain")
