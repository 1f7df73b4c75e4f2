"""Blocks on disk, read without being loaded: ``data/blocks.bin``, and ``data/blocks.json`` beside it.

The file is one record after another and nothing else. A record is a block of ``length`` tokens: their
ids, little-endian unsigned integers of ``id_bytes`` bytes, and then a byte of flags for each:

- bit 0: the loss counts this token;
- bit 1: an example begins here. What stays empty is filled with the end-of-text token and counts as an
  example of its own, so that nothing looks at it or from it.

First come ``train`` blocks in the order in which they are learned, then ``held_out`` blocks to measure
the loss with, then ``probes``: a block with one example each, in which the tokens that count are those
that greedy decoding must give.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any, Literal, overload

from pydantic import Field

from starfreight.files import disk_errors
from starfreight.jobs.data.blocks.examples_file import BEGINS, COUNTED, encode_example
from starfreight.jobs.data.formats.interface import IGNORED, Example, Probe
from starfreight.records import Digest, Record

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

NEWEST_VERSION = 1
_Count = Annotated[int, Field(ge=0)]


class BlocksRecord(Record):
    """``data/blocks.json``: what ``data/blocks.bin`` holds."""

    digest: Digest
    """Of ``blocks.bin``."""
    made_from: Digest
    """Of everything that decides it: the manifest, the tokenizer, the recipe's data and training keys."""
    length: Annotated[int, Field(ge=1)]
    id_bytes: Literal[2, 4]
    train: _Count
    repeated: _Count
    """The last so many of ``train`` are the first ones again and fill up the last step."""
    held_out: _Count
    probes: _Count
    examples: _Count
    """In the blocks to learn from, all passes together."""
    tokens: _Count
    """Of these examples."""
    left_out: dict[str, int]
    """What did not fit, by reason, in all that was read."""

    @classmethod
    def load(cls, path: Path) -> BlocksRecord:
        """Reads the record.

        Raises:
            InputError: as :meth:`Record.read`.
        """
        return cls.read(path, newest=NEWEST_VERSION, limit=1 << 20, kind="record of the blocks")


@dataclass(frozen=True)
class Block:
    """One row of a batch; all three arrays are int64 of the sequence length.

    Attributes:
        ids: token ids; the end is filled with the end-of-text token.
        labels: what the loss counts. The first token of each example is not counted, since what
            stands before it belongs to another one.
        positions: where each token stands in its own example. They begin at 0 again with every
            example, and attention is kept inside the runs that this makes.
        filled: how many of them are tokens of examples; the fill comes after those.
    """

    ids: NDArray[np.int64]
    labels: NDArray[np.int64]
    positions: NDArray[np.int64]
    filled: int


def join_examples(examples: Iterable[bytes], length: int, id_bytes: int, fill: int) -> bytes:
    """The record of a block that holds these examples, none empty."""
    ids, flags = [], []
    for example in examples:
        tokens = len(example) // (id_bytes + 1)
        ids.append(example[: tokens * id_bytes])
        flags.append(example[tokens * id_bytes :])
    joined, marks = b"".join(ids), b"".join(flags)
    empty = length - len(marks)
    if empty:
        joined += fill.to_bytes(id_bytes, "little") * empty
        marks += bytes([BEGINS]) + bytes(empty - 1)
    return joined + marks


class Blocks(Sequence[Block]):
    """A part of a block file. It holds the place of the file, and reads a block when it is asked for it."""

    def __init__(self, path: Path, record: BlocksRecord, first: int, count: int) -> None:
        import numpy as np

        self._path, self._record, self._first, self._count = path, record, first, count
        layout = np.dtype([("ids", f"<u{record.id_bytes}", record.length), ("flags", "u1", record.length)])
        size = record.train + record.held_out + record.probes
        # An empty file cannot be mapped.
        self._map: NDArray[Any] = np.memmap(path, layout, "r", shape=(size,)) if size else np.zeros(0, layout)

    def __len__(self) -> int:
        """How many blocks."""
        return self._count

    @overload
    def __getitem__(self, index: int) -> Block: ...

    @overload
    def __getitem__(self, index: slice) -> list[Block]: ...

    def __getitem__(self, index: int | slice) -> Block | list[Block]:
        """One block, or several."""
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(self._count))]
        if not -self._count <= index < self._count:
            raise IndexError(index)
        row = self._map[self._first + index % self._count]
        return parse_block(row["ids"], row["flags"])

    def __reduce__(self) -> tuple[Any, ...]:
        """The place of the file, for a process that reads batches ahead."""
        return Blocks, (self._path, self._record, self._first, self._count)

    def probes(self) -> list[Probe]:
        """These blocks as lines to complete."""
        import numpy as np

        found = []
        for number in range(self._count):
            row = self._map[self._first + number]
            begins = np.flatnonzero(row["flags"] & BEGINS)
            end = int(begins[1]) if len(begins) > 1 else self._record.length
            start = int(np.flatnonzero(row["flags"] & COUNTED)[0])
            found.append(Probe(row["ids"][:end].tolist(), start))
        return found


def parse_block(stored: NDArray[Any], flags: NDArray[np.uint8]) -> Block:
    """A block from its ids and flags as they are stored."""
    import numpy as np

    ids = stored.astype(np.int64)
    places = np.arange(len(ids))
    begins = np.maximum.accumulate(np.where(flags & BEGINS, places, 0))
    last = int(begins[-1])
    # Of an example some token counts, of the fill none.
    filled = len(ids) if (flags[last:] & COUNTED).any() else last
    return Block(ids, np.where(flags & COUNTED, ids, IGNORED), places - begins, filled)


def encode_probe(probe: Probe, length: int, id_bytes: int, fill: int) -> bytes:
    """A line to complete as the record of a block."""
    labels = [IGNORED] * probe.start + probe.ids[probe.start :]
    return join_examples([encode_example(Example(probe.ids, labels), id_bytes)], length, id_bytes, fill)


class BlockWriter:
    """Writes records and keeps their digest."""

    def __init__(self, stream: IO[bytes], path: Path) -> None:
        self._stream, self._path = stream, path
        self._hash = hashlib.sha256()
        self.count = self.repeated = 0

    def write(self, record: bytes) -> None:
        """Adds a block.

        Raises:
            ServiceError: the disk is full.
        """
        with disk_errors(self._path):
            self._stream.write(record)
        self._hash.update(record)
        self.count += 1

    def repeat(self, number: int, size: int) -> None:
        """Adds a block of ``size`` bytes again that was written before."""
        self._stream.flush()
        # The file was opened for reading, too, as every temporary file is.
        self.write(os.pread(self._stream.fileno(), size, number * size))
        self.repeated += 1

    @property
    def digest(self) -> str:
        """``sha256:<hex>`` of all that was written."""
        return "sha256:" + self._hash.hexdigest()


def summary(record: BlocksRecord) -> Mapping[str, Any]:
    """What a person wants to know of blocks."""
    room = (record.train - record.repeated) * record.length
    return {
        "blocks": record.train,
        "examples": record.examples,
        "tokens": record.tokens,
        "fill": record.tokens / room if room else 0.0,
        "left_out": record.left_out,
    }
