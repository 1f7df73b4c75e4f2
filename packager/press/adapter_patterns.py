"""Match the patterns of an adapter's configuration (``rank_pattern``, ``alpha_pattern``) in linear time.

    patterns = parse_patterns(config["rank_pattern"])
    first_match(patterns, "model.layers.0.mlp.c_fc")

PEFT takes the patterns for regular expressions, of which one from a stranger can backtrack for ever, even
without repetition: ``(|.)(|.)(|.)...X``. So these are matched without backtracking: a set of positions in
the name, a bit for each, goes through the pattern once. Repetition and references to groups are refused.
"""

from __future__ import annotations

import functools
import re
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass

LONGEST = 500
"""Characters of one pattern."""

MOST_CHARACTERS = 50_000
"""Characters of all patterns together: room for one of each weight of a model with 80 layers, twice."""

_DEEPEST = 20
_ALLOWED = re.compile(r"[\w.\\^|()\[\]-]+")
_CLASS = re.compile(r"\[\^?\]?(?:[^\]\\]|\\.)*\]")


@dataclass(frozen=True)
class _Name:
    """A module's name.

    Attributes:
        letters: its characters, each with the set of its positions.
        found: the positions of the atoms looked for so far.
    """

    letters: dict[str, int]
    found: dict[str, int]


Step = Callable[[int, _Name], int]
"""From the positions before an atom, and the name, to the positions after it."""


@dataclass(frozen=True)
class NamePattern:
    """One pattern, for the end of a module's name that begins after a dot, or for the whole name.

    Attributes:
        text: the pattern as written.
    """

    text: str

    @functools.cached_property
    def step(self) -> Step:
        """The matcher, made when it is needed: a pattern that no module reaches may be of any kind."""
        return _Parser(self.text).whole()

    def matches(self, name: str) -> bool:
        """True if PEFT applies the pattern to the module.

        Raises:
            PatternError: the pattern is not supported.
        """
        parsed = _parse_name(name)
        starts = 1 | parsed.letters.get(".", 0) << 1
        return bool(self.step(starts, parsed) >> len(name) & 1)


def parse_patterns(texts: Iterable[str]) -> tuple[NamePattern, ...]:
    """The patterns, in their order.

    Raises:
        PatternError: they are too long.
    """
    texts = tuple(texts)
    if sum(map(len, texts)) > MOST_CHARACTERS:
        raise PatternError(f"are longer than {MOST_CHARACTERS:,} characters together", "")
    return tuple(NamePattern(text) for text in texts)


def first_match(patterns: Iterable[NamePattern], name: str) -> str | None:
    """The first pattern that matches a module's name.

    Raises:
        PatternError: a pattern up to there is not supported.
    """
    return next((pattern.text for pattern in patterns if pattern.matches(name)), None)


class PatternError(ValueError):
    """A pattern that is not supported.

    Attributes:
        what: completes the sentence "The adapter's patterns ...".
        text: the pattern.
    """

    def __init__(self, what: str, text: str) -> None:
        super().__init__(what)
        self.what, self.text = what, text


class _Parser:
    def __init__(self, text: str) -> None:
        self._text, self._at, self._depth = text, 0, 0

    def whole(self) -> Step:
        if len(self._text) > LONGEST or not _ALLOWED.fullmatch(self._text):
            raise self._refused(
                f"hold a regular expression with repetition, or of more than {LONGEST} characters, which is "
                "not supported"
            )
        step = self._alternatives()
        if self._at < len(self._text):
            raise self._refused("hold what is not a valid regular expression: a parenthesis is not opened")
        return step

    def _alternatives(self) -> Step:
        branches = [self._sequence()]
        while self._next("|"):
            branches.append(self._sequence())
        return branches[0] if len(branches) == 1 else _any_of(branches)

    def _sequence(self) -> Step:
        atoms = []
        while self._at < len(self._text) and self._text[self._at] not in "|)":
            atoms.append(self._atom())
        return _one_after_another(atoms)

    def _atom(self) -> Step:
        if self._next("("):
            self._depth += 1
            if self._depth > _DEEPEST:
                raise self._refused(f"hold a regular expression with more than {_DEEPEST} levels of groups")
            step = self._alternatives()
            if not self._next(")"):
                raise self._refused(
                    "hold what is not a valid regular expression: a parenthesis is not closed"
                )
            self._depth -= 1
            return step
        if self._next("^"):
            return _beginning
        if self._text[self._at] == "[":
            found = _CLASS.match(self._text, self._at)
            if found is None:
                raise self._refused("hold what is not a valid regular expression: a bracket is not closed")
            self._at = found.end()
            return self._one_character(found[0])
        size = 2 if self._text[self._at] == "\\" else 1
        atom = self._text[self._at : self._at + size]
        if re.fullmatch(r"\\[A-Za-z0-9_]", atom) and atom[1] not in "wWdDsS":
            raise self._refused(f"hold the escape {atom}, which is not supported")
        self._at += size
        if size == 1 and atom != ".":
            return lambda positions, name: (positions & name.letters.get(atom, 0)) << 1
        return self._one_character(atom)

    def _one_character(self, atom: str) -> Step:
        try:
            with warnings.catch_warnings(action="ignore"):
                compiled = re.compile(atom)
        except re.error as error:
            raise self._refused(f"hold what is not a valid regular expression: {error}") from error
        accepts = functools.cache(lambda character: compiled.fullmatch(character) is not None)

        def step(positions: int, name: _Name) -> int:
            places = name.found.get(atom)
            if places is None:
                places = sum(where for letter, where in name.letters.items() if accepts(letter))
                name.found[atom] = places
            return (positions & places) << 1

        return step

    def _next(self, character: str) -> bool:
        found = self._text.startswith(character, self._at)
        self._at += found
        return found

    def _refused(self, what: str) -> PatternError:
        return PatternError(what, self._text)


@functools.lru_cache(maxsize=1)
def _parse_name(name: str) -> _Name:
    letters: dict[str, int] = {}
    for position, character in enumerate(name):
        letters[character] = letters.get(character, 0) | 1 << position
    return _Name(letters, {})


def _beginning(positions: int, name: _Name) -> int:
    return positions & 1


def _any_of(branches: list[Step]) -> Step:
    def step(positions: int, name: _Name) -> int:
        after = 0
        for branch in branches:
            after |= branch(positions, name)
        return after

    return step


def _one_after_another(atoms: list[Step]) -> Step:
    def step(positions: int, name: _Name) -> int:
        for atom in atoms:
            positions = atom(positions, name)
            if not positions:
                break
        return positions

    return step
