"""Similarity of a completion to the right one."""

from __future__ import annotations

_LONGEST = 4_096
"""Characters that are compared; a right completion is much shorter."""


def comparable(text: str) -> str:
    """A text without carriage returns, white space at the ends of lines, and empty lines at its end.

    White space at the beginning counts.
    """
    return "\n".join(line.rstrip() for line in text.replace("\r\n", "\n").split("\n")).rstrip("\n")


def edit_similarity(one: str, other: str) -> float:
    """One minus the Levenshtein distance over the length of the longer text; 1 for two empty ones."""
    one, other = one[:_LONGEST], other[:_LONGEST]
    longest = max(len(one), len(other))
    return 1 - edit_distance(one, other) / longest if longest else 1.0


def edit_distance(one: str, other: str) -> int:
    """The Levenshtein distance: the fewest characters to insert, delete or replace.

    Source: Hyyrö (2003), "A Bit-Vector Algorithm for Computing Levenshtein and Damerau Edit Distances", after
    Myers (1999). A column of the table of distances is one integer, a bit for each difference of neighbours.
    """
    if not one:
        return len(other)
    places: dict[str, int] = {}
    for number, character in enumerate(one):
        places[character] = places.get(character, 0) | 1 << number
    every, last = (1 << len(one)) - 1, 1 << len(one) - 1
    more, less, distance = every, 0, len(one)
    for character in other:
        equal = places.get(character, 0)
        vertical = equal | less
        horizontal = (((equal & more) + more) ^ more) | equal
        grown, shrunk = less | ~(horizontal | more) & every, more & horizontal
        distance += 1 if grown & last else -1 if shrunk & last else 0
        grown, shrunk = (grown << 1 | 1) & every, shrunk << 1 & every
        more, less = shrunk | ~(vertical | grown) & every, grown & vertical
    return distance
