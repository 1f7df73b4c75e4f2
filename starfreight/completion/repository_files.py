"""Files of the repository around a file, as context for a completion: the most related first."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath

_LEFT_OUT = frozenset(
    {
        "node_modules", "vendor", "third_party", "venv", "env", "build", "dist", "target", "__pycache__",
        "site-packages",
    }
)  # fmt: skip
_MOST_ENTRIES = 5_000
MOST_FILES = 40
"""Most files of a context."""
LARGEST = 64 << 10
"""Most bytes of a file of a context."""
_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class ContextFile:
    """A file of the repository.

    Attributes:
        path: below the root, with slashes.
        text: its text.
    """

    path: str
    text: str


@dataclass(frozen=True)
class Repository:
    """A repository on this machine.

    Attributes:
        name: of its root directory.
        path: of the file, below the root.
        files: others of the same language, the most related first.
    """

    name: str
    path: str
    files: tuple[ContextFile, ...]


def repository_of(file: Path, root: Path | None = None) -> Repository:
    """The repository of a file: its files with the same extension.

    Args:
        file: the file.
        root: the repository's root; ``None`` for the nearest parent with a ``.git``, or else the file's
            directory.
    """
    absolute = file.resolve()
    top = root.resolve() if root is not None else _root_of(absolute)
    if not absolute.is_relative_to(top):
        top = absolute.parent
    relative = absolute.relative_to(top)
    # The file's own directory first, in case that the rest is too large to list.
    found = {path for start in (absolute.parent, top) for path in _files(start, absolute.suffix)} - {absolute}
    files = []
    for path in most_related([path.relative_to(top) for path in found], relative, _read(absolute) or ""):
        text = _read(top / path)
        if text and text.strip():
            files.append(ContextFile(path.as_posix(), text))
    return Repository(top.name, relative.as_posix(), tuple(files))


def most_related(paths: Iterable[PurePath], file: PurePath, text: str) -> list[PurePath]:
    """The :data:`MOST_FILES` files most related to a file, in order.

    Files named in its text come first, then those in directories nearby.

    Args:
        paths: of other files, below the repository's root.
        file: the file, also below the root.
        text: of the file.
    """
    mentioned = frozenset(_WORD.findall(text))
    return sorted(paths, key=lambda path: _distance(path, file, mentioned))[:MOST_FILES]


def named_files(paths: Iterable[PurePath], text: str) -> list[PurePath]:
    """The files whose names are words of a text."""
    mentioned = frozenset(_WORD.findall(text))
    return [path for path in paths if _name(path) in mentioned]


def _root_of(file: Path) -> Path:
    return next((parent for parent in file.parents if (parent / ".git").exists()), file.parent)


def _files(top: Path, suffix: str) -> Iterator[Path]:
    """Yield the regular files with a suffix, without following links or entering hidden directories."""
    seen = 0
    for folder, names, files in os.walk(top):
        names[:] = sorted(name for name in names if not name.startswith(".") and name not in _LEFT_OUT)
        seen += len(names) + len(files)
        if seen > _MOST_ENTRIES:
            return
        for name in sorted(files):
            path = Path(folder, name)
            alike = path.suffix == suffix and not name.startswith(".")
            if alike and not path.is_symlink() and path.is_file():
                yield path


def _distance(path: PurePath, file: PurePath, mentioned: frozenset[str]) -> tuple[bool, int, str]:
    pairs = zip(path.parts[:-1], file.parts[:-1], strict=False)
    shared = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))
    apart = len(path.parts) + len(file.parts) - 2 * shared
    return _name(path) not in mentioned, apart, path.as_posix()


def _name(path: PurePath) -> str:
    """The name by which other files mention a file."""
    return path.parent.name if path.stem in ("__init__", "index", "mod", "lib") else path.stem


def _read(path: Path) -> str | None:
    """The text of a small file; ``None`` for any other."""
    try:
        with path.open("rb") as stream:
            data = stream.read(LARGEST + 1)
        return None if len(data) > LARGEST else data.decode("utf-8")
    except (OSError, ValueError):
        return None
