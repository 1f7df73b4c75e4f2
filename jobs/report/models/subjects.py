"""Arguments of a comparison: runs, packages and evaluations, with those that belong to them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from starfreight.errors import InputError, StarfreightError
from starfreight.evaluation import EVALUATION_FILE, Evaluation
from starfreight.package import PACKAGE_FILE, Package
from starfreight.run import RUN_FILE, Run

_Record = TypeVar("_Record")

_MOST_NEIGHBOURS = 5000
"""Directories searched beside a run or a package."""


@dataclass(frozen=True)
class LeftOut:
    """Something that could not be compared, with the reason as a sentence."""

    name: str
    reason: str


@dataclass(frozen=True)
class Subjects:
    """Directories to compare, each once, in the order of the arguments.

    Attributes:
        runs: those named, then those of packages and evaluations, where they are here.
        named_runs: number of runs among the arguments.
        packages: those named, then those of runs.
        evaluations: those named, then those of runs and packages.
        left_out: arguments and neighbours that cannot be read.
    """

    runs: tuple[Path, ...]
    named_runs: int
    packages: tuple[Path, ...]
    evaluations: tuple[tuple[Path, Evaluation], ...]
    left_out: tuple[LeftOut, ...]


def find_subjects(arguments: Sequence[Path]) -> Subjects:
    """Find all directories to compare.

    A run brings its package and its evaluations, a package its run and its evaluations, and an evaluation its
    run. They are looked for beside each other: ``runs/*`` and ``packages/*`` in one directory.

    Args:
        arguments: directories. Those that are neither run, package nor evaluation are ignored if there are
            more than two, because a shell expands ``runs/*`` to other files as well.

    Raises:
        InputError: a run or a package that was named cannot be read; or a directory is none of them.
    """
    search = _Search()
    for path in arguments:
        if (path / RUN_FILE).exists():
            search.add_run(path, Run.load(path))
        elif (path / PACKAGE_FILE).exists():
            search.add_package(path, Package.load(path))
        elif (path / EVALUATION_FILE).exists():
            search.add_evaluation(path)
        elif len(arguments) <= 2:
            raise _unknown(path)
    named = len(search.runs)
    search.add_neighbours()
    return Subjects(
        tuple(path for path, _ in search.runs.values()),
        named,
        tuple(path for path, _ in search.packages.values()),
        tuple(search.evaluations.values()),
        tuple(search.left_out.values()),
    )


class _Search:
    """Directories found so far."""

    def __init__(self) -> None:
        self.runs: dict[str, tuple[Path, Run]] = {}
        self.packages: dict[Path, tuple[Path, Package]] = {}
        self.evaluations: dict[Path, tuple[Path, Evaluation]] = {}
        self.left_out: dict[Path, LeftOut] = {}

    def add_run(self, path: Path, run: Run) -> None:
        """Adds a run, once."""
        self.runs.setdefault(run.id, (path, run))

    def add_package(self, path: Path, package: Package) -> None:
        """Adds a package, once."""
        self.packages.setdefault(path.resolve(), (path, package))

    def add_evaluation(self, path: Path) -> None:
        """Adds an evaluation, or names it among those that are left out."""
        place = path.resolve()
        if place in self.evaluations or place in self.left_out:
            return
        try:
            self.evaluations[place] = (path, Evaluation.load(path))
        except (StarfreightError, OSError, RecursionError) as error:
            what = error.what if isinstance(error, StarfreightError) else str(error)
            self.left_out[place] = LeftOut(path.name, what)

    def add_neighbours(self) -> None:
        """Adds the packages, runs and evaluations that belong to those found so far."""
        for path, evaluation in list(self.evaluations.values()):
            self._add_run_beside(path.parent, evaluation.model.run)
        for path, _ in list(self.runs.values()):
            for folder in _neighbours(path.absolute().parent.parent / "packages", PACKAGE_FILE):
                package = _read(Package.load, folder)
                if package is not None and package.run in self.runs:
                    self.add_package(folder, package)
        for path, package in list(self.packages.values()):
            self._add_run_beside(path.absolute().parent.parent / "runs", package.run)
        places = {path.absolute().parent for path, _ in self.runs.values()}
        places |= {path.absolute().parent.parent / "runs" for path, _ in self.packages.values()}
        for place in sorted(places):
            for folder in _neighbours(place, EVALUATION_FILE):
                self._add_if_related(folder)

    def _add_run_beside(self, runs: Path, name: str | None) -> None:
        if name and name not in self.runs and "/" not in name and (runs / name / RUN_FILE).is_file():
            run = _read(Run.load, runs / name)
            if run is not None and run.id == name:
                self.add_run(runs / name, run)

    def _add_if_related(self, folder: Path) -> None:
        """Adds an evaluation of a file of the packages, or of a run's model."""
        if folder.resolve() in self.evaluations:
            return
        try:
            model = Evaluation.load(folder).model
        except (StarfreightError, OSError, RecursionError):
            # Its name tells the run that it belongs to.
            if any(folder.name.startswith(f"{run}-") for run in self.runs):
                self.add_evaluation(folder)
            return
        files = {each.gguf.digest for _, package in self.packages.values() for each in package.variants}
        if model.run in self.runs or model.gguf in files:
            self.add_evaluation(folder)


def _unknown(path: Path) -> InputError:
    if not path.is_dir():
        what = "This is not a directory." if path.exists() else "The directory does not exist."
        return InputError(what, where=str(path), fix="check the path")
    return InputError(
        "The directory holds no run, package or evaluation.",
        where=str(path),
        fix="name a directory below runs or packages",
    )


def _read(load: Callable[[Path], _Record], folder: Path) -> _Record | None:
    try:
        return load(folder)
    except (StarfreightError, OSError, RecursionError):
        return None


def _neighbours(folder: Path, file: str) -> Iterator[Path]:
    """Directories with a file, in the order of their names."""
    try:
        names = sorted(each.name for each in folder.iterdir())[:_MOST_NEIGHBOURS]
    except OSError:
        return
    for name in names:
        path = folder / name
        if not path.is_symlink() and (path / file).is_file():
            yield path
