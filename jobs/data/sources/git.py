"""A git repository at a commit, read from git's own objects: nothing is checked out."""

from __future__ import annotations

import itertools
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from starfreight.errors import InputError, RecipeError
from starfreight.files import sha256_bytes
from starfreight.jobs.data.repository_license import MAX_LICENSE_BYTES, is_license_file, repository_license
from starfreight.jobs.data.sources.git_address import GIT, parse_git_address
from starfreight.jobs.data.sources.git_cache import cached_name, fetch_commit
from starfreight.jobs.data.sources.git_command import started_git
from starfreight.jobs.data.sources.interface import Sample, Unusable
from starfreight.jobs.data.sources.texts import MAX_FILE_BYTES, is_skipped, is_wanted, shown, why_no_text
from starfreight.recipe.data import Data
from starfreight.records import FileDigest

_MAX_PATH_BYTES = 4096
_MAX_FILES = 20_000_000
_PIECE = 1 << 16
_AT_ONCE = 64
_LINK, _SUBMODULE = b"120000", b"160000"


def check_git(data: Data, folder: Path) -> None:
    """Looks at everything about a git source that can be known without the network.

    Raises:
        RecipeError: no commit, or an address that cannot be used.
    """
    parse_git_address(data.source.removeprefix(GIT), folder)
    if data.revision is None:
        raise RecipeError(
            "The git repository has no revision.",
            where="key data.revision",
            fix="add the commit (40 hex digits) that you mean: a branch or tag can move",
        )


def locate_git(data: Data, folder: Path) -> Path:
    """The cached repository of a git source, which is fetched when it is not there yet.

    Raises:
        RecipeError: as :func:`check_git`, or no such commit.
        InputError: no such repository, or no access to it.
        ServiceError: the server does not answer.
    """
    check_git(data, folder)
    return fetch_commit(parse_git_address(data.source.removeprefix(GIT), folder), str(data.revision))


@dataclass(frozen=True)
class _Entry:
    mode: bytes
    digest: bytes
    size: int
    name: str


class GitSource:
    """The text files of a commit, by the same rules as a folder's.

    Symbolic links, submodules and Git LFS pointers are left out. No hook, filter or smudge program runs.
    """

    def __init__(self, path: Path, data: Data) -> None:
        self._path = path
        self._data = data
        self._commit = str(data.revision)

    def containers(self) -> tuple[FileDigest, ...]:
        """None: each sample is a file."""
        return ()

    def samples(self) -> Iterator[Sample | Unusable]:
        """The files, sorted by their whole paths in the order of code points, as git sorts them."""
        with started_git(self._path, "cat-file", "--batch", stdin=subprocess.PIPE) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            blobs = _Blobs(process.stdin, process.stdout, str(self._path))
            repository = cached_name(self._path)
            license_name = self._license(blobs)
            read = (entry for entry in self._entries("-r") if self._is_read(entry.name))
            for entries in _groups(read, _AT_ONCE):
                contents = blobs.read([entry.digest for entry in entries if _why_not(entry) is None])
                for entry in entries:
                    reason = _why_not(entry)
                    content = b"" if reason else next(contents)
                    reason = reason or why_no_text(content)
                    if reason:
                        yield Unusable(shown(entry.name), reason)
                        continue
                    yield Sample(
                        name=entry.name,
                        content=content.decode("utf-8"),
                        digest=sha256_bytes(content),
                        size=len(content),
                        path=entry.name,
                        repository=repository,
                        commit=self._commit,
                        license=license_name,
                    )

    def _is_read(self, name: str) -> bool:
        if any(map(is_skipped, name.split("/"))):
            return False
        return not name.isprintable() or is_wanted(name, self._data)

    def _license(self, blobs: _Blobs) -> str | None:
        files = {
            entry.name: entry
            for entry in self._entries()
            if "/" not in entry.name and is_license_file(entry.name) and entry.mode not in (_LINK, _SUBMODULE)
        }

        def read(name: str) -> bytes | None:
            entry = files[name]
            return None if entry.size > MAX_LICENSE_BYTES else next(blobs.read([entry.digest]))

        return repository_license(files, read)

    def _entries(self, *options: str) -> Iterator[_Entry]:
        command = ("ls-tree", "-z", "--long", "--full-tree", *options, self._commit)
        with started_git(self._path, *command) as process:
            assert process.stdout is not None
            for count, line in enumerate(_zero_ended(process.stdout, self._where())):
                about, _, name = line.partition(b"\t")
                mode, kind, digest, size = about.split()
                if count > _MAX_FILES or len(name) > _MAX_PATH_BYTES:
                    raise self._damaged("it has more or deeper folders than any project")
                if kind != b"tree":
                    number = int(size) if size.isdigit() else 0
                    yield _Entry(mode, digest, number, name.decode("utf-8", "surrogateescape"))
            if process.wait() != 0:
                raise self._damaged("git cannot list its files")

    def _where(self) -> str:
        return f"{self._path}, commit {self._commit}"

    def _damaged(self, how: str) -> InputError:
        return InputError(
            f"The cached git repository cannot be read: {how}.",
            where=self._where(),
            fix="delete that folder, then run the same command again: it is fetched anew",
        )


class _Blobs:
    """The contents of files, one after another, from one process that stays."""

    def __init__(self, questions: IO[bytes], answers: IO[bytes], where: str) -> None:
        self._questions = questions
        self._answers = answers
        self._where = where

    def read(self, digests: Sequence[bytes]) -> Iterator[bytes]:
        """The contents in the order of their digests, which have to be read to the last one."""
        try:
            # So few questions fit into a pipe: git does not have to be heard before all are asked.
            self._questions.write(b"".join(digest + b"\n" for digest in digests))
            self._questions.flush()
        except BrokenPipeError:
            raise self._missing(digests[0]) from None
        return self._answered(digests)

    def _answered(self, digests: Sequence[bytes]) -> Iterator[bytes]:
        for digest in digests:
            header = self._answers.readline(200).split()
            if len(header) != 3 or header[1] != b"blob":
                raise self._missing(digest)
            size = int(header[2])
            content = self._answers.read(size + 1)
            if len(content) != size + 1:
                raise self._missing(digest)
            yield content[:-1]

    def _missing(self, digest: bytes) -> InputError:
        return InputError(
            "The cached git repository does not hold all files of the commit.",
            where=f"{self._where}, object {digest.decode()}",
            fix="delete that folder, then run the same command again: it is fetched anew",
        )


def _why_not(entry: _Entry) -> str | None:
    if not entry.name.isprintable():
        return "name not text"
    if entry.mode == _LINK:
        return "symbolic link"
    if entry.mode == _SUBMODULE:
        return "submodule"
    return "larger than 1 MiB" if entry.size > MAX_FILE_BYTES else None


def _groups(entries: Iterable[_Entry], size: int) -> Iterator[list[_Entry]]:
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
