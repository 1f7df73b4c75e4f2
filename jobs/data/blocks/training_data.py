"""The data that training reads: training blocks, held-out blocks, and probes.

All of it is in one file in the directory of the run (:mod:`starfreight.jobs.data.blocks.block_file`), which
is made once and memory-mapped, so that training holds no data in memory.
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
    """The data of one run.

    Attributes:
        blocks: in the order of training; a whole number of steps.
        held_out: blocks for the evaluation loss.
        probes: held-out lines to complete.
        record: their inputs and their digest.
    """

    blocks: Blocks
    held_out: Blocks
    probes: tuple[Probe, ...]
    record: BlocksRecord


def make_blocks(corpus: Corpus, folder: Path, expected: str | None = None) -> TrainingData:
    """Make the blocks of the run in ``folder``, or reuse them if they were made before.

    Args:
        corpus: the inputs.
        folder: the directory of the run.
        expected: the digest of the blocks at the start of the run.

    Raises:
        InputError: a file has changed, a record does not follow its format, there is no example, or the
            blocks differ from the expected ones.
        ServiceError: the disk is full.
    """
    path = folder / BLOCKS_FILE
    described = path.with_suffix(".json")
    record = _existing(path, described, corpus.digest)
    if record is None:
        record = build(corpus, path)
        record.write(described)
    if expected is not None and record.digest != expected:
        raise InputError(
            "The blocks made from the data differ from those that the run began with: "
            "a library that cuts or encodes texts has changed.",
            where=str(path),
            fix="install the versions in run.json, or start a new run",
        )
    first = record.train + record.held_out
    return TrainingData(
        Blocks(path, record, 0, record.train),
        Blocks(path, record, record.train, record.held_out),
        tuple(Blocks(path, record, first, record.probes).probes()),
        record,
    )


def _existing(path: Path, described: Path, made_from: str) -> BlocksRecord | None:
    if not (path.is_file() and described.is_file()):
        return None
    record = BlocksRecord.load(described)
    return record if record.made_from == made_from and sha256_file(path) == record.digest else None
