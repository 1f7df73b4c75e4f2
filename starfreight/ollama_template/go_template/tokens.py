"""Cut a template into texts and the words of its actions."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from starfreight.ollama_template.go_template.nodes import TemplateError

SPACE = " \t\r\n"

_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_WORDS = re.compile(
    r"""
    (?P<space>[ \t\r\n]+)
    |(?P<field>(?:\.[^\W\d]\w*)+)
    |(?P<variable>\$\w*(?:\.[^\W\d]\w*)*)
    |(?P<number>[+-]?(?:0[xX][0-9a-fA-F_]+|0[bB][01_]+|0[oO][0-7_]+
        |[0-9][0-9_]*(?:\.[0-9_]*)?(?:[eE][+-]?[0-9]+)?|\.[0-9]+(?:[eE][+-]?[0-9]+)?))
    |(?P<name>[^\W\d]\w*)
    |(?P<string>"(?:[^"\\\n]|\\.)*")
    |(?P<raw>`[^`]*`)
    |(?P<character>'(?:[^'\\\n]|\\.)+')
    |(?P<mark>:=|=|\||\(|\)|,|\.)
    """,
    re.VERBOSE,
)
_ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-7]{3}|.)", re.DOTALL)
_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


@dataclass(frozen=True)
class Word:
    """A word of an action: its kind as in the pattern, its text, and whether a space comes before it."""

    kind: str
    text: str
    spaced: bool


@dataclass(frozen=True)
class Piece:
    """A text, or the words of an action; and the line where it begins."""

    text: str | None
    words: tuple[Word, ...]
    line: int


def pieces(template: str) -> Iterator[Piece]:
    """Yield texts and actions; ``{{- `` and `` -}}`` trim the texts beside them.

    Raises:
        TemplateError: an action is not closed, or holds a character that Go does not know.
    """
    position, trim, line, counted = 0, False, 1, 0
    while True:
        opened = template.find("{{", position)
        text = template[position:] if opened < 0 else template[position:opened]
        begins = opened + 2
        left = opened >= 0 and template.startswith("-", begins) and template[begins + 1 : begins + 2] in SPACE
        left = left and begins + 1 < len(template)
        text = text.lstrip(SPACE) if trim else text
        text = text.rstrip(SPACE) if left else text
        if text:
            yield Piece(text, (), line)
        if opened < 0:
            return
        line += template.count("\n", counted, opened)
        counted = opened
        position, trim, words = _action(template, begins + 2 * left, line)
        if words is not None:
            yield Piece(None, words, line)


def _action(template: str, position: int, line: int) -> tuple[int, bool, tuple[Word, ...] | None]:
    """The end of an action, true if it trims the text after it, and its words; ``None`` for a comment."""
    comment = _COMMENT.match(template, position)
    if template.startswith("/*", position):
        if comment is None:
            raise TemplateError(f"line {line}: a comment is not closed")
        closed = _closing(template, comment.end())
        if closed is None:
            raise TemplateError(f"line {line}: a comment ends before its action does")
        return *closed, None
    words: list[Word] = []
    spaced = False
    while True:
        closed = _closing(template, position)
        if closed is not None:
            return *closed, tuple(words)
        found = _WORDS.match(template, position)
        if found is None:
            rest = template[position : position + 1]
            problem = f"the character {rest!r} in an action" if rest else "an action is not closed by }}"
            raise TemplateError(f"line {line}: {problem}")
        kind = found.lastgroup or ""
        if kind != "space":
            words.append(Word(kind, found[0], spaced))
        spaced = kind == "space"
        position = found.end()


def _closing(template: str, position: int) -> tuple[int, bool] | None:
    """The position after the mark that closes an action here, and true if the mark trims."""
    if template.startswith("}}", position):
        return position + 2, False
    if template[position : position + 1] in SPACE and template.startswith("-}}", position + 1):
        return position + 4, True
    return None


def unquoted(word: Word) -> str | int:
    """The value of a string, or the number of a character.

    Raises:
        TemplateError: an escape that Go does not know.
    """
    if word.kind == "raw":
        return word.text[1:-1]

    def replace(found: re.Match[str]) -> str:
        escape = found[1]
        if escape[0] in "xuU":
            number = int(escape[1:], 16) if len(escape) > 1 else 0x110000
            if number > 0x10FFFF or 0xD800 <= number < 0xE000:
                raise TemplateError(f"the escape {found[0]} in {word.text[:40]}")
            return chr(number)
        if escape.isdecimal() and len(escape) == 3:
            return chr(int(escape, 8))
        if escape not in (*_ESCAPES, "\\", word.text[0]):
            raise TemplateError(f"the escape {found[0]} in {word.text[:40]}")
        return _ESCAPES.get(escape, escape)

    text = _ESCAPE.sub(replace, word.text[1:-1])
    if word.kind == "character":
        if len(text) != 1:
            raise TemplateError(f"{word.text[:40]} is not one character")
        return ord(text)
    return text


def number(word: Word) -> int | float:
    """The value of a number.

    Raises:
        TemplateError: it is not one.
    """
    text = word.text.replace("_", "")
    if len(text) > 40:
        raise TemplateError(f"the number {text[:40]} has too many digits")
    try:
        return int(text, 0) if re.fullmatch(r"[+-]?(0[xXbBoO].*|[1-9]\d*|0)", text) else float(text)
    except ValueError as error:
        raise TemplateError(f"{json.dumps(text)} is not a number") from error
