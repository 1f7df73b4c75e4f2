"""Directories of ours, opened without following symbolic links.

A repository that somebody cloned may hold links with the names of our directories. Emptying or filling one
would reach files elsewhere, so a directory is opened component by component from a root:

    with open_directory(runs / ".partial-data-1f2e", below=runs) as work:
        work.empty(keep={LOCK_FILE})

The root is named by the user and may be a link. Everything below it is ours: a link there is an error. All
changes are relative to the open directory, so exchanging a component by a link later has no effect.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from starfreight.errors import InputError

_OPEN = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
_LEVELS = 5
"""Levels of a run's or package's directory, with one to spare."""


@dataclass(frozen=True)
class Directory:
    """An open directory.

    Attributes:
        path: its path, for messages.
        descriptor: valid inside the block of :func:`open_directory`.
    """

    path: Path
    descriptor: int

    def names(self) -> list[str]:
        """Names of all entries, sorted."""
        handle = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self.descriptor)
        try:
            with os.scandir(handle) as entries:
                return sorted(entry.name for entry in entries)
        finally:
            os.close(handle)

    def open(self, name: str, flags: int, mode: int = 0o666) -> int:
        """Open a file as :func:`os.open` does, but never through a link.

        Raises:
            InputError: the entry is a link.
        """
        try:
            return os.open(name, flags | os.O_NOFOLLOW | os.O_CLOEXEC, mode, dir_fd=self.descriptor)
        except OSError as error:
            if error.errno == errno.ELOOP and _is_link(self.descriptor, name):
                raise _linked(self.path / name) from error
            raise

    def delete(self, name: str) -> None:
        """Delete a file, a directory with its contents, or a link itself. A missing entry is fine."""
        with contextlib.suppress(FileNotFoundError):
            try:
                os.unlink(name, dir_fd=self.descriptor)
            except OSError as error:
                if error.errno not in (errno.EISDIR, errno.EPERM) or not self._is_directory(name):
                    raise
                # It works with descriptors, too, and does not follow links.
                shutil.rmtree(name, dir_fd=self.descriptor)

    def empty(self, keep: Collection[str] = ()) -> None:
        """Delete all entries except those in ``keep``."""
        for name in self.names():
            if name not in keep:
                self.delete(name)

    def rename(self, old: str, new: str) -> None:
        """Rename an entry, replacing a file of the new name."""
        os.replace(old, new, src_dir_fd=self.descriptor, dst_dir_fd=self.descriptor)

    def _is_directory(self, name: str) -> bool:
        return stat.S_ISDIR(os.stat(name, dir_fd=self.descriptor, follow_symlinks=False).st_mode)


@contextlib.contextmanager
def open_directory(path: Path, below: Path | None = None, *, create: bool = False) -> Iterator[Directory]:
    """Open a directory without following links below a root.

    Args:
        path: the directory.
        below: the root, from which ``path`` starts; ``path`` itself if ``None``.
        create: create the directory and its parents if missing.

    Raises:
        InputError: a component below the root is a symbolic link.
        OSError: the directory is missing, or cannot be opened or created.
    """
    root = path if below is None else below
    names = _names_below(root, path)
    if create:
        root.mkdir(parents=True, exist_ok=True)
    handle = os.open(root, _OPEN)
    try:
        reached = root
        for name in names:
            reached /= name
            following = _open_entry(handle, name, reached, create=create)
            os.close(handle)
            handle = following
        yield Directory(path, handle)
    finally:
        os.close(handle)


def delete(path: Path, below: Path) -> None:
    """Delete a file, a directory with its contents, or a link itself. A missing path is fine.

    Args:
        path: the path to delete.
        below: the root, from which ``path`` starts.

    Raises:
        InputError: a parent below the root is a symbolic link.
        OSError: something cannot be deleted.
    """
    with contextlib.suppress(FileNotFoundError), open_directory(path.parent, below) as parent:
        parent.delete(path.name)


def discard(path: Path, below: Path) -> None:
    """:func:`delete` for cleaning up: deletes as much as possible and reports no errors."""
    with contextlib.suppress(OSError, InputError):
        delete(path, below)


def move(path: Path, target: Path, below: Path) -> None:
    """Rename ``path`` within its directory, replacing a file of the new name.

    Raises:
        InputError: a parent below the root is a symbolic link.
        OSError: it cannot be renamed.
    """
    assert path.parent == target.parent, (path, target)
    with open_directory(path.parent, below) as parent:
        parent.rename(path.name, target.name)


def refuse_link(path: Path, below: Path) -> None:
    """Refuse a path if it or a parent below the root is a symbolic link. It may be missing.

    Raises:
        InputError: a component is a link.
    """
    reached = below
    for name in _names_below(below, path):
        reached /= name
        if reached.is_symlink():
            raise _linked(reached)


def refuse_existing(folder: Path, names: Iterable[str | Path], fix: str) -> None:
    """Refuse to write files to a directory if one of them exists.

    Args:
        folder: the directory, which may be missing.
        names: of the files, relative to it.
        fix: what to do instead.

    Raises:
        InputError: a file exists, or a link leads out of the directory.
    """
    for name in names:
        path = folder / name
        refuse_link(path, below=folder)
        if path.exists():
            raise InputError("The file already exists, and is not overwritten.", where=str(path), fix=fix)


def refuse_links_in(folder: Path) -> None:
    """Refuse a directory of ours that contains symbolic links, five levels deep. It may be missing.

    For directories whose files are read and written by libraries, which follow links.

    Raises:
        InputError: an entry is a link.
    """
    _refuse_links(str(folder), _LEVELS)


def open_without_links(path: str, flags: int) -> int:
    """Opener for :func:`open` that never follows a link: ``open(path, "a", opener=open_without_links)``."""
    try:
        return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    except OSError as error:
        if error.errno == errno.ELOOP and Path(path).is_symlink():
            raise _linked(Path(path)) from error
        raise


def _refuse_links(folder: str, levels: int) -> None:
    # The job may be deleting its oldest checkpoint.
    with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_symlink():
                raise _linked(Path(entry.path))
            if levels > 1 and entry.is_dir(follow_symlinks=False):
                _refuse_links(entry.path, levels - 1)


def _names_below(root: Path, path: Path) -> tuple[str, ...]:
    names = path.relative_to(root).parts
    if ".." in names:
        raise ValueError(f"{path} is not below {root}")
    return names


def _open_entry(parent: int, name: str, path: Path, *, create: bool) -> int:
    try:
        return os.open(name, _OPEN | os.O_NOFOLLOW, dir_fd=parent)
    except OSError as error:
        if create and error.errno == errno.ENOENT:
            with contextlib.suppress(FileExistsError):
                os.mkdir(name, dir_fd=parent)
            return _open_entry(parent, name, path, create=False)
        if error.errno in (errno.ENOTDIR, errno.ELOOP) and _is_link(parent, name):
            raise _linked(path) from error
        raise type(error)(error.errno, error.strerror, str(path)) from error


def _is_link(parent: int, name: str) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return stat.S_ISLNK(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode)
    return False


def _linked(path: Path) -> InputError:
    return InputError(
        "A symbolic link is in the place of a file or directory of Starfreight. It is not followed.",
        where=f"{path} -> {_target(path)}",
        fix="remove the link",
    )


def _target(path: Path) -> str:
    try:
        return str(path.readlink())
    except OSError:
        return "?"
