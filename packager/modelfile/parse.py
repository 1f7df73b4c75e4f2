"""Parse a Modelfile as Ollama does (``parser/parser.go``, August 2026).

A command begins a line, in any case, and has a space after it. A value ends with its line, unless it begins
with one or three double quotes: then it ends with the first line that ends with the same. There are no
escapes, and single quotes are part of a value. ``#`` is a comment only at the beginning of a line. Characters
that do not print are dropped, lines may end with a carriage return, and a byte order mark may choose UTF-16.
"""

from __future__ import annotations

import codecs
import difflib
import re
from pathlib import Path

from starfreight.errors import InputError
from starfreight.packager.modelfile.commands import COMMANDS, ROLES, Command, Modelfile

MAX_BYTES = 4 << 20
"""Size of the largest Modelfile that is read."""

_SPACE = " \t"
_BLANK = " \t\r\n"
_BLANKS = re.compile(r"[ \t\r\n]*")
_COMMENT = re.compile(r"#[^\r\n]*")
_WORD = re.compile(r"[A-Za-z]+")
_KEY = re.compile(r"[A-Za-z0-9_]*")
_LINE = re.compile(r"[^\r\n]*")
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


def read_modelfile(path: Path) -> Modelfile:
    """Read a file.

    Raises:
        InputError: the file cannot be read, or Ollama would not accept it.
    """
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise InputError(
            f"The Modelfile cannot be read: {error.strerror or error}.",
            where=str(path),
            fix="check the path",
        ) from error
    return parse_modelfile(data, str(path))


def parse_modelfile(text: str | bytes, where: str = "Modelfile", *, keep_unknown: bool = False) -> Modelfile:
    """Parse a text.

    Args:
        text: the text, or the bytes of a file.
        where: the file, for errors.
        keep_unknown: keep commands that Ollama does not have, instead of raising.

    Raises:
        InputError: Ollama would not accept it; with the line.
    """
    if len(text) > MAX_BYTES:
        raise InputError(
            f"The Modelfile is larger than {MAX_BYTES >> 20} MiB.", where=where, fix="shorten it"
        )
    decoded = _decoded(text)
    commands, position = [], 0
    while True:
        position = _skip(decoded, position)
        if position == len(decoded):
            break
        command, position = _command(decoded, position, where, keep_unknown)
        commands.append(command)
    if not any(command.name == "FROM" for command in commands):
        raise InputError(
            "The Modelfile has no FROM.", where=where, fix="begin it with FROM and a model or a GGUF file"
        )
    return Modelfile(tuple(commands))


def _decoded(text: str | bytes) -> str:
    if isinstance(text, str):
        return text.removeprefix("\ufeff")
    for mark, name in _MARKS:
        if text.startswith(mark):
            return text[len(mark) :].decode(name, "replace")
    return text.decode("utf-8", "replace")


def _skip(text: str, position: int) -> int:
    """Past blank lines and comments."""
    while True:
        start = position
        for pattern in (_BLANKS, _COMMENT):
            found = pattern.match(text, position)
            position = found.end() if found else position
        if position == start:
            return position


def _command(text: str, start: int, where: str, keep_unknown: bool) -> tuple[Command, int]:
    """The command at a position, and the position after it."""

    def refused(problem: str, fix: str) -> InputError:
        return InputError(problem, where=f"{where}, line {_line_number(text, start)}", fix=fix)

    word = _WORD.match(text, start)
    name = word[0].upper() if word else ""
    if word is None or (name not in COMMANDS and not keep_unknown):
        line = _LINE.match(text, start)
        shown = (line[0] if line else "")[:40]
        near = difflib.get_close_matches(name, COMMANDS, n=1, cutoff=0.6)
        raise refused(
            f"The line does not begin with a command of a Modelfile: {shown!r}.",
            f"did you mean {near[0]}?" if near else f"begin it with one of {', '.join(COMMANDS)}",
        )
    position = word.end()
    if text[position : position + 1] not in (" ", "\t"):
        raise refused(f"{name} has no value.", f"write {name}, a space and its value on one line")
    position += 1
    key = ""
    if name in ("PARAMETER", "MESSAGE"):
        found = _KEY.match(text, position)
        key = found[0] if found else ""
        position += len(key)
        if name == "MESSAGE" and key not in ROLES:
            raise refused(
                f"The role of a MESSAGE is {key[:40]!r}." if key else "A MESSAGE has no role.",
                f"write one space and one of {', '.join(ROLES)} after MESSAGE",
            )
        if not key or text[position : position + 1] not in (" ", "\t"):
            raise refused(
                "A PARAMETER has no name or no value." if name == "PARAMETER" else "A MESSAGE has no text.",
                f"write {name}, one space, its {'name' if name == 'PARAMETER' else 'role'}, and its value",
            )
        position += 1
    value, position = _value(text, position)
    if value is None:
        raise refused(f"The quotes around the value of {name} are not closed.", 'end its last line with """')
    return Command(name, value, key), position


def _value(text: str, position: int) -> tuple[str | None, int]:
    """A value, ``None`` if its quotes stay open, and the position of the line break after it."""
    raw, first, last = "", -1, 0
    while True:
        found = _LINE.match(text, position)
        line = found[0] if found else ""
        if not line.isprintable():
            line = "".join(each for each in line if each.isprintable() or each == "\t")
        position += len(found[0]) if found else 0
        stripped = line.strip(_BLANK)
        if stripped:
            if first < 0:
                first = len(raw) + line.index(stripped[0])
            last = len(raw) + len(line.rstrip(_BLANK))
        raw += line
        quotes = '"""' if raw.startswith('"""', max(first, 0)) else '"'
        if first < 0 or not raw.startswith('"', first):
            return raw.strip(_BLANK), position
        if last - first >= 2 * len(quotes) and raw.endswith(quotes, first, last):
            return raw[first + len(quotes) : last - len(quotes)], position
        if position == len(text):
            return None, position
        raw += text[position]
        position += 1


def _line_number(text: str, position: int) -> int:
    return len(re.findall(r"\r\n|\r|\n", text[:position])) + 1
