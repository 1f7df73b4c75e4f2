"""The directory that a box may write to where it cannot have a file system of its own.

Nothing but its parent limits it, so the parent looks at its size now and then. A box may leave anything in
it: deep trees, closed directories, a million files.
"""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
import weakref
from pathlib import Path

_SHARED_MEMORY = Path("/dev/shm")
_SMALL = 1 << 30
_ENTRIES = 4096
"""Most files and directories; as many bytes are counted for each."""


class BoxDirectory:
    """A new directory.

    Args:
        owner: user and group id of the box; ``None`` for this user's.
    """

    def __init__(self, owner: int | None) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="starfreight-box-", dir=_place()))
        if owner is not None:
            os.chown(self.path, owner, owner)
        # For programs that end without closing their sandboxes.
        self._finalizer = weakref.finalize(self, _remove, self.path)

    def size(self) -> int | None:
        """Bytes in use; ``None`` if it has too many or too deep entries to count."""
        total, count, waiting = 0, 0, [str(self.path)]
        while waiting:
            try:
                with os.scandir(waiting.pop()) as entries:
                    for entry in entries:
                        count += 1
                        if count > _ENTRIES:
                            return None
                        found = entry.stat(follow_symlinks=False)
                        total += found.st_blocks * 512 + _ENTRIES
                        if stat.S_ISDIR(found.st_mode):
                            waiting.append(entry.path)
            except FileNotFoundError:
                continue
            except OSError:
                return None
        return total

    def remove(self) -> None:
        """Removes it. Its processes have ended."""
        self._finalizer()


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        top = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            _empty(top)
        finally:
            os.close(top)
        path.rmdir()


def _place() -> str:
    """Shared memory if a container limits it; otherwise the directory for temporary files."""
    with contextlib.suppress(OSError):
        found = os.statvfs(_SHARED_MEMORY)
        if found.f_blocks * found.f_frsize <= _SMALL and os.access(_SHARED_MEMORY, os.W_OK):
            return str(_SHARED_MEMORY)
    return tempfile.gettempdir()


def _empty(top: int) -> None:
    """Empties a directory without recursion: contents of a subdirectory move to the top first."""
    number = 0
    while names := os.listdir(top):
        for name in names:
            try:
                os.unlink(name, dir_fd=top)
                continue
            except (IsADirectoryError, PermissionError):
                pass
            os.chmod(name, 0o700, dir_fd=top)
            inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=top)
            try:
                for each in os.listdir(inner):  # noqa: PTH208
                    number += 1
                    # A closed directory cannot be moved: its entry ".." would change.
                    with contextlib.suppress(OSError):
                        os.chmod(each, 0o700, dir_fd=inner)
                    os.rename(each, f".moved-{number}", src_dir_fd=inner, dst_dir_fd=top)
            finally:
                os.close(inner)
            os.rmdir(name, dir_fd=top)
