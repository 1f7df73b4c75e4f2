"""The record of every file that a run uses: ``data/manifest.json``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from jobs.data.sources import Found, open_source
from starfreight.console import Console
from starfreight.recipe import Recipe
from starfreight.records import FileDigest, Part, Record

NEWEST_VERSION = 1
_LIMIT = 1 << 30


class ManifestFile(FileDigest):
    """A file and the side that it is on; ``records`` when it is divided record by record."""

    split: Literal["train", "held_out", "records"]


class ManifestSource(Part):
    """One source, as the recipe spells it. Where it lies on this machine is not told."""

    source: str
    revision: str | None
    format: str
    license: str
    files: tuple[ManifestFile, ...]
    left_out: dict[str, int]
    """How many files were left out, by reason."""

    def found(self) -> tuple[Found, ...]:
        """The files as their source's reader wants them."""
        return tuple(Found(file.path, file.digest, file.size, file.split) for file in self.files)


class DataManifest(Record):
    """All sources of a recipe, in its order."""

    sources: tuple[ManifestSource, ...]

    @classmethod
    def load(cls, path: Path) -> DataManifest:
        """Reads a manifest.

        Raises:
            InputError: as :meth:`Record.read`.
        """
        return cls.read(path, newest=NEWEST_VERSION, limit=_LIMIT, kind="data manifest")


def list_data(recipe: Recipe, paths: Sequence[Path], console: Console) -> DataManifest:
    """Finds and digests every file of a recipe's sources.

    Args:
        recipe: says which sources, and what to take from them.
        paths: where each source lies.
        console: shows which source is being read.

    Raises:
        InputError: a source holds nothing usable, or something that must not be used.
    """
    sources = []
    for data, path in zip(recipe.data, paths, strict=True):
        listing = open_source(data, path).list_files()
        size = sum(file.size for file in listing.files)
        left_out = "".join(f", left out {count} {reason}" for reason, count in listing.left_out.items())
        console.note(f"  {data.source}: {len(listing.files)} files, {size:,} bytes{left_out}")
        sources.append(
            ManifestSource(
                source=data.source,
                revision=data.revision,
                format=data.format,
                license=data.license,
                files=tuple(
                    ManifestFile(path=file.path, digest=file.digest, size=file.size, split=file.split)
                    for file in listing.files
                ),
                left_out=dict(listing.left_out),
            )
        )
    return DataManifest(version=NEWEST_VERSION, sources=tuple(sources))
