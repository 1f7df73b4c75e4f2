"""The plug point of license duties: a check looks at a package, made or planned, and judges a duty."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from starfreight.licenses import Duty, License

State = Literal["met", "unmet", "judge", "later"]
"""``judge``: only the publisher can judge it. ``later``: known when the package is built."""

FOR_THE_PUBLISHER = "for the publisher to judge"


@dataclass(frozen=True)
class ShippedText:
    """A license text.

    Attributes:
        name: of the license, as in the package.
        digest: of the text.
        text: the text; undecodable bytes are replaced.
    """

    name: str
    digest: str
    text: str


@dataclass(frozen=True)
class Material:
    """The parts of a package that license duties are about.

    Attributes:
        name: of the tuned model.
        title: of the tuned model.
        license: of the tuned model.
        chosen: true if the recipe chooses it (``package.license``).
        base: name of the base model.
        base_license: its license.
        authors: of the tuned model.
        licenses: the license texts.
        documents: text by name of the base model's documents.
        digests: of all license texts and documents.
        base_notices: digest by name of the base model's licenses and notices.
        card: the model card; ``None`` before it is written.
        description: the recipe's texts for the model card.
        planned: true before the package is built.
        base_here: true if the files of the base model are known.
        earlier: true for a package built before packages held documents.
        terms: licenses of the data that the package names, or will name, beside the base's.
    """

    name: str
    title: str
    license: str
    chosen: bool
    base: str
    base_license: str
    authors: tuple[str, ...] = ()
    licenses: tuple[ShippedText, ...] = ()
    documents: Mapping[str, str] = field(default_factory=dict)
    digests: frozenset[str] = frozenset()
    base_notices: Mapping[str, str] = field(default_factory=dict)
    card: str | None = None
    description: str = ""
    planned: bool = False
    base_here: bool = True
    earlier: bool = False
    terms: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """The state of a duty.

    Attributes:
        state: see :data:`State`.
        why: one sentence without its full stop, beginning in lower case.
        how: next step, if it is not the duty's own.
    """

    state: State
    why: str
    how: str | None = None


class DutyCheck(Protocol):
    """A check of one kind of duty."""

    def check(self, duty: Duty, license: License, name: str, material: Material) -> Outcome:
        """Judge a duty.

        Args:
            duty: the duty.
            license: its license.
            name: the license as the package spells it.
            material: the package.
        """
        ...
