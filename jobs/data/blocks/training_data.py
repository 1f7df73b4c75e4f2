"""From a manifest to what training reads: blocks to learn from, and blocks and lines to measure with.

Everything lies in one file in the run's folder (:mod:`starfreight.jobs.data.blocks.block_file`), which is
made once and read from there, so that training holds nothing of the data in memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from starfreight.errors import InputError
from starfreight.files import sha256_file
from starfreight.jobs.data.blocks.block_file import Blocks, BlocksRecord
from starfreight.jobs.data.blocks.builder import Corpus, build
from starfreight.jobs.data.formats import Probe
from starfreight.run import BLOCKS_FILE

__all__ = ["Corpus", "TrainingData", "make_blocks"]


@dataclass(frozen=True)
class TrainingData:
    """Everything that one run reads.

    Attributes:
        blocks: in the order in which they are learned; a whole number of steps.
        held_out: blocks to measure the loss with.
        probes: held-out lines to complete.
        record: what they were made from, and their digest.
    """

    blocks: Blocks
    held_out: Blocks
    probes: tuple[Probe, ...]
    record: BlocksRecord


def make_blocks(corpus: Corpus, folder: Path, expected: str | None = None) -> TrainingData:
    """Makes the blocks of the run in ``folder``, or finds them made.

    Args:
        corpus: what they are made from.
        folder: of the run.
        expected: the digest of the blocks that the run began with.

    Raises:
        InputError: a file has changed, a record is not of its format, nothing is left to learn from, or
            the blocks are not the expected ones.
        ServiceError: the disk is full.
    """
    path = folder / BLOCKS_FILE
    described = path.with_suffix(".json")
    record = _found(path, described, corpus.digest)
    if record is None:
        record = build(corpus, path)
        record.write(described)
    if expected is not None and record.digest != expected:
        raise InputError(
            "The blocks made from the data are not those that the run began with: "
            "a library that cuts or encodes texts has changed.",
            where=str(path),
            fix="install the versions that run.json names, or start a new run",
        )
    first = record.train + record.held_out
    return TrainingData(
        Blocks(path, record, 0, record.train),
        Blocks(path, record, record.train, record.held_out),
        tuple(Blocks(path, record, first, record.probes).probes()),
        record,
    )


def _found(path: Path, described: Path, made_from: str) -> BlocksRecord | None:
    if not (path.is_file() and described.is_file()):
        return None
    record = BlocksRecord.load(described)
    return record if record.made_from == made_from and sha256_file(path) == record.digest else None
