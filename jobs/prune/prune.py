"""Selects the runs of a directory by rules, and removes them: on this machine, or in a pod on a volume.

    python -P -m starfreight.jobs.prune.prune /runs '{"older_than": 2592000, "delete": true}'

The program prints its outcome as a JSON object, from which ``jobs prune`` makes its report.
"""

from __future__ import annotations

import datetime
import json
import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from starfreight.console import human_count, printable
from starfreight.errors import StarfreightError
from starfreight.jobs.backends.interface import Report
from starfreight.jobs.disk import DiskUse, disk_use
from starfreight.jobs.kinds.interface import Job
from starfreight.jobs.prune.directory import (
    find_runs,
    is_locked,
    packages_by_run,
    remove_leftovers,
    remove_run,
)
from starfreight.jobs.prune.rules import Choice, PruneRules, RunFound, choose


def prune(
    runs: Path,
    packages: Path,
    rules: PruneRules,
    state_of: Callable[[Job], tuple[str, bool]],
    *,
    delete: bool,
    copied: Collection[str] = (),
) -> dict[str, Any]:
    """Selects runs, and removes them with ``delete``.

    Args:
        runs: the directory of all runs.
        packages: the directory of all packages. A run that one of them names is kept.
        rules: for the runs to remove.
        state_of: state of a job, and true if it is running.
        delete: false to change nothing.
        copied: ids of runs with another copy elsewhere.

    Returns:
        the runs that the rules select, directories that are left out, and the disk: plain data.
    """
    left_out: list[dict[str, str]] = []
    if delete:
        remove_leftovers(runs)
    named = {run: names for run, names in packages_by_run(packages).items() if run not in copied}
    found = list(
        find_runs(runs, named, state_of, lambda path, what: left_out.append({"run": path.name, "what": what}))
    )
    rows = []
    for choice in choose(found, rules, datetime.datetime.now(datetime.UTC)):
        if not choice.remove and choice.why_kept is None:
            continue
        removed, why_kept = False, choice.why_kept
        if delete and choice.remove:
            try:
                remove_run(runs, choice.run.id, choice.run.recorded)
                removed = True
            except (StarfreightError, OSError) as error:
                why_kept = error.what if isinstance(error, StarfreightError) else str(error)
        rows.append(_row(choice, removed, why_kept))
    disk = disk_use(runs)
    return {
        "runs": rows,
        "left_out": left_out,
        "deleted": delete,
        "all_runs": len(found),
        "disk": disk.as_dict() if disk else None,
    }


def report(outcome: Mapping[str, Any], where: str) -> Report:
    """The result of ``jobs prune``.

    Args:
        outcome: of :func:`prune`.
        where: the directory or volume, for people.
    """
    rows, delete = outcome["runs"], bool(outcome["deleted"])
    chosen = [row for row in rows if row["removed"] or (not delete and row["remove"])]
    size = human_count(sum(row["size"] for row in chosen), "B")
    lines = []
    if rows:
        cells = [("RUN", "STATUS", "ENDED (UTC)", "SIZE", "")]
        for row in rows:
            fate = (
                "removed"
                if row["removed"]
                else f"kept: {row['why_kept']}"
                if row["why_kept"]
                else "to remove"
            )
            at = str(row["at"])[:16].replace("T", " ")
            cells.append((row["run"], row["state"], at, human_count(row["size"], "B"), fate))
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines += [
            printable("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
            for line in cells
        ]
    lines += [printable(f"{one['run']} is left out: {one['what']}") for one in outcome["left_out"]]
    count = f"{len(chosen)} of {human_count(outcome['all_runs'], 'runs')}, {size}"
    if delete:
        lines.append(f"Removed from {where}: {count}.")
    elif chosen:
        lines.append(f"Nothing is removed yet. To remove {count}: the same command with --yes")
    else:
        lines.append(f"No run in {where} is to be removed.")
    lines += disk_lines(outcome.get("disk"), where)
    return Report(dict(outcome), "\n".join(lines))


def disk_lines(disk: Mapping[str, Any] | None, where: str) -> list[str]:
    """How full a disk is, as lines for people: one, or none if it is unknown."""
    if not disk:
        return []
    use = DiskUse(int(disk["total"]), int(disk["free"]))
    if use.nearly_full:
        return [f"Warning: the disk of {where} is {use.in_words()}."]
    return [f"Disk of {where}: {use.in_words()}."]


def _row(choice: Choice, removed: bool, why_kept: str | None) -> dict[str, Any]:
    run: RunFound = choice.run
    return {
        "run": run.id,
        "state": run.state,
        "at": run.at.isoformat(),
        "size": run.size,
        "remove": choice.remove,
        "removed": removed,
        "why_kept": why_kept,
    }


def state_on_volume(runs: Path, active: Collection[str]) -> Callable[[Job], tuple[str, bool]]:
    """The states of jobs on a volume, whose processes cannot be seen.

    Args:
        runs: the directory of all runs.
        active: names of the jobs in the cluster that are not over.
    """
    links = runs / ".jobs"
    used = {
        link.readlink().name
        for link in (links.iterdir() if links.is_dir() else ())
        if link.is_symlink() and any(_is_link_of(link.name, name) for name in active)
    }

    def state_of(job: Job) -> tuple[str, bool]:
        busy = job.id in used or is_locked(job.directory)
        return ("interrupted" if job.status == "running" and not busy else job.status), busy

    return state_of


def _is_link_of(link: str, job: str) -> bool:
    """True for the link of a job, or of a variant of it: ``NAME-3``."""
    return link == job or (link.startswith(f"{job}-") and link[len(job) + 1 :].isdecimal())


def main(arguments: list[str]) -> int:
    """Prunes a volume; returns 0. See the module's documentation."""
    runs, options = Path(arguments[0]), json.loads(arguments[1])
    names = {field.name for field in fields(PruneRules)}
    rules = PruneRules(**{key: value for key, value in options.items() if key in names})
    outcome = prune(
        runs,
        runs / "packages",
        PruneRules(rules.older_than, rules.keep, tuple(rules.states), rules.force),
        state_on_volume(runs, options.get("active", ())),
        delete=bool(options.get("delete")),
        copied=set(options.get("copied", ())),
    )
    print(json.dumps(outcome))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
