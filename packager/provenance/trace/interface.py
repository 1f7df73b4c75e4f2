"""The plug point of questions about training data, and the samples that they are asked about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

Split = Literal["train", "held_out", "records"]
"""``records``: a file whose records are samples."""

Kind = Literal["exact", "weak"]
"""``weak``: a sample that only resembles the subject, such as another file at the same path."""


@dataclass(frozen=True)
class Source:
    """A source of the training data.

    Attributes:
        number: its place in the recipe, from 0.
        name: as written in the recipe; of a local directory only the last part.
        revision: commit or version, if the recipe names one.
    """

    number: int
    name: str
    revision: str | None = None


@dataclass(frozen=True)
class Sample:
    """A file or a record of the training data.

    Attributes:
        source: its source.
        name: path in the source, or ``pairs.jsonl:12`` for a record.
        digest: ``sha256:...`` of the file as it was read, or of a record as canonical JSON.
        split: its use; ``None`` if the package does not tell.
        swhid: of the same bytes; of a record the SWHID of its text, if it has a single one.
        license: SPDX expression; ``None`` if unknown.
        repository: its repository, if known.
        commit: of the repository, if known.
    """

    source: Source
    name: str
    digest: str
    split: Split | None
    swhid: str | None = None
    license: str | None = None
    repository: str | None = None
    commit: str | None = None


@dataclass(frozen=True)
class Omission:
    """A sample that a filter left out. The list has names and reasons, no digests.

    Attributes:
        source: its source.
        name: as :attr:`Sample.name`.
        filter: name of the filter.
        detail: its reason.
        twin: name of the sample that it is a copy of.
    """

    source: Source
    name: str
    filter: str
    detail: str
    twin: str | None = None


@dataclass(frozen=True)
class Match:
    """A sample's relation to the subject of a question.

    Attributes:
        kind: ``exact`` if the sample is what the question is about.
        by: the property that agrees: ``contents``, ``path``, ``repository``...
    """

    kind: Kind
    by: str


class Question(Protocol):
    """A question about the training data."""

    @property
    def kind(self) -> str:
        """The option that asks it: ``file``, ``repository``, ``license``, ``swhid``."""
        ...

    @property
    def subject(self) -> str:
        """The thing asked about, as the user named it."""
        ...

    @property
    def facts(self) -> Mapping[str, Any]:
        """Facts about the subject, such as a file's digest."""
        ...

    @property
    def limits(self) -> str:
        """What is compared, in a sentence or two, for people."""
        ...

    def match(self, sample: Sample) -> Match | None:
        """Compare a sample."""
        ...

    def match_omission(self, omission: Omission) -> Match | None:
        """Compare a sample that was left out."""
        ...
