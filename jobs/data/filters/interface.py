"""What every filter that looks at one text at a time offers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from starfreight.jobs.data.sources.interface import Sample


@dataclass(frozen=True)
class Document:
    """A sample as filters see it.

    Attributes:
        sample: where it comes from.
        text: its text, or all texts of a record, one after another.
        language: ``Python``, ``C++``; ``None`` when it is not known.
        license: an SPDX expression: the file's own, otherwise its repository's, otherwise its source's;
            ``None`` when nobody says.
        swhid: ``swh:1:cnt:<hex>`` of a file's bytes; ``None`` for a record.
    """

    sample: Sample
    text: str
    language: str | None
    license: str | None
    swhid: str | None = None


class Filter(Protocol):
    """A reason to leave a text out."""

    name: str
    """What it is called in reports: ``license``, ``secrets``."""

    def reject(self, document: Document) -> str | None:
        """What is wrong with a text, in a few words and without quoting a secret; ``None`` when nothing is.

        What differs from text to text (a line, a number) stands in brackets at the end, so that reports can
        count what comes before.
        """


@dataclass(frozen=True)
class Finding:
    """What was found out about one sample, without its text. It travels between processes.

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
        rejected_by: the filter that leaves it out; ``None`` when it stays, as far as one text can tell.
        detail: what that filter said.
        replaced: how many pieces were replaced, by kind (``e-mail address``).
        key: 16 bytes that equal texts have in common (white space at line ends does not count).
        signature: its MinHash, 128 values of 32 bits, little-endian; ``None`` for a text that is left out or
            too short to compare.
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
