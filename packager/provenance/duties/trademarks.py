"""Duty: no use of the licensor's names that suggests endorsement."""

from __future__ import annotations

import re

from starfreight.licenses import Duty, License
from starfreight.packager.provenance.duties.interface import Material, Outcome

_NO_NAME = re.compile(r"[\W_]|\d+(\.\d+)?[bm]\b|\bv?\d+(\.\d+)*|base|instruct|chat")
"""Parts of a name without a maker: separators, sizes, versions, kinds."""


class Trademarks:
    """The model has a name of its own, and its authors are not the licensor."""

    def check(self, duty: Duty, license: License, name: str, material: Material) -> Outcome:
        """Judge the duty."""
        marks = sorted((mark.casefold() for mark in license.marks), key=len, reverse=True)
        for author in material.authors:
            if any(_is_nothing_but(author, [mark]) for mark in marks):
                return Outcome(
                    "unmet",
                    f"the licensor, {author}, is given as an author",
                    "correct package.card.authors",
                )
        for given in dict.fromkeys((material.name, material.title)):
            if any(mark in given.casefold() for mark in marks) and _is_nothing_but(given, marks):
                return Outcome("unmet", f"{given} is the licensor's own name for a model")
        names = f"{material.name} {material.title}".casefold()
        used = [mark for mark in license.marks if mark.casefold() in names]
        if used:
            return Outcome(
                "judge", f"{used[0]} is in the model's name: as its origin only, not as its maker's name"
            )
        if not marks:
            return Outcome("judge", "the licensor's names are not known here")
        return Outcome("met", "the model's name has none of " + ", ".join(license.marks))


def _is_nothing_but(name: str, marks: list[str]) -> bool:
    rest = name.casefold().replace("_", " ")
    for mark in marks:
        rest = rest.replace(mark, " ")
    return not _NO_NAME.sub("", rest)
