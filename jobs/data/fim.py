"""Fill-in-the-middle: cuts of a text, and the order in which a model reads the pieces.

    cut = cut_line(text, random.Random(7))
    ids = arrange(encode(cut.prefix), encode(cut.middle), encode(cut.suffix), STARCODER2, spm=False)

The orders are those of Bavarian et al. 2022, "Efficient Training of Language Models to Fill in the Middle",
and of the StarCoder2 paper, section 5.1. All functions are pure; the only randomness is the generator passed
in.
"""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True)
class FimTokens:
    """The ids of the marks of the pieces, the same four in StarCoder 1 and 2."""

    prefix: int
    middle: int
    suffix: int
    end_of_text: int


@dataclass(frozen=True)
class Cut:
    """A text in three pieces: ``prefix + middle + suffix`` is the text."""

    prefix: str
    middle: str
    suffix: str


def cut_line(text: str, rng: random.Random) -> Cut | None:
    """Cut out one line, or the end of one, without its newline, as in an editor's request.

    Half of the cuts take the whole line after its indentation, the others start at a random position in it.
    Lines without a letter or digit (closing brackets, blank lines) are not cut.

    Returns:
        ``None`` if no line can be cut.
    """
    starts = []
    position = 0
    for line in text.splitlines(keepends=True):
        if any(character.isalnum() for character in line):
            starts.append(position)
        position += len(line)
    if not starts:
        return None
    start = rng.choice(starts)
    line = text[start:].splitlines()[0]
    first = len(line) - len(line.lstrip())
    last = len(line.rstrip())
    if rng.random() < 0.5:
        first = rng.randrange(first, last)
    return Cut(text[: start + first], text[start + first : start + last], text[start + last :])


def cut_characters(text: str, rng: random.Random) -> Cut | None:
    """Cut out the text between two positions drawn uniformly.

    Returns:
        ``None`` if the text is shorter than two characters.
    """
    if len(text) < 2:
        return None
    first, last = sorted(rng.sample(range(len(text) + 1), 2))
    return Cut(text[:first], text[first:last], text[last:])


def arrange(
    prefix: list[int], middle: list[int], suffix: list[int], tokens: FimTokens, *, spm: bool
) -> list[int]:
    """Return the token ids of one example, ending with the end-of-text token.

    Args:
        prefix: token ids before the hole.
        middle: token ids of the hole.
        suffix: token ids after the hole.
        tokens: the ids of the marks.
        spm: suffix before prefix (variant 2 of Bavarian et al.) instead of prefix before suffix.
    """
    if spm:
        head = [tokens.prefix, tokens.suffix, *suffix, tokens.middle, *prefix]
    else:
        head = [tokens.prefix, *prefix, tokens.suffix, *suffix, tokens.middle]
    return [*head, *middle, tokens.end_of_text]


MARKS = 4
"""Tokens added by :func:`arrange` to those of the three pieces."""


def shorten(
    prefix: list[int], middle: list[int], suffix: list[int], room: int
) -> tuple[list[int], list[int]] | None:
    """Truncate prefix and suffix so that all three pieces fit in ``room`` tokens.

    The prefix is truncated on the left and the suffix on the right, the middle never. A quarter of the room
    left by the middle is reserved for the suffix, more if the prefix is short.

    Returns:
        prefix and suffix, or ``None`` if the middle alone does not fit.
    """
    left = room - len(middle)
    if left < 0:
        return None
    for_suffix = min(len(suffix), max(left // 4, left - len(prefix)))
    for_prefix = min(len(prefix), left - for_suffix)
    return prefix[len(prefix) - for_prefix :], suffix[:for_suffix]
