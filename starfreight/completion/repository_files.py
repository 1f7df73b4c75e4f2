"""Files of the repository around a file, as context for a completion: the most related first."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_LEFT_OUT = frozenset(
    {
        "node_modules", "vendor", "third_party", "venv", "env", "build", "dist", "target", "__pycache__",
        "site-packages",
    }
)  # fmt: skip
_MOST_ENTRIES = 5_000
_MOST_FILES = 40
_LARGEST = 64 << 10
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
    mentioned = frozenset(_WORD.findall(_read(absolute) or ""))
    found = sorted(
        # The file's own directory first, in case that the rest is too large to list.
        {path for start in (absolute.parent, top) for path in _files(start, absolute.suffix)} - {absolute},
        key=lambda path: _distance(path.relative_to(top), relative, mentioned),
    )
    files = []
    for path in found[:_MOST_FILES]:
        text = _read(path)
        if text and text.strip():
            files.append(ContextFile(path.relative_to(top).as_posix(), text))
    return Repository(top.name, relative.as_posix(), tuple(files))


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


def _distance(path: Path, file: Path, mentioned: frozenset[str]) -> tuple[bool, int, str]:
    """Files that the file names come first, then those in directories nearby."""
    pairs = zip(path.parts[:-1], file.parts[:-1], strict=False)
    shared = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))
    apart = len(path.parts) + len(file.parts) - 2 * shared
    name = path.parent.name if path.stem in ("__init__", "index", "mod", "lib") else path.stem
    return name not in mentioned, apart, path.as_posix()


def _read(path: Path) -> str | None:
    """The text of a small file; ``None`` for any other."""
    try:
        with path.open("rb") as stream:
            data = stream.read(_LARGEST + 1)
        return None if len(data) > _LARGEST else data.decode("utf-8")
    except (OSError, ValueError):
        return None
