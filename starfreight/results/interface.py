"""A store of results. Implementations: a registry, and object storage."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from starfreight.console import Advance
from starfreight.results.index import ResultFile, ResultIndex


class ResultsStore(Protocol):
    """Keeps results under names. Every method raises ServiceError if the store refuses or does not answer."""

    def find(self, name: str) -> ResultIndex | None:
        """The index with a name, or with a digest (``sha256:...``); ``None`` if there is none.

        Raises:
            GateError: the index is not valid.
        """
        ...

    def get(self, index: ResultIndex, file: ResultFile, to: Path, advance: Advance) -> None:
        """Write a file of a result. It appears only if size and digest are right; no more is read.

        Raises:
            GateError: the store sent other bytes.
        """
        ...

    def put(self, index: ResultIndex, folder: Path, names: Sequence[str], advance: Advance) -> str:
        """Send a result. Files that the store has are not sent again; the names move last.

        Args:
            index: the result.
            folder: the directory with its files, which do not change meanwhile.
            names: its names, each of which now leads to this result.
            advance: called with numbers of bytes.

        Returns:
            The digest to address this result by.

        Raises:
            GateError: a file has changed.
        """
        ...
