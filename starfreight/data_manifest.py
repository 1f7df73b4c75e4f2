"""The record of the data of a run: ``data/manifest.json`` and the lists beside it.

``data/manifest.json`` lists every file used, and counts the samples left out by reason. It is plain
JSON for any program; here it is written and read line by line, one file per line, so that memory does not
grow with the data. Beside it are ``data/left_out.jsonl``, with a line per sample left out, and for a source
of records ``data/records-<number>.jsonl``, with a line per record used. Their digests are in the manifest,
and the digest of the manifest is in ``run.json``. None of them contains a local path.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import Field, ValidationError

from starfreight.errors import InputError
from starfreight.files import open_regular
from starfreight.records import Digest, FileDigest, Part

NEWEST_VERSION = 2
MANIFEST_FILE = "manifest.json"
LEFT_OUT_FILE = "left_out.jsonl"

_MAX_LINE = 1 << 20
_MAX_SOURCES = 10_000
_MAX_HEAD = 4096
_VERSION = re.compile(rb'\s*\{\s*"version"\s*:\s*([0-9]{1,9})\s*[,}]')
_OPEN, _CLOSE = b'"files": [\n', b"]}"
_FIX = "restore the directory of the run, or prepare the run again: starfreight jobs run RECIPE"


class OtherVersionError(InputError):
    """A manifest of an earlier or a newer release."""


class ManifestEntry(Part):
    """A file or record in use.

    ``path`` is the name in the source; it is never opened. ``swhid`` is ``None`` for a record, and ``split``
    is ``records`` for a file of records. The digest of a record is that of its canonical JSON.
    """

    path: Annotated[str, Field(min_length=1, max_length=4096)]
    digest: Digest
    size: Annotated[int, Field(ge=0)]
    swhid: str | None = None
    license: str | None = None
    repository: str | None = None
    commit: str | None = None
    language: str | None = None
    split: Literal["train", "held_out", "records"]


class Count(Part):
    """The number of samples, and their total bytes."""

    samples: int
    bytes: int


class EntryList(FileDigest):
    """A list in a file beside the manifest, with the number of its lines."""

    entries: int


class SourceSummary(Part):
    """A source without its files."""

    source: str
    """As written in the recipe; of an absolute path only the last part."""
    revision: str | None
    format: str
    license: str
    weight: float
    repositories: int
    """Number of distinct repositories; 0 if none is known."""
    found: int
    """Number of samples in the source, including those left out."""
    train: Count
    held_out: Count
    left_out: dict[str, dict[str, int]]
    """Number of samples left out, by filter and reason."""
    licenses: dict[str, Count]
    """Samples used, by license; `NOASSERTION` if unknown."""
    languages: dict[str, Count]
    """Samples used, by language."""
    replaced: dict[str, int]
    """Number of redactions in the texts used, by kind."""
    notes: dict[str, int] = Field(default_factory=dict)
    """Number of files or records by what earlier releases did not read, or read otherwise; absent from
    the manifest if there is none."""
    records: EntryList | None
    """The list of the records used; ``None`` for a source of files."""


class _End(Part):
    left_out: EntryList


@dataclass(frozen=True)
class DataManifest:
    """A complete, verified manifest, whose entries stay on disk.

    Attributes:
        path: of ``manifest.json``.
        sources: in the order of the recipe.
        left_out: the list of samples left out.
        digest: of ``manifest.json``.
    """

    path: Path
    sources: tuple[SourceSummary, ...]
    left_out: EntryList
    digest: str
    _starts: tuple[int, ...]
    _lists: Mapping[str, Path]

    @classmethod
    def load(cls, path: Path, lists: Mapping[str, Path] | None = None, *, verified: bool = False) -> Self:
        """Read a manifest and verify its lists.

        Args:
            path: of ``manifest.json``.
            lists: the file of each list, by the path in the manifest; by default beside the manifest.
            verified: true to leave out the entries and the digests of the lists. A damaged entry is then
                found when it is read.

        Raises:
            InputError: it is missing, of another version or damaged, or a list does not match its digest.
        """
        sources, starts, end, digest = _read(path, entries=not verified)
        places: dict[str, Path] = {}
        for each in (end.left_out, *(source.records for source in sources if source.records)):
            place = path.parent / each.path if lists is None else lists.get(each.path)
            if place is None:
                raise _damaged(path)
            if not verified:
                _check_list(place, each)
            places[each.path] = place
        return cls(path, tuple(sources), end.left_out, digest, tuple(starts), places)

    @property
    def lists(self) -> Mapping[str, Path]:
        """The file of each list, by the path in the manifest."""
        return self._lists

    def files(self, source: int) -> Iterator[ManifestEntry]:
        """Yield the files used from a source; for a source of records, the files with the records."""
        with open_regular(self.path, "data manifest") as stream:
            stream.seek(self._starts[source])
            while (line := stream.readline(_MAX_LINE)).startswith(b"{"):
                yield _parse(ManifestEntry, line.rstrip(b",\n"), self.path)

    def kept(self, source: int) -> Iterator[ManifestEntry]:
        """Yield the samples used from a source, in order."""
        records = self.sources[source].records
        if records is None:
            yield from self.files(source)
            return
        path = self._lists[records.path]
        with open_regular(path, "list of the data") as stream:
            while line := stream.readline(_MAX_LINE):
                yield _parse(ManifestEntry, line, path)

    def left_out_names(self, source: int) -> Iterator[str]:
        """Yield the names of the samples left out of a source, in order."""
        for line in self.left_out_lines(source):
            try:
                name = json.loads(line)["name"]
            except (ValueError, KeyError, RecursionError):
                raise _damaged(self._lists[self.left_out.path]) from None
            yield str(name)

    def left_out_lines(self, source: int) -> Iterator[bytes]:
        """Yield the lines of ``left_out.jsonl`` for a source: JSON objects."""
        path = self._lists[self.left_out.path]
        begin = left_out_start(source)
        with open_regular(path, "list of the data") as stream:
            while line := stream.readline(_MAX_LINE):
                if line.startswith(begin):
                    yield line


def left_out_start(source: int) -> bytes:
    """Return the start of the lines of a source in ``left_out.jsonl``."""
    return b'{"source": %d, ' % source


def json_line(value: Any) -> bytes:
    """Encode a value as in the lines of a manifest and its lists."""
    return json.dumps(value, ensure_ascii=False).encode()


def source_line(summary: SourceSummary) -> bytes:
    """Return the line of a manifest before the files of a source."""
    without = None if summary.notes else {"notes"}
    return json_line(summary.model_dump(exclude=without))[:-1] + b", " + _OPEN


def first_line() -> bytes:
    """Return the first line of every manifest."""
    return b'{"version": %d, "sources": [\n' % NEWEST_VERSION


def last_lines(left_out: EntryList) -> bytes:
    """Return the last lines of every manifest."""
    return b"],\n" + json_line({"left_out": left_out.model_dump()})[1:] + b"\n"


def _read(path: Path, *, entries: bool) -> tuple[list[SourceSummary], list[int], _End, str]:
    sources: list[SourceSummary] = []
    starts: list[int] = []
    digest = hashlib.sha256()
    position = 0

    def take() -> bytes:
        nonlocal position
        line = stream.readline(_MAX_LINE)
        digest.update(line)
        position += len(line)
        return line

    with contextlib.ExitStack() as stack:
        try:
            stream = stack.enter_context(open_regular(path, "data manifest"))
        except OSError as error:
            raise InputError(
                f"The data manifest cannot be read: {error.strerror}.", where=str(path), fix=_FIX
            ) from error
        if take() != first_line():
            raise _of_another_version(path)
        line = take()
        while line.endswith(_OPEN) and len(sources) < _MAX_SOURCES:
            sources.append(_parse(SourceSummary, line[: -len(_OPEN)].rstrip(b", ") + b"}", path))
            starts.append(position)
            while (line := take()).startswith(b"{"):
                if entries:
                    _parse(ManifestEntry, line.rstrip(b",\n"), path)
            if not line.startswith(_CLOSE):
                raise _damaged(path)
            line = take()
        if line != b"],\n":
            raise _damaged(path)
        end = _parse(_End, b"{" + take(), path)
        if take():
            raise _damaged(path)
    return sources, starts, end, "sha256:" + digest.hexdigest()


def _of_another_version(path: Path) -> InputError:
    """Return the error for an unknown first line; a manifest of version 1 was one indented JSON text."""
    with open_regular(path, "data manifest") as stream:
        found = _VERSION.match(stream.read(_MAX_HEAD))
    version = int(found[1]) if found else NEWEST_VERSION
    if version == NEWEST_VERSION:
        return _damaged(path)
    return OtherVersionError(
        f"The data manifest is of {'an earlier' if version < NEWEST_VERSION else 'a newer'} release.",
        where=str(path),
        fix=_FIX if version < NEWEST_VERSION else "upgrade Starfreight",
    )


def _check_list(path: Path, listed: EntryList) -> None:
    digest, entries = hashlib.sha256(), 0
    try:
        with open_regular(path, "list of the data") as stream:
            while line := stream.readline(_MAX_LINE):
                digest.update(line)
                entries += 1
    except OSError as error:
        raise InputError(
            f"A list of the data cannot be read: {error.strerror}.", where=str(path), fix=_FIX
        ) from error
    if (f"sha256:{digest.hexdigest()}", entries) != (listed.digest, listed.entries):
        raise InputError(
            "A list of the data does not match its digest in the manifest.", where=str(path), fix=_FIX
        )


Kind = TypeVar("Kind", bound=Part)


def _parse(kind: type[Kind], line: bytes, path: Path) -> Kind:
    try:
        return kind.model_validate_json(line)
    except ValidationError as error:
        raise _damaged(path) from error


def _damaged(path: Path) -> InputError:
    return InputError("The data manifest is damaged.", where=str(path), fix=_FIX)
