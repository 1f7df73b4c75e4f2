"""The training data of a package, one entry per file or record, whichever way the package records it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from starfreight.data_manifest import DataManifest, SourceSummary
from starfreight.packager.provenance.recorded import Provenance
from starfreight.public_source import public_source


@dataclass(frozen=True)
class DataEntry:
    """A file or a record.

    Attributes:
        source: number of its source.
        path: its name in the source.
        digest: of its contents, ``sha256:...``.
        size: in bytes; ``None`` if unknown.
        license: its license; ``None`` if unknown.
        split: ``train`` or ``held_out``; ``None`` if unknown.
    """

    source: int
    path: str
    digest: str
    size: int | None
    license: str | None
    split: str | None


@dataclass(frozen=True)
class TrainingFiles:
    """All entries of a package; they stay on disk.

    Attributes:
        names: names of the sources, without duplicates: the second ``./src`` is ``./src (2)``.
        summaries: counts of each source; empty for packages of earlier versions.
        entries: yields all entries, always in the same order.
    """

    names: tuple[str, ...]
    summaries: tuple[SourceSummary, ...]
    entries: Callable[[], Iterator[DataEntry]]


def files_of_manifest(manifest: DataManifest) -> TrainingFiles:
    """The entries of a data manifest."""

    def entries() -> Iterator[DataEntry]:
        for number, source in enumerate(manifest.sources):
            for each in manifest.kept(number):
                license_name = each.license or source.license
                yield DataEntry(number, each.path, each.digest, each.size, license_name, each.split)

    return TrainingFiles(_distinct([each.source for each in manifest.sources]), manifest.sources, entries)


def files_of_statement(provenance: Provenance) -> TrainingFiles | None:
    """The entries in a statement of an earlier version, which names every file itself.

    Returns:
        ``None`` for a statement that names the data manifest alone.
    """

    def entries() -> Iterator[DataEntry]:
        for number, path, digest, license_name in provenance.data_files():
            if digest is not None and number < len(names):
                yield DataEntry(number, path, digest, None, license_name, None)

    names = _distinct([public_source(each.source) for each in provenance.recipe.data])
    return TrainingFiles(names, (), entries) if next(entries(), None) is not None else None


def _distinct(names: Sequence[str]) -> tuple[str, ...]:
    seen: Counter[str] = Counter()
    found = []
    for name in names:
        seen[name] += 1
        found.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return tuple(found)
