"""The interface of filters for single texts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from starfreight.jobs.data.dialects.interface import Reading
from starfreight.jobs.data.sources.interface import Sample


@dataclass(frozen=True)
class Document:
    """A sample as filters see it.

    Attributes:
        sample: the sample itself.
        text: its text, or all texts of a record, one after another.
        language: ``Python``, ``C++``; ``None`` if unknown.
        license: an SPDX expression: the file's own, otherwise its repository's, otherwise its source's;
            ``None`` if unknown.
        swhid: ``swh:1:cnt:<hex>`` of a file's bytes; ``None`` for a record.
        reading: of a record of instructions; ``None`` for any other sample.
    """

    sample: Sample
    text: str
    language: str | None
    license: str | None
    swhid: str | None = None
    reading: Reading | None = None


class Filter(Protocol):
    """A reason to leave a text out."""

    name: str
    """The name in recipes and reports: ``license``, ``secrets``."""

    def reject(self, document: Document) -> str | None:
        """Return why a text is left out, in a few words and without quoting a secret; ``None`` to keep it.

        Details that differ between texts (a line, a number) come last, in brackets, so that reports can group
        by the words before them.
        """


@dataclass(frozen=True)
class AnswerSketch:
    """The answers of a conversation, for comparing them.

    Attributes:
        key: 16 bytes, the same for equal answers (trailing white space is ignored).
        signature: as :attr:`Finding.signature`; ``None`` for answers too short for one.
    """

    key: bytes
    signature: bytes | None


@dataclass(frozen=True)
class Finding:
    """The result of filtering one sample, without its text; it is passed between processes.

    Attributes:
        sample_name: as :attr:`Sample.name`.
        digest: as :attr:`Sample.digest`.
        size: as :attr:`Sample.size`.
        swhid: ``swh:1:cnt:<hex>`` of a file's bytes; ``None`` for a record.
        path: as :attr:`Sample.path`.
        repository: as :attr:`Sample.repository`.
        commit: as :attr:`Sample.commit`.
        license: as :attr:`Document.license`.
        language: as :attr:`Document.language`.
        rejected_by: the name of the rejecting filter; ``None`` if all of them keep it.
        detail: the reason returned by the filter.
        replaced: number of redactions, by kind (``e-mail address``).
        key: 16 bytes, the same for equal texts (trailing white space is ignored).
        signature: its MinHash, 128 values of 32 bits, little-endian; ``None`` for a text that is rejected or
            too short to compare.
        answer: of a record of instructions with a signature; otherwise ``None``.
        dialect: of a record of instructions; ``None`` for any other sample.
        notes: as :attr:`Reading.notes`.
        unused: as :attr:`Reading.unused`, with :attr:`Reading.dropped`.
    """

    sample_name: str
    digest: str
    size: int
    swhid: str | None
    path: str | None
    repository: str | None
    commit: str | None
    license: str | None
    language: str | None
    rejected_by: str | None
    detail: str | None
    replaced: dict[str, int]
    key: bytes
    signature: bytes | None
    answer: AnswerSketch | None = None
    dialect: str | None = None
    notes: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
