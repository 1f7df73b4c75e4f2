"""Paths and options of an evaluation on this machine: ``inputs.json``. Never shipped."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

from pydantic import Field

from starfreight.recipe.run import RunOptions
from starfreight.records import Part, Record
from starfreight.run import INPUTS_FILE

_LIMIT = 1 << 20


class Stamp(Part):
    """A file as it was when its digest was computed: its size, and time of change in nanoseconds."""

    size: int
    changed: int

    @classmethod
    def of(cls, path: Path) -> Self:
        """The stamp of a file now."""
        status = path.stat()
        return cls(size=status.st_size, changed=status.st_mtime_ns)


class EvaluationInputs(Record):
    """The files that an evaluation reads outside its directory, or the server that it asks."""

    version: int = 1
    gguf: str | None = None
    adapter: str | None = None
    reference: str | None = None
    server: dict[str, Any] | None = None
    """As :meth:`ServerTarget.as_json`: without a key."""
    package: str | None = None
    """Directory of the package."""
    hashed: Stamp | None = None
    """The GGUF file when it was hashed, if it was."""
    allow_unsandboxed: bool = False
    options: RunOptions = Field(default_factory=RunOptions)

    @classmethod
    def find(cls, folder: Path) -> Self:
        """Reads ``inputs.json``; without one, as in a fetched directory, the defaults.

        Raises:
            InputError: as :meth:`Record.read`.
        """
        path = folder / INPUTS_FILE
        if not path.exists():
            return cls()
        return cls.read(path, newest=1, limit=_LIMIT, kind="list of inputs")

    def save(self, folder: Path) -> None:
        """Writes ``inputs.json``."""
        self.write(folder / INPUTS_FILE)
