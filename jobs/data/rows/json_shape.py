"""The union of the columns of JSON records, in which absent ones become ``None``.

A dataset is a table: each row has every column, also those that only later rows or other files have. Objects
inside a row stay as they are. Whole numbers beside fractions of the same column become fractions, as in any
table.
"""

from __future__ import annotations

from typing import Any

_MOST_FIELDS = 1000
"""Objects with more names than this are mappings, not rows; their absent names are not filled in."""


class JsonShape:
    """The values seen at one place of all records."""

    __slots__ = ("_fields", "_is_even", "_items", "_kinds")

    def __init__(self) -> None:
        self._kinds: set[type] = set()
        self._fields: dict[str, JsonShape] = {}
        self._items: JsonShape | None = None
        self._is_even = True
        """True while all objects at this place have the same names."""

    def add(self, value: Any) -> None:
        """Include a value, as parsed from JSON."""
        if value is None:
            return
        kind = type(value)
        if kind is dict:
            if dict in self._kinds and (
                len(value) != len(self._fields) or value.keys() != self._fields.keys()
            ):
                self._is_even = False
            for name, each in value.items():
                if name not in self._fields:
                    if len(self._fields) > _MOST_FIELDS:
                        continue
                    self._fields[name] = JsonShape()
                self._fields[name].add(each)
        elif kind is list:
            if self._items is None:
                self._items = JsonShape()
            for each in value:
                self._items.add(each)
        self._kinds.add(kind)

    def row(self, record: dict[str, Any]) -> dict[str, Any]:
        """Return a record with every column, in the order in which they were seen."""
        if len(self._fields) > _MOST_FIELDS:
            return record
        return {name: shape._converted(record.get(name)) for name, shape in self._fields.items()}

    def _converted(self, value: Any) -> Any:
        if type(value) is int and self._kinds == {int, float}:
            return float(value)
        if len(self._kinds) != 1 or not self._is_even:
            return value
        if type(value) is dict and len(self._fields) <= _MOST_FIELDS:
            return {name: self._fields[name]._converted(each) for name, each in value.items()}
        if type(value) is list and self._items is not None:
            return [self._items._converted(each) for each in value]
        return value
