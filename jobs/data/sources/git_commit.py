"""The files of a commit, read from git's object database without a checkout."""

from __future__ import annotations

import itertools
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from starfreight.errors import InputError
from starfreight.files import sha256_bytes
from starfreight.jobs.data.repository_license import MAX_LICENSE_BYTES, is_license_file, repository_license
from starfreight.jobs.data.sources.file_text import TOO_LARGE, file_text
from starfreight.jobs.data.sources.git_cache import cached_name
from starfreight.jobs.data.sources.git_command import started_git
from starfreight.jobs.data.sources.interface import Sample, Unusable
from starfreight.jobs.data.sources.text_files import (
    is_skipped,
    is_wanted,
    most_bytes,
    printable_name,
)
from starfreight.recipe.data import Data
from starfreight.records import FileDigest

_MAX_PATH_BYTES = 4096
_MAX_FILES = 20_000_000
_PIECE = 1 << 16
_AT_ONCE = 64
_LINK, _SUBMODULE = b"120000", b"160000"


@dataclass(frozen=True)
class _TreeEntry:
    mode: bytes
    digest: bytes
    size: int
    name: str


class CommitSource:
    """The text files of a commit, selected by the same rules as those of a directory.

    Symbolic links, submodules and pointers to other files are left out. No hook, filter or smudge program is
    run.
    """

    def __init__(self, path: Path, data: Data) -> None:
        self._path = path
        self._data = data
        self._commit = str(data.revision)

    def containers(self) -> tuple[FileDigest, ...]:
        """Return nothing: each sample is a file."""
        return ()

    def samples(self) -> Iterator[Sample | Unusable]:
        """Yield the files, sorted by their whole paths in code point order, as git sorts them."""
        with started_git(self._path, "cat-file", "--batch", stdin=subprocess.PIPE) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            blobs = _BlobReader(process.stdin, process.stdout, str(self._path))
            repository = cached_name(self._path)
            license_name = self._license(blobs)
            read = (entry for entry in self._entries("-r") if self._is_read(entry.name))
            for entries in _groups(read, _AT_ONCE):
                contents = blobs.read([entry.digest for entry in entries if _why_unusable(entry) is None])
                for entry in entries:
                    reason = _why_unusable(entry)
                    content = b"" if reason else next(contents)
                    found = reason or file_text(content, entry.name)
                    if isinstance(found, str):
                        yield Unusable(printable_name(entry.name), found)
                        continue
                    yield Sample(
                        name=entry.name,
                        content=found.text,
                        digest=sha256_bytes(content),
                        size=len(content),
                        path=entry.name,
                        repository=repository,
                        commit=self._commit,
                        license=license_name,
                        conversion=found.conversion,
                    )

    def _is_read(self, name: str) -> bool:
        if any(map(is_skipped, name.split("/"))):
            return False
        return not name.isprintable() or is_wanted(name, self._data)

    def _license(self, blobs: _BlobReader) -> str | None:
        files = {
            entry.name: entry
            for entry in self._entries()
            if "/" not in entry.name and is_license_file(entry.name) and entry.mode not in (_LINK, _SUBMODULE)
        }

        def read(name: str) -> bytes | None:
            entry = files[name]
            return None if entry.size > MAX_LICENSE_BYTES else next(blobs.read([entry.digest]))

        return repository_license(files, read)

    def _entries(self, *options: str) -> Iterator[_TreeEntry]:
        command = ("ls-tree", "-z", "--long", "--full-tree", *options, self._commit)
        with started_git(self._path, *command) as process:
            assert process.stdout is not None
            for count, line in enumerate(_zero_ended(process.stdout, self._where())):
                about, _, name = line.partition(b"\t")
                mode, kind, digest, size = about.split()
                if count > _MAX_FILES or len(name) > _MAX_PATH_BYTES:
                    raise self._damaged("it has more files or longer paths than any real project")
                if kind != b"tree":
                    number = int(size) if size.isdigit() else 0
                    yield _TreeEntry(mode, digest, number, name.decode("utf-8", "surrogateescape"))
            if process.wait() != 0:
                raise self._damaged("git cannot list its files")

    def _where(self) -> str:
        return f"{self._path}, commit {self._commit}"

    def _damaged(self, how: str) -> InputError:
        return InputError(
            f"The cached git repository cannot be read: {how}.",
            where=self._where(),
            fix="delete that directory, then run the same command again to fetch it anew",
        )


class _BlobReader:
    """Reads the contents of files through one git process."""

    def __init__(self, requests: IO[bytes], replies: IO[bytes], where: str) -> None:
        self._requests = requests
        self._replies = replies
        self._where = where

    def read(self, digests: Sequence[bytes]) -> Iterator[bytes]:
        """Yield the contents in the order of their digests; all of them have to be consumed."""
        try:
            # The pipe's buffer holds all requests, so git cannot block on its replies meanwhile.
            self._requests.write(b"".join(digest + b"\n" for digest in digests))
            self._requests.flush()
        except BrokenPipeError:
            raise self._missing(digests[0]) from None
        return self._contents(digests)

    def _contents(self, digests: Sequence[bytes]) -> Iterator[bytes]:
        for digest in digests:
            header = self._replies.readline(200).split()
            if len(header) != 3 or header[1] != b"blob":
                raise self._missing(digest)
            size = int(header[2])
            content = self._replies.read(size + 1)
            if len(content) != size + 1:
                raise self._missing(digest)
            yield content[:-1]

    def _missing(self, digest: bytes) -> InputError:
        return InputError(
            "The cached git repository lacks files of the commit.",
            where=f"{self._where}, object {digest.decode()}",
            fix="delete that directory, then run the same command again to fetch it anew",
        )


def _why_unusable(entry: _TreeEntry) -> str | None:
    if not entry.name.isprintable():
        return "name not text"
    if entry.mode == _LINK:
        return "symbolic link"
    if entry.mode == _SUBMODULE:
        return "submodule"
    return TOO_LARGE if entry.size > most_bytes(entry.name) else None


def _groups(entries: Iterable[_TreeEntry], size: int) -> Iterator[list[_TreeEntry]]:
    iterator = iter(entries)
    while group := list(itertools.islice(iterator, size)):
        yield group


def _zero_ended(stream: IO[bytes], where: str) -> Iterator[bytes]:
    rest = b""
    while piece := stream.read(_PIECE):
        *lines, rest = (rest + piece).split(b"\0")
        if len(rest) > 16 * _PIECE:
            raise InputError("The git repository has an endless path.", where=where, fix="use another commit")
        yield from lines
