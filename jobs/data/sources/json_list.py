"""A JSON list of objects, read one object at a time: memory depends on the largest one, not on the file."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator, Mapping
from typing import IO, Any

from starfreight.errors import InputError
from starfreight.jobs.data.rows.values import MAX_RECORD_BYTES

_CHUNK = 1 << 16
_SPACE = " \t\r\n"


def read_list(stream: IO[bytes], where: str) -> Iterator[Mapping[str, Any]]:
    """Yield the objects of a list.

    Args:
        stream: in UTF-8, from its start.
        where: the file, for errors.

    Raises:
        InputError: it is not a list of objects, is cut off, or an object has more than 16 MiB.
    """
    text = _Text(stream, where)
    text.expect("[", 0)
    number = 0
    following = text.peek()
    while following != "]" or number:
        number += 1
        yield text.value(number)
        following = text.peek()
        if following == "]":
            break
        text.expect(",", number)
    text.expect("]", number)
    if text.peek():
        raise _invalid("there is something after the list", f"{where}, after item {number}")


class _Text:
    """The text not yet parsed."""

    def __init__(self, stream: IO[bytes], where: str) -> None:
        self._stream, self._where = stream, where
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self._parser = json.JSONDecoder()
        self._text, self._position, self._ended = "", 0, False

    def peek(self) -> str:
        """Return the next character that is not white space; empty at the end."""
        while True:
            while self._position < len(self._text) and self._text[self._position] in _SPACE:
                self._position += 1
            if self._position < len(self._text):
                return self._text[self._position]
            if not self._more(_CHUNK):
                return ""

    def expect(self, mark: str, number: int) -> None:
        found = self.peek()
        if found != mark:
            raise _invalid(
                f"{mark!r} is missing, where {found!r} is" if found else "it is cut off",
                f"{self._where}, after item {number}",
            )
        self._position += 1

    def value(self, number: int) -> Mapping[str, Any]:
        where = f"{self._where}, item {number}"
        if number > 1 and self.peek() == "]":
            raise _invalid("there is a comma after the last item", f"{self._where}, after item {number - 1}")
        if self.peek() != "{":
            raise InputError(
                "An item of the list is not a JSON object.", where=where, fix="write a list of objects"
            )
        size = _CHUNK
        while True:
            try:
                record, self._position = self._parser.raw_decode(self._text, self._position)
            except RecursionError as error:
                raise _invalid(str(error), where) from error
            except ValueError as error:
                left = len(self._text) - self._position
                if left > MAX_RECORD_BYTES:
                    raise InputError(
                        "An item is longer than 16 MiB, or is not JSON.", where=where, fix="split the record"
                    ) from error
                # Twice as much each time, so that a long item is not parsed too often.
                size = max(size, left)
                if not self._more(size):
                    raise _invalid(str(error), where) from error
                continue
            if not isinstance(record, dict):  # Cannot happen: it begins with a brace.
                raise _invalid("an item is not an object", where)
            return record

    def _more(self, size: int) -> bool:
        """Read on; return false at the end of the file."""
        if self._ended:
            return False
        data = self._stream.read(size)
        self._ended = not data
        try:
            text = self._decoder.decode(data, final=self._ended)
        except UnicodeDecodeError as error:
            raise _invalid(f"it is not UTF-8: {error.reason}", self._where) from error
        self._text = self._text[self._position :] + text
        self._position = 0
        return not self._ended


def _invalid(problem: str, where: str) -> InputError:
    return InputError(f"The JSON list is not valid: {problem}.", where=where, fix="correct the file")
