"""The result of verifying a package's files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from starfreight.console import human_count
from starfreight.errors import GateError

Part = Literal["files", "contents", "statement"]
"""``files``: names, sizes, digests, JSON. ``contents``: agreement with the record. ``statement``: agreement
of the provenance statement with the rest."""


@dataclass(frozen=True)
class Problem:
    """One problem: the file, relative to the package's directory, and what is wrong with it."""

    path: str
    what: str
    part: Part = "files"


@dataclass(frozen=True)
class VerifyReport:
    """The number and size of the files that were read, and the problems found."""

    folder: Path
    files: int
    bytes: int
    problems: tuple[Problem, ...]

    def error(self) -> GateError | None:
        """The first problem as an error; ``None`` if there is none."""
        if not self.problems:
            return None
        first, more = self.problems[0], len(self.problems) - 1
        return GateError(
            f"The package has changed since it was written: {first.what}."
            + (f" {human_count(more, 'more problems')} after it." if more else ""),
            where=str(self.folder / first.path),
            fix="make the package again, or get it again from its source",
        )

    def as_dict(self) -> dict[str, Any]:
        """The report as ``--json`` prints it."""
        return {
            "package": str(self.folder),
            "files": self.files,
            "bytes": self.bytes,
            "problems": [{"path": problem.path, "what": problem.what} for problem in self.problems],
        }


class ReportProblem(Protocol):
    """Callback with the path of a wrong file and the text of the problem."""

    def __call__(self, path: Path, what: str, part: Part = "files") -> None:
        """Report a problem."""


class Collecting(Protocol):
    """A context that turns a reader's refusal into a problem at a path."""

    def __call__(self, path: Path, part: Part = "files") -> Any:
        """Open the context."""
