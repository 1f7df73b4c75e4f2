"""The starter's training text: the standard library of the Python running this command.

Left out: tests (which repeat the library in a duller way), generated tables, and files describing the
machine Python was built on. One file in twenty is held out, chosen by its path, so every rebuild and every
Python version holds out the same ones.
"""

from __future__ import annotations

import hashlib
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from starfreight.errors import InputError
from starfreight.files import read_limited, sha256_bytes

LICENSE_LIMIT = 1 << 20
"""Bytes: Python's license is 14 kB with all its incorporated notices."""

_SOURCE_LIMIT = 4 << 20
"""Bytes: the largest module of the standard library is 0.3 MB."""

_LEFT_OUT_FOLDERS = frozenset(
    {
        "site-packages",  # not the standard library
        "dist-packages",
        "test",
        "tests",
        "idle_test",
        "__pycache__",
        "encodings",  # character tables written by gencodec.py
        "pydoc_data",  # the language reference as one string
    }
)
_HELD_OUT_ONE_IN = 20


@dataclass(frozen=True)
class SourceFile:
    """One module of the standard library.

    Attributes:
        path: relative to the library's directory, with forward slashes.
        text: its source.
        sha256: ``sha256:<hex>`` of its bytes.
        size: in bytes.
        held_out: true if it is kept from training and used for evaluation.
    """

    path: str
    text: str
    sha256: str
    size: int
    held_out: bool


def standard_library() -> Path:
    """The directory of the running Python's standard library."""
    return Path(sysconfig.get_path("stdlib"))


def read_corpus(folder: Path) -> tuple[SourceFile, ...]:
    """The standard library's modules in ``folder``, sorted by path.

    Raises:
        InputError: the directory has no Python source, or a file cannot be read.
    """
    files: list[SourceFile] = []
    for path in sorted(folder.rglob("*.py"), key=lambda found: found.relative_to(folder).as_posix()):
        relative = PurePosixPath(path.relative_to(folder).as_posix())
        if not _wanted(relative) or path.is_symlink() or not path.is_file():
            continue
        data = read_limited(path, _SOURCE_LIMIT, "standard library module")
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError:
            continue  # A few modules declare another encoding; they are not worth a decoder.
        if text.strip():
            name = str(relative)
            files.append(SourceFile(name, text, sha256_bytes(data), len(data), is_held_out(name)))
    if not any(not file.held_out for file in files):
        raise InputError(
            "The standard library's source is missing.",
            where=str(folder),
            fix="use a Python installed with its .py files",
        )
    return tuple(files)


def is_held_out(path: str) -> bool:
    """True if the module at ``path`` is kept from training."""
    return int.from_bytes(hashlib.sha256(path.encode()).digest()[:8], "big") % _HELD_OUT_ONE_IN == 0


def license_text(library: Path) -> bytes:
    """Python's license, which every derived work must carry.

    Raises:
        InputError: this Python was installed without it.
    """
    for path in (library / "LICENSE.txt", Path(sys.base_prefix) / "LICENSE.txt", library / "LICENSE"):
        if path.is_file():
            return read_limited(path, LICENSE_LIMIT, "Python license")
    raise InputError(
        "Python's license file is missing, and the model must carry it.",
        where=str(library / "LICENSE.txt"),
        fix="copy LICENSE from Python's source to that path",
    )


def _wanted(path: PurePosixPath) -> bool:
    if path.name.startswith("_sysconfigdata"):
        return False
    return not any(part in _LEFT_OUT_FOLDERS or part.startswith("config-") for part in path.parts[:-1])
