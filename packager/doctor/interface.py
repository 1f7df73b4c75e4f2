"""The plug point of clients: from a live release to a verdict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from starfreight.packager.doctor.live_release import LiveRelease


@dataclass(frozen=True)
class Verdict:
    """One client's success or failure."""

    client: str
    pulls: bool
    command: str
    """The command that pulls, or the one to use instead."""
    problem: str | None = None
    """The failure, in the client's words where they are known."""
    fix: str | None = None
    notes: tuple[str, ...] = ()
    """Limits of a client that pulls."""

    def as_dict(self) -> dict[str, Any]:
        """The verdict as ``--json`` prints it."""
        return {**vars(self), "notes": list(self.notes)}


class CannotPullError(Exception):
    """A client fails here.

    Args:
        problem: completes "It cannot: ...".
        fix: the remedy.
    """

    def __init__(self, problem: str, fix: str) -> None:
        super().__init__(problem)
        self.problem, self.fix = problem, fix


class PullingClient(Protocol):
    """A program that pulls models or artifacts."""

    @property
    def name(self) -> str:
        """Name of the program."""
        ...

    @property
    def checks(self) -> tuple[str, ...]:
        """Values of ``--check`` that choose it, in lower case."""
        ...

    def check(self, release: LiveRelease) -> Verdict:
        """Replay the client's requests.

        Raises:
            CannotPullError: it fails, and nothing is known to use instead.
            StarfreightError: the registry refuses or fails.
        """
        ...
