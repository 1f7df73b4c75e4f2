"""Finds the user's files of problems: a file, a directory, or a data set of the hub at a commit."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from starfreight.console import human_count
from starfreight.errors import InputError
from starfreight.hub_snapshot import fetch_snapshot
from starfreight.jobs.data.decompress import SUFFIXES
from starfreight.jobs.data.rows.dataset_files import checked_files
from starfreight.jobs.evaluate.suites.interface import Preparation, SkippedSuite

_HUB = re.compile(r"(?:dataset:)?([\w.-]{1,96}/[\w.-]{1,96})@([0-9a-f]{40})(?::(\w[\w.-]*(?:/\w[\w.-]*)*))?")
_EXAMPLE = "a hub data set with its commit: organisation/name@40 hex digits[:directory]"
_TEST = re.compile(r"test(?:[-_.]|$)")
_FORMATS = frozenset({"jsonl", "ndjson", "json", "parquet"})
_MOST_FILES = 1000


@dataclass(frozen=True)
class ProblemFiles:
    """Files of problems.

    Attributes:
        name: for the record, without directories of this machine.
        paths: the files, sorted.
    """

    name: str
    paths: tuple[Path, ...]


def is_hub_address(text: str) -> bool:
    """True for a data set of the hub at a commit."""
    return _HUB.fullmatch(text) is not None


def find_problem_files(preparation: Preparation, example: str) -> ProblemFiles:
    """Finds the files of a suite's option ``file``.

    Args:
        preparation: with the option.
        example: of such a file, for errors.

    Raises:
        SkippedSuite: the option is not given.
        InputError: no such file, or none that holds problems.
        ServiceError: the hub does not answer.
    """
    given = preparation.options.file
    if not given:
        raise SkippedSuite(
            f"it has no problems of its own: set its `file`, e.g. to {example}, a directory, or {_EXAMPLE}"
        )
    path = preparation.folder / given
    if path.is_file():
        return ProblemFiles(path.name, (path,))
    hub, folder = _HUB.fullmatch(given), None
    if path.is_dir():
        name = path.resolve().name
    elif hub is not None:
        folder = hub[3]
        name = f"{hub[1]} at {hub[2][:12]}"
        path = fetch_snapshot(hub[1], hub[2], "dataset", (f"{folder}/*",) if folder else None)
    else:
        raise InputError(
            f"There are no problems at {given!r}.",
            where=str(path),
            fix=f"name a file, a directory, or {_EXAMPLE}",
        )
    paths = tuple(each for each in checked_files(path) if _is_problem_file(each))
    if folder is not None:
        paths = tuple(each for each in paths if each.is_relative_to(path / folder))
    # Data sets of the hub have examples for prompts and training in their other splits.
    paths = tuple(each for each in paths if _TEST.match(each.name)) or paths
    if not paths or len(paths) > _MOST_FILES:
        raise InputError(
            f"The directory has {human_count(len(paths), 'files')} of problems."
            if paths
            else "The directory has no files of problems.",
            where=str(path),
            fix=f"name a directory with up to {_MOST_FILES} .jsonl, .json or .parquet files",
        )
    return ProblemFiles(name, paths)


def _is_problem_file(path: Path) -> bool:
    suffixes = [each.lower() for each in path.name.split(".")[1:]]
    if suffixes and f".{suffixes[-1]}" in SUFFIXES:
        suffixes.pop()
    return bool(suffixes) and suffixes[-1] in _FORMATS and path.name not in _ABOUT


_ABOUT = frozenset({"dataset_info.json", "dataset_infos.json", "config.json", "metadata.json", "state.json"})
