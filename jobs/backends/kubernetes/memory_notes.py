"""Notes of a pod's memory for the next one: on the volume of the runs, or in the store of results.

See :mod:`starfreight.jobs.backends.kubernetes.memory_record`.
"""

from __future__ import annotations

import contextlib
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

from starfreight.errors import GateError, InputError
from starfreight.files import canonical_json, read_json, sha256_bytes, write_bytes, write_json
from starfreight.results.address import Place
from starfreight.results.index import ResultFile, ResultIndex
from starfreight.results.table import open_store

NEAR = 0.9
"""Fraction of the limit from which a killed pod is said to have run out of memory."""

_FILE = "memory.json"
_SUFFIX = ".memory"
_LIMIT = 1 << 10


@dataclass(frozen=True)
class MemoryUse:
    """Memory of a container, in bytes.

    Attributes:
        limit: of the container.
        used: the largest amount seen, without cached files.
    """

    limit: int
    used: int

    @property
    def is_near(self) -> bool:
        """True if a container that was killed then has run out of memory."""
        return self.used >= NEAR * self.limit


class MemoryNotes(Protocol):
    """Keeps a note of the memory in use while a job runs."""

    def find(self) -> MemoryUse | None:
        """The note of the previous pod, if that one was killed. A damaged note counts as none."""
        ...

    def keep(self, use: MemoryUse) -> None:
        """Replaces the note."""
        ...

    def clear(self) -> None:
        """Removes the note."""
        ...


@dataclass(frozen=True)
class VolumeNotes:
    """A file on the volume of the runs.

    Attributes:
        path: of the file.
    """

    path: Path

    def find(self) -> MemoryUse | None:
        """See :meth:`MemoryNotes.find`."""
        return _read(self.path) if self.path.exists() else None

    def keep(self, use: MemoryUse) -> None:
        """See :meth:`MemoryNotes.keep`."""
        write_json(self.path, asdict(use))

    def clear(self) -> None:
        """See :meth:`MemoryNotes.clear`."""
        self.path.unlink(missing_ok=True)


class StoreNotes:
    """A result of its own, ``JOB.memory``, for a volume that is lost with its pod.

    Only an amount near the limit is sent: another one decides nothing. Stores delete nothing on request, so a
    note without use replaces it in the end.

    Args:
        place: the address of all results.
        job: name of the job, with the number of its variant.
    """

    def __init__(self, place: Place, job: str) -> None:
        self._place, self._job, self._name = place, job, job + _SUFFIX
        self._limit = 0  # Of the note in the store; 0 for none.

    def find(self) -> MemoryUse | None:
        """See :meth:`MemoryNotes.find`."""
        store = open_store(self._place, write=True)
        with contextlib.suppress(GateError, InputError), tempfile.TemporaryDirectory() as folder:
            index = store.find(self._name)
            if index is None or index.kind != "note" or index.files[0].size > _LIMIT:
                return None
            path = Path(folder) / _FILE
            store.get(index, index.files[0], path, _ignore)
            found = _read(path)
            self._limit = found.limit if found is not None and found.used else 0
            return found if self._limit else None
        return None

    def keep(self, use: MemoryUse) -> None:
        """See :meth:`MemoryNotes.keep`."""
        if use.is_near and not self._limit:
            self._send(use)
            self._limit = use.limit

    def clear(self) -> None:
        """See :meth:`MemoryNotes.clear`."""
        if self._limit:
            self._send(MemoryUse(self._limit, 0))
            self._limit = 0

    def _send(self, use: MemoryUse) -> None:
        data = canonical_json(asdict(use))
        file = ResultFile(path=_FILE, digest=sha256_bytes(data), size=len(data))
        index = ResultIndex(kind="note", name=self._job, job=self._name, files=(file,))
        # With the credentials of now: a job runs for days.
        store = open_store(self._place, write=True)
        with tempfile.TemporaryDirectory() as folder:
            write_bytes(Path(folder) / _FILE, data)
            store.put(index, Path(folder), [self._name], _ignore)


def _read(path: Path) -> MemoryUse | None:
    with contextlib.suppress(InputError, TypeError, KeyError, ValueError, OverflowError):
        found = read_json(path, _LIMIT, "record of a pod's memory")
        return MemoryUse(int(found["limit"]), int(found["used"]))
    return None


def _ignore(amount: float, what: str | None = None) -> None:
    """Shows no progress."""
