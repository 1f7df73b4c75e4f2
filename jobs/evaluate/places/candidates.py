"""All places of a file that may be cut."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from starfreight.jobs.data.syntax_nodes import node_kind, parser_of
from starfreight.jobs.evaluate.held_out.file_choice import rank
from starfreight.jobs.evaluate.places.license_header import header_end, license_mentions

if TYPE_CHECKING:
    from tree_sitter import Node

KINDS = ("function body", "block", "arguments", "line", "line end", "lines", "expression")
"""The first of them is the kind of a place that is of several."""
MOST_CHARACTERS = 300
MOST_LINES = 12
_SHORTEST_END = 3
"""Characters of the shortest rest of a line."""
_LENGTHS = (2, 3, 5, 8)
"""Numbers of lines in a span."""
_MOST_NODES = 20_000
_MOST_STARTS = 2_000
"""Lines of a long file, evenly apart, at which places begin."""
_MOST_PARSED = 256 << 10
"""Characters of a file that is parsed; a longer one gives lines only."""

_FUNCTIONS = ("function", "method", "constructor", "lambda", "closure", "func_literal", "init_declaration")
_ARGUMENTS = frozenset(("argument_list", "arguments"))
_PARAMETERS = frozenset(("formal_parameters", "parameter_list", "parameters"))

Span = tuple[int, int]
"""The first character, and the one after the last."""


def candidates(text: str, path: str) -> Iterator[tuple[str, int, int]]:
    """Yield the places of a file, each once: kind, start and end in characters.

    A middle has a letter or a digit, no white space at its ends, at most :data:`MOST_CHARACTERS` characters
    and :data:`MOST_LINES` lines, is not all of the text, and is neither in the license header nor about a
    license.
    """
    begin, whole, mentions = header_end(text), len(text.strip()), license_mentions(text)
    seen: set[tuple[int, int]] = set()
    by_kind: dict[str, Iterable[Span]] = {
        **_nodes(text, path),
        "line": _lines(text),
        "line end": _line_ends(text),
        "lines": _spans(text),
    }
    for kind, (first, last) in ((name, span) for name in KINDS for span in by_kind.get(name, ())):
        start, end = _trimmed(text, first, last)
        if (start, end) in seen or start < begin:
            continue
        if not 0 < end - start <= MOST_CHARACTERS or end - start >= whole:
            continue
        if bisect.bisect_left(mentions, start) != bisect.bisect_left(mentions, end):
            continue
        middle = text[start:end]
        if middle.count("\n") < MOST_LINES and any(character.isalnum() for character in middle):
            seen.add((start, end))
            yield kind, start, end


def _trimmed(text: str, start: int, end: int) -> tuple[int, int]:
    piece = text[start:end]
    return start + len(piece) - len(piece.lstrip()), end - (len(piece) - len(piece.rstrip()))


def _lines(text: str) -> Iterator[Span]:
    """Lines, which end with a newline alone, as for editors."""
    starts = _line_starts(text)
    return ((starts[first], starts[first + 1]) for first in _chosen(starts))


def _line_ends(text: str) -> Iterator[Span]:
    """The rest of each line from a position in it, which may be within a word, as in editors."""
    for start, end in _lines(text):
        first, last = _trimmed(text, start, end)
        if last - first > _SHORTEST_END:
            yield first + 1 + rank(start, text[start:end]) % (last - first - _SHORTEST_END), last


def _spans(text: str) -> Iterator[Span]:
    """A few lines together, the first and the last of which are not blank."""
    starts = _line_starts(text)

    def blank(line: int) -> bool:
        return not text[starts[line] : starts[line + 1]].strip()

    for first in _chosen(starts):
        for last in (first + length for length in _LENGTHS if first + length < len(starts)):
            if not blank(first) and not blank(last - 1):
                yield starts[first], starts[last]


def _chosen(starts: Sequence[int]) -> range:
    return range(0, len(starts) - 1, 1 + len(starts) // _MOST_STARTS)


def _line_starts(text: str) -> list[int]:
    """The first characters of all lines, and the end of the last one."""
    starts = [0]
    while (found := text.find("\n", starts[-1])) >= 0:
        starts.append(found + 1)
    return starts if starts[-1] == len(text) else [*starts, len(text)]


def _nodes(text: str, path: str) -> dict[str, list[Span]]:
    """Nodes of the syntax tree by kind; none without a grammar."""
    parser = parser_of(path)
    if parser is None or len(text) > _MOST_PARSED:
        return {}
    encoded = text.encode("utf-8", "surrogatepass")
    places = _starts(text)
    found: dict[str, list[Span]] = {}
    cursor = parser.parse(encoded).walk()
    parents: list[str] = []
    for _ in range(_MOST_NODES):
        node = cursor.node
        if node is None:
            break
        kind = _kind(node, parents[-1] if parents else "")
        if kind is not None:
            span = (bisect.bisect_left(places, node.start_byte), bisect.bisect_left(places, node.end_byte))
            found.setdefault(kind, []).append(span)
        if cursor.goto_first_child():
            parents.append(node.type)
            continue
        while not cursor.goto_next_sibling():
            if not cursor.goto_parent():
                return found
            parents.pop()
    return found


def _kind(node: Node, parent: str) -> str | None:
    # Strings are mostly prose.
    if not node.is_named or node.has_error or node.type in _PARAMETERS or "string" in node.type:
        return None
    if node.type in _ARGUMENTS:
        return "arguments"
    kind = node_kind(node.type)
    if kind == "body":
        return "function body" if any(name in parent for name in _FUNCTIONS) else "block"
    return "expression" if kind == "expression" else None


def _starts(text: str) -> Sequence[int]:
    """The position of each character in UTF-8, and the length of all."""
    if text.isascii():
        return range(len(text) + 1)
    return [0, *itertools.accumulate(len(character.encode("utf-8", "surrogatepass")) for character in text)]
