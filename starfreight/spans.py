"""Spans of a text and their replacements."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Span:
    """A span of a text.

    Attributes:
        start: in characters.
        end: in characters, exclusive.
        kind: its content, in the words of a report.
        mark: the text to replace it with.
    """

    start: int
    end: int
    kind: str
    mark: str


def disjoint(spans: Iterable[Span]) -> list[Span]:
    """Sort spans and merge those that overlap; the kind is that of the first (on a tie, first given)."""
    result: list[Span] = []
    for span in sorted(spans, key=lambda span: (span.start, -span.end)):
        if result and span.start < result[-1].end:
            last = result[-1]
            result[-1] = Span(last.start, max(last.end, span.end), last.kind, last.mark)
        else:
            result.append(span)
    return result


def replaced(text: str, spans: Sequence[Span]) -> str:
    """Replace each span of ``text`` with its mark. The spans are disjoint and sorted."""
    parts = []
    at = 0
    for span in spans:
        parts += [text[at : span.start], span.mark]
        at = span.end
    return "".join([*parts, text[at:]])


def first_kind_and_line(text: str, spans: Sequence[Span]) -> str | None:
    """Return the kind and the line of the first span, without quoting it; ``None`` if there are no spans."""
    if not spans:
        return None
    line = text.count("\n", 0, spans[0].start) + 1
    more = f", and {len(spans) - 1:,} more" if len(spans) > 1 else ""
    return f"{spans[0].kind} (line {line}{more})"
