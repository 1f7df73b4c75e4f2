"""The interfaces of data sources: kinds of source, and their readers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from starfreight.console import Console
from starfreight.errors import InputError
from starfreight.recipe.data import Data
from starfreight.records import FileDigest


@dataclass(frozen=True)
class Conversion:
    """Differences of a sample's text from the bytes of its file.

    Attributes:
        notes: a few words each, counted in the manifest: ``byte order mark removed``.
        swhid: ``swh:1:cnt:<hex>`` of the file's bytes.
        language: stated by the file (the kernel of a notebook); ``None`` if its name tells it.
    """

    notes: tuple[str, ...]
    swhid: str
    language: str | None = None


@dataclass(frozen=True)
class Sample:
    """A unit of training data: the text of a file, or a record with named fields.

    Attributes:
        name: unique in its source: ``src/app.py`` for a file, ``pairs.jsonl:12`` for a record.
        content: a text, or a record.
        digest: ``sha256:<hex>`` of the file's bytes, or of the record as canonical JSON.
        size: of the same, in bytes.
        path: in its repository; its extension gives the language. ``None`` for a record without a path.
        repository: the unit of splits and opt-outs; ``None`` if there is none.
        commit: of the repository, 40 hex digits; ``None`` if unknown.
        license: the source's license for this sample (a dataset's column, the LICENSE file of
            its repository), as an SPDX expression; ``None`` if it gives none.
        conversion: of a file whose text is not its bytes in UTF-8; otherwise ``None``.
    """

    name: str
    content: str | Mapping[str, Any]
    digest: str
    size: int
    path: str | None = None
    repository: str | None = None
    commit: str | None = None
    license: str | None = None
    conversion: Conversion | None = None


@dataclass(frozen=True)
class Unusable:
    """A file or record of a source that cannot be a sample.

    Attributes:
        name: as a sample's.
        reason: a few words: ``empty``, ``binary``, ``larger than 1 MiB``.
    """

    name: str
    reason: str


class MissingLibrary(InputError):
    """A source needs a library that is not installed here; another machine may have it."""


class Source(Protocol):
    """The reader of a local source."""

    def containers(self) -> tuple[FileDigest, ...]:
        """Return the files of records, with their digests; empty if each sample is a file itself.

        Raises:
            InputError: a forbidden file.
        """

    def samples(self) -> Iterator[Sample | Unusable]:
        """Yield everything in the source, one at a time, in an order that is the same on any machine.

        Files are sorted by repository and path; records keep their order. Memory does not grow with the
        source.

        Raises:
            InputError: a forbidden file, or a record in the wrong format.
        """


class SourceKind(Protocol):
    """A kind of source, named by ``data.source`` in a recipe: ``./src``, ``pairs.jsonl``, ``git:https://...``.

    To add a kind, implement it in a file of its own and list it in
    :mod:`starfreight.jobs.data.sources.kinds`. Only :meth:`locate` and :meth:`open` may import heavy
    libraries: plans and manifests use the other methods.
    """

    @property
    def has_repositories(self) -> bool:
        """True if the source can be a directory of repositories (``repositories: subfolders``)."""

    def claims(self, source: str, path: Path) -> bool:
        """Return true if a source string is of this kind.

        Args:
            source: as written in the recipe.
            path: the local path if the string is a path; it need not exist.
        """

    def check(self, data: Data, folder: Path) -> None:
        """Validate a source as far as possible without fetching it.

        Args:
            data: a source of this kind.
            folder: the base of relative paths.

        Raises:
            RecipeError: the source does not exist, or the recipe lacks something needed to fetch it.
        """

    def locate(self, data: Data, folder: Path, console: Console) -> Path:
        """Return the local file or directory of a valid source, fetching it unless it is in the cache.

        Args:
            data: a source accepted by :meth:`check`.
            folder: the base of relative paths.
            console: shows the progress of a fetch.

        Raises:
            RecipeError: the commit does not exist.
            InputError: the repository, dataset or artifact does not exist or cannot be accessed.
            GateError: a registry sends bytes with another digest.
            ServiceError: the source could not be fetched.
        """

    def open(self, data: Data, path: Path) -> Source:
        """Return the reader of a source located at ``path``."""

    def is_remote(self, source: str) -> bool:
        """Return true if the source is fetched over the network before training."""

    def local_path(self, source: str) -> str | None:
        """Return the path that the source reads in the recipe's directory, as written; ``None`` if none."""
