"""A place in a file, such as ``src/area.py:12:5``, and the texts around it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from starfreight.console import human_count
from starfreight.errors import InputError

_PLACE = re.compile(r"(?P<file>.+?):(?P<line>[0-9]{1,9})(?::(?P<column>[0-9]{1,9}))?", re.DOTALL)
_MOST_BYTES = 4 << 20


@dataclass(frozen=True)
class Place:
    """The cursor in a file.

    Attributes:
        path: the file.
        line: its line, from 1.
        column: its column in characters, from 1.
        prefix: the text before the cursor.
        suffix: the text after it.
    """

    path: Path
    line: int
    column: int
    prefix: str
    suffix: str

    def __str__(self) -> str:
        """``src/area.py:12:5``"""
        return f"{self.path}:{self.line}:{self.column}"


def looks_like_a_place(text: str) -> bool:
    """True for ``FILE:LINE`` or ``FILE:LINE:COLUMN`` of a file that exists."""
    found = _PLACE.fullmatch(text.strip())
    try:
        return found is not None and Path(found["file"]).is_file()
    except (OSError, ValueError):
        return False


def find_place(text: str) -> Place:
    """The cursor at ``FILE:LINE``, which is the end of the line, or in front of the column.

    Raises:
        InputError: no such file, line or column, or the file is not text.
    """
    found = _PLACE.fullmatch(text.strip())
    if found is None:
        raise InputError(
            f"{text[:200]!r} is not a place in a file.", fix="name it as FILE:LINE or FILE:LINE:COLUMN"
        )
    path = Path(found["file"])
    content = _text_of(path)
    lines = content.splitlines(keepends=True)
    if not lines or lines[-1] != lines[-1].rstrip("\r\n"):
        lines.append("")  # The empty line after the last line break.
    line = int(found["line"])
    if not 1 <= line <= len(lines):
        raise InputError(
            f"The file has {human_count(len(lines), 'lines')}; there is no line {line}.",
            where=str(path),
            fix=f"choose a line from 1 to {len(lines)}",
        )
    before = sum(map(len, lines[: line - 1]))
    length = len(lines[line - 1].rstrip("\r\n"))
    column = int(found["column"]) if found["column"] else length + 1
    if not 1 <= column <= length + 1:
        raise InputError(
            f"The line has {human_count(length, 'characters')}; there is no column {column}.",
            where=f"{path}, line {line}",
            fix=f"choose a column from 1 to {length + 1}, the end of the line",
        )
    cursor = before + column - 1
    return Place(path, line, column, content[:cursor], content[cursor:])


def _text_of(path: Path) -> str:
    try:
        if not path.is_file():
            problem = "is a directory" if path.is_dir() else "does not exist"
            raise InputError(f"The file {problem}.", where=str(path), fix="check the path")
        with path.open("rb") as stream:
            data = stream.read(_MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        raise InputError(
            f"The file cannot be read: {error}.", where=str(path)[:300], fix="check the path"
        ) from error
    if len(data) > _MOST_BYTES:
        raise InputError(
            f"The file is larger than {_MOST_BYTES >> 20} MiB.", where=str(path), fix="choose a smaller one"
        )
    try:
        return data.decode("utf-8")
    except ValueError as error:
        raise InputError(
            "The file is not UTF-8 text.", where=str(path), fix="choose a source file, or convert it"
        ) from error
