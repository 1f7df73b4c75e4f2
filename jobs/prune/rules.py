"""Which runs to remove: pure decisions, the same for a directory of this machine and a cluster's volume."""

from __future__ import annotations

import datetime
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass

ENDED = ("done", "failed")
"""States of runs that are over. Others have a checkpoint to resume from."""
STATES = ("done", "failed", "stopped", "interrupted", "prepared")
"""States that a rule can name."""


@dataclass(frozen=True)
class RunFound:
    """A run, as far as the rules look at it.

    Attributes:
        id: name of its directory.
        recipe: the recipe's name.
        state: as in ``jobs list``; ``interrupted`` if its job is gone.
        at: time of its end, or of its last change, in UTC.
        size: bytes on the disk.
        busy: true if a job is running, or a command holds its lock.
        packages: packages that name it and have no other copy of it.
        recorded: the status in its record, which does not know of lost jobs.
    """

    id: str
    recipe: str
    state: str
    at: datetime.datetime
    size: int
    busy: bool = False
    packages: tuple[str, ...] = ()
    recorded: str = ""


@dataclass(frozen=True)
class PruneRules:
    """Rules that select runs. A run must match each of those given.

    Attributes:
        older_than: seconds since its end.
        keep: newest runs to keep of each recipe.
        states: of the runs to remove; :data:`ENDED` if empty.
        force: true to remove also runs that are not finished, and those that a package names.
    """

    older_than: int | None = None
    keep: int | None = None
    states: tuple[str, ...] = ()
    force: bool = False

    @property
    def selects(self) -> bool:
        """True if a rule is given."""
        return self.older_than is not None or self.keep is not None or bool(self.states)


@dataclass(frozen=True)
class Choice:
    """A run with its fate.

    Attributes:
        run: the run.
        remove: true to remove it.
        why_kept: the reason, for a run that the rules select and that is kept all the same.
    """

    run: RunFound
    remove: bool
    why_kept: str | None = None


def choose(runs: Collection[RunFound], rules: PruneRules, now: datetime.datetime) -> Sequence[Choice]:
    """Decides about each run, the oldest first.

    Args:
        runs: all runs of a directory.
        rules: the user's.
        now: current time, in UTC.
    """
    newest: set[str] = set()
    if rules.keep is not None:
        by_recipe: dict[str, list[RunFound]] = defaultdict(list)
        for run in sorted(runs, key=_age, reverse=True):
            by_recipe[run.recipe].append(run)
        newest = {run.id for found in by_recipe.values() for run in found[: rules.keep]}
    return [_decide(run, rules, now, newest) for run in sorted(runs, key=_age)]


def _decide(run: RunFound, rules: PruneRules, now: datetime.datetime, newest: set[str]) -> Choice:
    wanted = rules.states or (STATES if rules.force else ENDED)
    old = rules.older_than is None or now - run.at > datetime.timedelta(seconds=rules.older_than)
    if not old or run.id in newest or (run.state not in wanted and not run.busy):
        return Choice(run, False)
    if run.busy:
        return Choice(run, False, "a job or a command is using it")
    if not rules.force and run.state not in ENDED:
        return Choice(run, False, "it is not finished and can be resumed; to remove it: --force")
    if not rules.force and run.packages:
        return Choice(run, False, f"the package {run.packages[0]} names it; to remove it: --force")
    return Choice(run, True)


def _age(run: RunFound) -> tuple[datetime.datetime, str]:
    return run.at, run.id
