"""The training data of a package, sample by sample, from the evidence that it has.

Packages with a data manifest list every sample. Statements of version 1 name every file,
without its use. Of other packages only the manifest's digest is known: the manifest itself is in the run.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from starfreight.data_manifest import MANIFEST_FILE, DataManifest, ManifestEntry
from starfreight.errors import GateError
from starfreight.files import open_regular
from starfreight.package import Package
from starfreight.package_training_data import read_training_data
from starfreight.packager.provenance.recorded import Provenance
from starfreight.packager.provenance.shown_source import shown_source
from starfreight.packager.provenance.trace.interface import Omission, Sample, Source

_MAX_LINE = 1 << 20


class TrainingData(Protocol):
    """The samples of a package."""

    @property
    def complete_for(self) -> frozenset[str]:
        """Kinds of questions for which every sample is listed: what is not found is not in the data."""
        ...

    @property
    def where(self) -> str:
        """The list, for people."""
        ...

    @property
    def total(self) -> int:
        """Number of samples and omissions, for progress."""
        ...

    @property
    def redactions(self) -> dict[int, int]:
        """Number of replaced secrets and personal data, by source."""
        ...

    def samples(self) -> Iterator[Sample]:
        """Yield the samples used, and the files of records."""
        ...

    def omissions(self) -> Iterator[Omission]:
        """Yield the samples left out."""
        ...


def find_training_data(
    folder: Path, package: Package, provenance: Provenance, given: Path | None = None
) -> TrainingData | None:
    """The samples of a package; ``None`` if it names no files.

    Args:
        folder: the package's directory.
        package: its record.
        provenance: its statement.
        given: a run's ``data`` directory, instead of the manifest in the package.

    Raises:
        InputError: the given directory has no data manifest, or a damaged one.
        GateError: the manifest is not the one that the statement names, or is damaged.
    """
    if given is not None:
        path = given / MANIFEST_FILE if given.is_dir() else given
        manifest: DataManifest | None = DataManifest.load(path)
        where = str(path)
    else:
        manifest = read_training_data(folder, package)
        where = "the data manifest in the package"
    if manifest is not None:
        if manifest.digest != provenance.data_manifest:
            raise GateError(
                "The data manifest is not the one that the provenance statement names.",
                where=f"{where}: {manifest.digest}; the statement: {provenance.data_manifest}",
                fix="name the data directory of the run that the package was built from"
                if given is not None
                else "get the package again from its source",
            )
        return _ManifestData(manifest, where)
    listed = _StatementData(provenance)
    return listed if listed.total else None


class _ManifestData:
    complete_for = frozenset(("file", "repository", "license", "swhid"))

    def __init__(self, manifest: DataManifest, where: str) -> None:
        self._manifest = manifest
        self.where = where
        self._sources = [
            Source(number, shown_source(each.source), each.revision)
            for number, each in enumerate(manifest.sources)
        ]
        used = sum(each.train.samples + each.held_out.samples for each in manifest.sources)
        self.total = used + manifest.left_out.entries
        self.redactions = {
            number: sum(each.replaced.values())
            for number, each in enumerate(manifest.sources)
            if each.replaced
        }

    def samples(self) -> Iterator[Sample]:
        for source in self._sources:
            if self._manifest.sources[source.number].records is not None:
                yield from (_sample(source, each) for each in self._manifest.files(source.number))
            yield from (_sample(source, each) for each in self._manifest.kept(source.number))

    def omissions(self) -> Iterator[Omission]:
        # One pass for all sources: there may be thousands of them.
        path = self._manifest.lists[self._manifest.left_out.path]
        with open_regular(path, "list of the data") as stream:
            while line := stream.readline(_MAX_LINE):
                try:
                    value = json.loads(line)
                    twin = value.get("twin")
                    yield Omission(
                        self._sources[value["source"]],
                        str(value["name"]),
                        str(value["filter"]),
                        # The key was "reason" once.
                        str(value.get("detail") or value.get("reason") or ""),
                        None if twin is None else str(twin["name"]),
                    )
                except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
                    raise GateError(
                        "The list of samples left out is damaged.",
                        where=str(path),
                        fix="get the package again from its source",
                    ) from error


def _sample(source: Source, entry: ManifestEntry) -> Sample:
    return Sample(
        source,
        entry.path,
        entry.digest,
        entry.split,
        entry.swhid,
        entry.license,
        entry.repository,
        entry.commit,
    )


class _StatementData:
    """Files named by a statement as ``data/NUMBER/PATH``."""

    def __init__(self, provenance: Provenance) -> None:
        self._dependencies = [each for each in provenance.dependencies if _numbered(each.name) is not None]
        self.total = len(self._dependencies)
        self.where = "the provenance statement of an earlier release"
        self.redactions: dict[int, int] = {}
        self._sources = [
            Source(number, shown_source(each.source), each.revision)
            for number, each in enumerate(provenance.recipe.data)
        ]
        # It has digests and licenses of files, and of a source of records the file alone.
        records = any(each.name.startswith("data/records-") for each in provenance.dependencies)
        self.complete_for = frozenset(() if records else ("file", "license"))

    def samples(self) -> Iterator[Sample]:
        for each in self._dependencies:
            numbered = _numbered(each.name)
            assert numbered is not None
            number, path = numbered
            license_name = (each.annotations or {}).get("license")
            source = self._sources[number] if number < len(self._sources) else Source(number, str(number))
            yield Sample(
                source,
                path,
                each.digest or "",
                None,
                license=None if license_name is None else str(license_name),
            )

    def omissions(self) -> Iterator[Omission]:
        return iter(())


def _numbered(name: str) -> tuple[int, str] | None:
    """``data/0/src/app.py`` as 0 and ``src/app.py``."""
    kind, _, rest = name.partition("/")
    number, _, path = rest.partition("/")
    if kind != "data" or not path or not (number.isascii() and number.isdigit() and len(number) < 6):
        return None
    return int(number), path
