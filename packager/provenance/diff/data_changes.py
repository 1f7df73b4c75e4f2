"""Compare the training data of two packages, entry by entry, in little memory.

Each entry takes about fifty bytes: digests of its name and contents. Names are read again from disk, and only
those that are shown.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from starfreight.packager.provenance.diff.training_files import TrainingFiles

Kind = Literal["added", "removed", "changed", "relicensed", "moved"]
KINDS: tuple[Kind, ...] = ("added", "removed", "changed", "relicensed", "moved")
"""``changed``: other contents. ``relicensed`` and ``moved``: the same contents under another license, or on
the other side of training and held-out data."""

_Numbers = npt.NDArray[np.uint64]
_SPLITS = {None: 0, "train": 1, "held_out": 2, "records": 3}


@dataclass
class SourceChanges:
    """Changes of one source.

    Attributes:
        source: its name.
        before: number of entries of the first package; ``None`` if it does not have the source.
        after: the same of the second one.
        counts: number of entries of each kind of change.
        names: the first names of each kind.
    """

    source: str
    before: int | None
    after: int | None
    counts: dict[Kind, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    names: dict[Kind, list[str]] = field(default_factory=lambda: {kind: [] for kind in KINDS})

    @property
    def is_changed(self) -> bool:
        """True if an entry differs, or only one package has the source."""
        return any(self.counts.values()) or None in (self.before, self.after)


@dataclass(frozen=True)
class DataChanges:
    """All changes of the training data.

    Attributes:
        sources: those with changes.
        renamed: number of added entries with the contents of a removed one.
    """

    sources: tuple[SourceChanges, ...]
    renamed: int

    @property
    def counts(self) -> dict[Kind, int]:
        """Number of entries of each kind of change."""
        return {kind: sum(each.counts[kind] for each in self.sources) for kind in KINDS}

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        counts = {str(kind): count for kind, count in self.counts.items()}
        return {**counts, "renamed": self.renamed, "sources": [asdict(each) for each in self.sources]}


def compare_data(before: TrainingFiles, after: TrainingFiles, names: int) -> DataChanges:
    """Compare two lists of training data. Order does not matter.

    Args:
        before: of the first package.
        after: of the second package.
        names: number of names to keep for each source and kind of change.
    """
    labels = list(dict.fromkeys([*before.names, *after.names]))
    columns = [_Columns(side, [labels.index(name) for name in side.names]) for side in (before, after)]
    kinds, renamed = _classify(*columns)
    sources = [
        SourceChanges(
            label, _count(columns[0], place, before, label), _count(columns[1], place, after, label)
        )
        for place, label in enumerate(labels)
    ]
    for number, (side, files) in enumerate(zip(columns, (before, after), strict=True)):
        found = kinds[number]
        for code, kind in enumerate(KINDS, start=1):
            # Removed entries are the first package's; all other changes are shown by the second one's names.
            if (kind == "removed") != (number == 0):
                continue
            for place, count in enumerate(np.bincount(side.sources[found == code], minlength=len(labels))):
                sources[place].counts[kind] += int(count)
        if names:
            _add_names(sources, side, files, found, names, first=number == 0)
    return DataChanges(tuple(each for each in sources if each.is_changed), renamed)


class _Columns:
    """Entries as numbers, in their order on disk.

    Attributes:
        keys: shape (entries, 2): digest of source and path.
        contents: shape (entries, 2): digest of the digest of the contents.
        licenses: shape (entries,).
        splits: shape (entries,).
        sources: shape (entries,): place of the source among all names.
    """

    def __init__(self, files: TrainingFiles, places: list[int]) -> None:
        keys, contents, licenses = array("Q"), array("Q"), array("Q")
        splits, sources = array("B"), array("L")
        for each in files.entries():
            name = f"{files.names[each.source]}\0{each.path}"
            keys.frombytes(_digest(name))
            contents.frombytes(_digest(each.digest))
            licenses.frombytes(_digest(each.license or "")[:8])
            splits.append(_SPLITS.get(each.split, 0))
            sources.append(places[each.source])
        self.keys = np.array(keys, np.uint64).reshape(-1, 2)
        self.contents = np.array(contents, np.uint64).reshape(-1, 2)
        self.licenses = np.array(licenses, np.uint64)
        self.splits = np.array(splits, np.uint8)
        self.sources = np.array(sources, np.int64)


def _digest(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _classify(before: _Columns, after: _Columns) -> tuple[tuple[npt.NDArray[np.uint8], ...], int]:
    """The kind of change of each entry of both sides: 0 for none, or a place in :data:`KINDS` from 1.

    Entries with one name, which records can have, are compared together.
    """
    split_at = len(before.keys)
    keys = np.concatenate([before.keys, after.keys])
    order = np.lexsort((keys[:, 1], keys[:, 0]))
    ordered = keys[order]
    starts = np.ones(len(order), bool)
    starts[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    groups = np.empty(len(order), np.int64)
    groups[order] = np.cumsum(starts) - 1
    total = int(starts.sum())
    del keys, ordered, order, starts
    one, two = groups[:split_at], groups[split_at:]
    counts = [np.bincount(each, minlength=total) for each in (one, two)]
    kinds = np.zeros(total, np.uint8)
    both = (counts[0] > 0) & (counts[1] > 0)
    # A split is unknown in packages of earlier versions, where it does not count as a change.
    known = before.splits.any() and after.splits.any()
    lanes: list[tuple[int, Any, Any]] = [(4, before.licenses, after.licenses)]
    if known:
        lanes.insert(0, (5, before.splits.astype(np.uint64), after.splits.astype(np.uint64)))
    lanes += [(3, before.contents[:, lane], after.contents[:, lane]) for lane in (0, 1)]
    for code, first, second in lanes:  # The gravest change is written last.
        kinds[both & (_sums(one, first, total) != _sums(two, second, total))] = code
    kinds[both & (counts[0] != counts[1])] = 3
    kinds[counts[0] == 0] = 1
    kinds[counts[1] == 0] = 2
    found = (kinds[one], kinds[two])
    added, removed = after.contents[found[1] == 1], before.contents[found[0] == 2]
    renamed = int(np.isin(added[:, 0], removed[:, 0]).sum())
    return found, renamed


def _sums(groups: npt.NDArray[np.int64], values: _Numbers, total: int) -> _Numbers:
    """Sum of the values of each group, modulo 2^64: independent of their order."""
    sums = np.zeros(total, np.uint64)
    np.add.at(sums, groups, values)
    return sums


def _count(columns: _Columns, place: int, files: TrainingFiles, label: str) -> int | None:
    return int((columns.sources == place).sum()) if label in files.names else None


def _add_names(
    sources: list[SourceChanges],
    side: _Columns,
    files: TrainingFiles,
    found: npt.NDArray[np.uint8],
    names: int,
    *,
    first: bool,
) -> None:
    wanted: Iterator[int] = iter(_shown(side, found, len(sources), names, first=first))
    following = next(wanted, None)
    for number, entry in enumerate(files.entries()):
        if following is None:
            return
        if number == following:
            place = int(side.sources[number])
            sources[place].names[KINDS[int(found[number]) - 1]].append(entry.path)
            following = next(wanted, None)


def _shown(
    side: _Columns, found: npt.NDArray[np.uint8], sources: int, names: int, *, first: bool
) -> list[int]:
    """Numbers of the entries whose names are shown, ascending."""
    chosen: list[int] = []
    for code, kind in enumerate(KINDS, start=1):
        if (kind == "removed") != first:
            continue
        places = np.flatnonzero(found == code)
        for source in range(sources):
            chosen += places[side.sources[places] == source][:names].tolist()
    return sorted(chosen)
