"""The memory-mapped file of blocks, ``data/blocks.bin``, and its description, ``data/blocks.json``.

The file is a sequence of records of equal size. A record is a block of ``length`` tokens: their ids, as
little-endian unsigned integers of ``id_bytes`` bytes, followed by a byte of flags for each token:

- bit 0: the loss counts this token;
- bit 1: an example begins here. Unused space is filled with the end-of-text token and is an example of its
  own, so that no attention crosses its boundary.

The ``train`` blocks come first, in the order of training, then the ``held_out`` blocks for the evaluation
loss, then the ``probes``: blocks with one example each, whose counted tokens are the ones that greedy
decoding has to produce.
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
    """``data/blocks.json``: the description of ``data/blocks.bin``."""

    digest: Digest
    """Of ``blocks.bin``."""
    made_from: Digest
    """Of all inputs: the manifest, the tokenizer, the recipe's data and training keys."""
    length: Annotated[int, Field(ge=1)]
    id_bytes: Literal[2, 4]
    train: _Count
    repeated: _Count
    """Blocks at the end of ``train`` that repeat the first ones to complete the last step."""
    held_out: _Count
    probes: _Count
    examples: _Count
    """In the training blocks of all passes."""
    tokens: _Count
    """Of these examples."""
    left_out: dict[str, int]
    """Number of examples left out, by reason."""

    @classmethod
    def load(cls, path: Path) -> BlocksRecord:
        """Read the record.

        Raises:
            InputError: as :meth:`Record.read`.
        """
        return cls.read(path, newest=NEWEST_VERSION, limit=1 << 20, kind="record of the blocks")


@dataclass(frozen=True)
class Block:
    """One row of a batch; all three arrays are int64 of the sequence length.

    Attributes:
        ids: token ids; the end is filled with the end-of-text token.
        labels: the ids counted by the loss, and -100 elsewhere. The first token of each example is not
            counted, since the token before it belongs to another example.
        positions: of each token in its example. They restart at 0 with every example, which confines
            attention to the example.
        filled: number of tokens of examples; the fill follows them.
    """

    ids: NDArray[np.int64]
    labels: NDArray[np.int64]
    positions: NDArray[np.int64]
    filled: int


def join_examples(examples: Iterable[bytes], length: int, id_bytes: int, fill: int) -> bytes:
    """Return the record of a block with these examples, none of which is empty."""
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
    """A part of a block file. Blocks are read from the mapped file on access."""

    def __init__(self, path: Path, record: BlocksRecord, first: int, count: int) -> None:
        import numpy as np

        self._path, self._record, self._first, self._count = path, record, first, count
        layout = np.dtype([("ids", f"<u{record.id_bytes}", record.length), ("flags", "u1", record.length)])
        size = record.train + record.held_out + record.probes
        # An empty file cannot be mapped.
        self._map: NDArray[Any] = np.memmap(path, layout, "r", shape=(size,)) if size else np.zeros(0, layout)

    def __len__(self) -> int:
        """Return the number of blocks."""
        return self._count

    @overload
    def __getitem__(self, index: int) -> Block: ...

    @overload
    def __getitem__(self, index: slice) -> list[Block]: ...

    def __getitem__(self, index: int | slice) -> Block | list[Block]:
        """Return one block, or several."""
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(self._count))]
        if not -self._count <= index < self._count:
            raise IndexError(index)
        row = self._map[self._first + index % self._count]
        return parse_block(row["ids"], row["flags"])

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the path of the file rather than its contents, for processes that load batches."""
        return Blocks, (self._path, self._record, self._first, self._count)

    def probes(self) -> list[Probe]:
        """Return these blocks as probes."""
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
    """Return a block from its stored ids and flags."""
    import numpy as np

    ids = stored.astype(np.int64)
    places = np.arange(len(ids))
    begins = np.maximum.accumulate(np.where(flags & BEGINS, places, 0))
    last = int(begins[-1])
    # An example has at least one token that counts, the fill has none.
    filled = len(ids) if (flags[last:] & COUNTED).any() else last
    return Block(ids, np.where(flags & COUNTED, ids, IGNORED), places - begins, filled)


def encode_probe(probe: Probe, length: int, id_bytes: int, fill: int) -> bytes:
    """Return a probe as the record of a block."""
    labels = [IGNORED] * probe.start + probe.ids[probe.start :]
    return join_examples([encode_example(Example(probe.ids, labels), id_bytes)], length, id_bytes, fill)


class BlockWriter:
    """Writes records and computes their digest."""

    def __init__(self, stream: IO[bytes], path: Path) -> None:
        self._stream, self._path = stream, path
        self._hash = hashlib.sha256()
        self.count = self.repeated = 0

    def write(self, record: bytes) -> None:
        """Add a block.

        Raises:
            ServiceError: the disk is full.
        """
        with disk_errors(self._path):
            self._stream.write(record)
        self._hash.update(record)
        self.count += 1

    def repeat(self, number: int, size: int) -> None:
        """Add a copy of an earlier block of ``size`` bytes."""
        self._stream.flush()
        # Temporary files are opened for reading, too.
        self.write(os.pread(self._stream.fileno(), size, number * size))
        self.repeated += 1

    @property
    def digest(self) -> str:
        """``sha256:<hex>`` of everything written."""
        return "sha256:" + self._hash.hexdigest()


def summary(record: BlocksRecord) -> Mapping[str, Any]:
    """Return the figures of blocks to show to the user."""
    room = (record.train - record.repeated) * record.length
    return {
        "blocks": record.train,
        "examples": record.examples,
        "tokens": record.tokens,
        "fill": record.tokens / room if room else 0.0,
        "left_out": record.left_out,
    }
