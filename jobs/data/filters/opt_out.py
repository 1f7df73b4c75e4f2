"""The filter of ``filters.opt_out``: leaves out the repositories and contents on a list."""

from __future__ import annotations

from pathlib import Path

from starfreight.jobs.data.filters.interface import Document
from starfreight.opt_out_list import MAX_LINE, OptOutList

__all__ = ["MAX_LINE", "OptOutFilter"]


class OptOutFilter:
    """Rejects the repositories, commits and contents on a list."""

    name = "opt_out"

    def __init__(self, path: Path) -> None:
        """Read the list at ``path``.

        Raises:
            InputError: the file cannot be read, has more than five million entries, or an invalid line.
        """
        self._list = OptOutList(path)

    def reject(self, document: Document) -> str | None:
        """Return what is on the list: the content, the commit or the repository."""
        sample = document.sample
        return self._list.match(document.swhid, sample.commit, sample.repository)
