"""The sample of tokens whose losses training records, for comparison with the finished GGUF file.

sample = LossSample.load(run_folder, record)      # checks the digest in run.json
sample.loss, sample.base_loss                     # nats per token, with and without the adapter
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, FiniteFloat, model_validator

from starfreight.errors import GateError
from starfreight.files import sha256_bytes, sha256_file, write_bytes
from starfreight.records import FileDigest, Part, Record

LOSS_SAMPLE_FILE = "loss_sample.json"
NEWEST_VERSION = 1
_LIMIT = 64 << 20


class SampleRecord(Part):
    """The entry of a sample in ``run.json``."""

    file: FileDigest
    tokens: Annotated[int, Field(ge=1)]
    """Counted tokens."""
    loss: FiniteFloat
    """Mean cross-entropy of the tuned model in nats per counted token."""
    base_loss: FiniteFloat
    """The same without the adapter."""


class SampleDocument(Part):
    """One document: the tokens of an example from its start, as a packed block holds them."""

    ids: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=2)]
    counted: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)]
    """Positions of the counted tokens, ascending. The first token of a document is not predicted."""
    losses: tuple[FiniteFloat, ...]
    """Of each counted token by the tuned model, in nats."""
    base_losses: tuple[FiniteFloat, ...]
    """The same without the adapter."""

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if not len(self.counted) == len(self.losses) == len(self.base_losses):
            raise ValueError("has another number of losses than of counted tokens")
        if list(self.counted) != sorted(set(self.counted)) or self.counted[-1] >= len(self.ids):
            raise ValueError("counts tokens that it does not have")
        return self


class LossSample(Record):
    """``loss_sample.json`` in a run's directory."""

    documents: Annotated[tuple[SampleDocument, ...], Field(min_length=1)]

    @property
    def tokens(self) -> int:
        """Number of counted tokens."""
        return sum(len(document.counted) for document in self.documents)

    @property
    def loss(self) -> float:
        """Mean loss of the tuned model, in nats per counted token."""
        return sum(sum(document.losses) for document in self.documents) / self.tokens

    @property
    def base_loss(self) -> float:
        """Mean loss without the adapter, in nats per counted token."""
        return sum(sum(document.base_losses) for document in self.documents) / self.tokens

    @classmethod
    def load(cls, folder: Path, record: SampleRecord) -> Self:
        """Read the sample in a run's directory.

        Raises:
            GateError: the file is missing or is not the run's.
            InputError: as :meth:`Record.read`.
        """
        path = folder / record.file.path
        if not path.is_file() or sha256_file(path) != record.file.digest:
            raise GateError(
                "The loss sample is not the run's: it has changed or is missing.",
                where=str(path),
                fix="restore the file, or build with --no-loss-check",
            )
        return cls.read(path, newest=NEWEST_VERSION, limit=_LIMIT, kind="loss sample")

    def save(self, folder: Path) -> SampleRecord:
        """Write the sample to a run's directory and return its entry for ``run.json``."""
        data = self.model_dump_json().encode() + b"\n"
        write_bytes(folder / LOSS_SAMPLE_FILE, data)
        file = FileDigest(path=LOSS_SAMPLE_FILE, digest=sha256_bytes(data), size=len(data))
        return SampleRecord(
            file=file, tokens=self.tokens, loss=round(self.loss, 6), base_loss=round(self.base_loss, 6)
        )
