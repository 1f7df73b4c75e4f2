"""Data files of a dataset: their formats by name, and their bytes, decompressed while they are read."""

from __future__ import annotations

import contextlib
import re
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from starfreight.errors import InputError
from starfreight.files import open_regular
from starfreight.jobs.data.decompress import SUFFIXES, decompressed

FORMATS = {
    "parquet": "parquet", "arrow": "arrow", "jsonl": "json", "json": "json", "ndjson": "json",
    "csv": "csv", "tsv": "csv", "txt": "text",
}  # fmt: skip
"""The format by suffix. As many files of two formats are read as the first of them."""
_ABOUT_DATA = re.compile(
    r"(?:.*/)?(?:licen[cs]e|copying|notice|readme|citation|authors|changelog|requirements)\b[^/]*\.txt",
    re.IGNORECASE,
)
"""Texts beside the data, read only if there is nothing else."""
_MOST_MEMBERS = 10_000


def chosen_format(dataset: Path, names: Sequence[str]) -> tuple[str, list[str]]:
    """Return the most frequent format of files, and the names of those that have it.

    Raises:
        InputError: no file has a format that is read.
    """
    formats = {name: format_of(dataset / name) for name in names}
    data = {name: found for name, found in formats.items() if not _ABOUT_DATA.fullmatch(name)}
    formats = data if any(data.values()) else formats
    counts = Counter(suffix for suffix in formats.values() if suffix)
    if not counts:
        suffixes = Counter(
            name.rsplit(".", 1)[-1].lower() for name in names if "." in name.rsplit("/", 1)[-1]
        )
        most = suffixes.most_common(1)
        raise InputError(
            f"The dataset has files of the format {most[0][0]!r}, which is not read."
            if most
            else "The dataset has no data files.",
            where=str(dataset),
            fix="convert the dataset to Parquet or JSONL",
        )
    order = list(FORMATS)
    suffix = min(counts, key=lambda each: (-counts[each], order.index(each)))
    kind = FORMATS[suffix]
    return kind, [name for name in names if FORMATS.get(formats.get(name) or "") == kind]


def format_of(path: Path) -> str | None:
    """Return the suffix that tells the format: ``jsonl`` of ``a.jsonl.gz``, or of the files of an archive.

    A suffix after it is one of compression; ``train.jsonl.bak`` and ``train.jsonl.gz.md5`` hold no data.
    """
    suffixes = [each.lower() for each in path.name.split(".")[1:]]
    for suffix in reversed(suffixes):
        if suffix in FORMATS:
            return suffix
        if f".{suffix}" not in SUFFIXES and suffix != "zip":
            return None
    if suffixes and suffixes[-1] == "zip":
        with _zip_errors(path), zipfile.ZipFile(path) as archive:
            counts = Counter(found for name in _members(archive) if (found := format_of(Path(name))))
        return counts.most_common(1)[0][0] if counts else None
    return None


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Iterator[tuple[str, IO[bytes]]]]:
    """Open a data file; gives one stream, or one for each file of a zip archive, with its name."""
    with open_regular(path, "data file") as stream:
        yield _streams(path, stream)


def _streams(path: Path, stream: IO[bytes]) -> Iterator[tuple[str, IO[bytes]]]:
    if path.suffix.lower() == ".zip":
        with _zip_errors(path), zipfile.ZipFile(stream) as archive:
            kinds = {name: FORMATS.get(format_of(Path(name)) or "") for name in _members(archive)}
            kind = FORMATS.get(format_of(path) or "")
            for name in sorted(each for each in kinds if kinds[each] == kind):
                with archive.open(name) as member:
                    yield f"{path.name}/{name}", member
        return
    yield path.name, decompressed(stream, path)


def _members(archive: zipfile.ZipFile) -> list[str]:
    names = [
        each.filename
        for each in archive.infolist()
        if not each.is_dir() and not any(part.startswith((".", "__")) for part in each.filename.split("/"))
    ]
    if len(names) > _MOST_MEMBERS:
        raise zipfile.BadZipFile(f"it has more than {_MOST_MEMBERS:,} files")
    return names


@contextlib.contextmanager
def _zip_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
        raise InputError(
            f"The zip archive cannot be read: {error}.", where=str(path), fix="unpack it into the dataset"
        ) from error
