"""Builds the block file of a run from samples.

Samples are read in order, converted to examples by one process per processor, spilled to a file, packed by
their lengths alone, and written block by block. The same recipe, data and seed give the same bytes on any
machine and with any number of processes. Memory holds a few dozen bytes per example, and none of the tokens.
"""

from __future__ import annotations

import collections
import heapq
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from starfreight.data_manifest import DataManifest
from starfreight.files import atomic_write, canonical_json, sha256_bytes, sha256_file, sweep_partials
from starfreight.jobs.data.blocks.block_file import (
    NEWEST_VERSION,
    BlocksRecord,
    BlockWriter,
    encode_probe,
    join_examples,
)
from starfreight.jobs.data.blocks.enough_data import require_examples, require_held_out
from starfreight.jobs.data.blocks.example_worker import ExampleTask, draw, groups, make_example_worker, seeds
from starfreight.jobs.data.blocks.examples_file import ExamplesFile
from starfreight.jobs.data.blocks.packing import best_fit, scramble
from starfreight.jobs.data.encoder import Encoder
from starfreight.jobs.data.formats import Probe
from starfreight.jobs.data.manifest.samples import Split, verified_samples
from starfreight.jobs.data.sources import open_source
from starfreight.jobs.data.worker_pool import ordered_map
from starfreight.recipe import Recipe

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_METHOD = 1
"""Incremented when the same inputs give different blocks, so that no run continues with a mixture."""
_TOKEN_BYTES = 4
"""Bytes of text per token, a slight overestimate, to estimate the part of the data needed."""


@dataclass(frozen=True)
class Corpus:
    """The inputs of a block file.

    Attributes:
        recipe: of the run.
        manifest: lists the samples used, with their splits.
        paths: the local path of each source.
        base: the directory of the base model, for its tokenizer.
        processes: number of worker processes; by default one per processor.
        check: called regularly; may raise to stop.
        progress: called with the bytes of text read since the last call, and those of a whole pass.
        has_begun: True if the run had its blocks before: little data are no reason to stop it now.
    """

    recipe: Recipe
    manifest: DataManifest
    paths: Sequence[Path]
    base: Path
    processes: int | None = None
    check: Callable[[], None] = lambda: None
    progress: Callable[[int, int], None] = lambda size, whole: None
    has_begun: bool = False

    @property
    def digest(self) -> str:
        """``sha256:<hex>`` of all inputs of the blocks."""
        training = self.recipe.training
        keys = (
            "sequence_length", "batch_size", "gradient_accumulation", "steps", "epochs", "seed",
            "evaluation_blocks", "evaluation_completions",
        )  # fmt: skip
        return sha256_bytes(
            canonical_json(
                [
                    _METHOD,
                    self.manifest.digest,
                    sha256_file(self.base / "tokenizer.json"),
                    self.recipe.model_dump(mode="json", include={"data"}),
                    {key: getattr(training, key) for key in keys},
                ]
            )
        )


def build(corpus: Corpus, path: Path) -> BlocksRecord:
    """Write a block file.

    Raises:
        InputError: a file has changed, a record does not follow its format, there is no example, or too
            little data for a block.
        ServiceError: the disk is full.
    """
    sweep_partials(path.parent)
    return _Builder(corpus, path).run()


class _Builder:
    """One block file in construction."""

    def __init__(self, corpus: Corpus, path: Path) -> None:
        encoder = Encoder(corpus.base)
        self._corpus, self._path = corpus, path
        self._training = corpus.recipe.training
        self._length = self._training.sequence_length
        self._fill = encoder.fim.end_of_text
        self._id_bytes = 2 if encoder.size <= 1 << 16 else 4
        self._left_out: collections.Counter[str] = collections.Counter()
        self._examples = self._tokens = 0

    def run(self) -> BlocksRecord:
        with atomic_write(self._path) as stream:
            writer = BlockWriter(stream, self._path)
            if self._training.steps is not None:
                self._steps(writer, self._training.steps)
            else:
                self._epochs(writer, self._training.epochs or 1.0)
            train, examples, tokens = writer.count, self._examples, self._tokens
            lines: list[tuple[int, Probe]] = []
            with self._spill() as spill:
                wanted = self._training.evaluation_blocks
                self._gather(spill, "held_out", 0, wanted, lines)
                packed = _pack(spill, self._length, draw(f"held out {self._training.seed}"))
                self._write(writer, spill, packed, min(wanted, packed.count))
            held_out = writer.count - train
            if self._size("held_out"):
                require_held_out(held_out, self._length, allow_little=self._allow_little)
            for _, probe in lines:
                writer.write(encode_probe(probe, self._length, self._id_bytes, self._fill))
            return BlocksRecord(
                version=NEWEST_VERSION, digest=writer.digest, made_from=self._corpus.digest,
                length=self._length, id_bytes=2 if self._id_bytes == 2 else 4, train=train,
                held_out=held_out, repeated=writer.repeated, probes=len(lines),
                examples=examples, tokens=tokens,
                left_out=dict(sorted(self._left_out.items())),
            )  # fmt: skip

    def _steps(self, writer: BlockWriter, steps: int) -> None:
        needed = steps * self._training.batch_size * self._training.gradient_accumulation
        number = 0
        while writer.count < needed:
            missing = needed - writer.count
            with self._spill() as spill:
                self._gather(spill, "train", number, missing, [])
                self._require_examples(spill, number)
                packed = _pack(spill, self._length, self._order(number))
                self._write(writer, spill, packed, min(missing, packed.count))
            number += 1

    def _epochs(self, writer: BlockWriter, epochs: float) -> None:
        in_step = self._training.batch_size * self._training.gradient_accumulation
        passes = math.ceil(epochs)
        for number in range(passes):
            with self._spill() as spill:
                self._gather(spill, "train", number, None, [])
                self._require_examples(spill, number)
                packed = _pack(spill, self._length, self._order(number))
                wanted = math.ceil(min(1.0, epochs - number) * packed.count)
                if number + 1 == passes:  # Complete the last step with the rest of the pass.
                    wanted = min(_up_to(writer.count + wanted, in_step) - writer.count, packed.count)
                self._write(writer, spill, packed, wanted)
        record = self._length * (self._id_bytes + 1)
        for number in range(_up_to(writer.count, in_step) - writer.count):
            writer.repeat(number, record)  # After the end of the pass, with the first blocks.

    def _gather(
        self,
        spill: ExamplesFile,
        side: Split,
        number: int,
        needed: int | None,
        lines: list[tuple[int, Probe]],
    ) -> None:
        """Fill a file with the examples of a pass: all of them, or those of as many texts as needed.

        The texts are drawn by their names, so that they come from all of the data.
        """
        done, until = 0.0, 1.0
        if not self._size(side):
            return
        if needed is not None:
            until = min(1.0, _TOKEN_BYTES * needed * self._length / self._size(side))
        wanted = self._training.evaluation_completions if side == "held_out" else 0
        while True:
            for made in ordered_map(
                make_example_worker,
                (self._corpus.recipe.data, str(self._corpus.base), self._length, self._id_bytes),
                self._tasks(side, number, (done, until)),
                cost=lambda task: task.size,
                processes=self._corpus.processes,
            ):
                self._corpus.check()
                self._corpus.progress(made.size, round(until * self._size(side)))
                spill.append(made.examples, made.lengths)
                self._left_out.update(made.left_out)
                lines += made.probes
                if len(lines) > 2 * wanted:
                    lines[:] = heapq.nsmallest(wanted, lines, key=lambda line: line[0])
            lines[:] = heapq.nsmallest(wanted, lines, key=lambda line: line[0])
            enough = needed is not None and spill.tokens >= needed * self._length
            if until >= 1 or (enough and (len(lines) >= wanted or not lines)):
                return
            assert needed is not None
            more = 1.1 * until * needed * self._length / max(1, spill.tokens)
            done, until = until, min(1.0, max(more, 2 * until) if not enough else 4 * until)

    def _tasks(self, side: Split, number: int, part: tuple[float, float]) -> Iterator[ExampleTask]:
        corpus, seed = self._corpus, self._training.seed
        for source, (data, path) in enumerate(zip(corpus.recipe.data, corpus.paths, strict=True)):
            of_side = (
                sample
                for sample, split in verified_samples(open_source(data, path), corpus.manifest, source)
                if split == side
            )
            # Held-out texts are cut once, so that every run is evaluated on the same examples.
            weight = data.weight if side == "train" else 1.0
            for samples in groups(of_side, whole_repositories=data.format == "repository"):
                key = f"{side} {seed} {number} {source} {samples[0].name}"
                found = seeds(key, weight, part)
                if found:
                    yield ExampleTask(source, samples, found, side == "held_out")

    def _write(self, writer: BlockWriter, spill: ExamplesFile, packed: _Packed, limit: int) -> None:
        """Write the first blocks of a pass."""
        start = 0
        for end in packed.ends[:limit].tolist():
            self._corpus.check()
            lengths = packed.lengths[start:end].tolist()
            examples = map(spill.read, packed.offsets[start:end].tolist(), lengths)
            writer.write(join_examples(examples, self._length, self._id_bytes, self._fill))
            self._examples += len(lengths)
            self._tokens += sum(lengths)
            start = end

    def _require_examples(self, spill: ExamplesFile, number: int) -> None:
        """Check a pass: each needs an example, and the first one a block of them."""
        require_examples(spill.tokens, self._length, allow_little=self._allow_little or number > 0)

    @property
    def _allow_little(self) -> bool:
        # A run that has begun was checked at its start, perhaps by an earlier version.
        return self._corpus.recipe.run.allow_little_data or self._corpus.has_begun

    def _size(self, side: Split) -> float:
        """Return the bytes of text in one pass."""
        sources = self._corpus.manifest.sources
        if side == "held_out":
            return sum(source.held_out.bytes for source in sources)
        return sum(source.train.bytes * source.weight for source in sources)

    def _spill(self) -> ExamplesFile:
        return ExamplesFile(self._path.parent, self._id_bytes)

    def _order(self, number: int) -> int:
        return draw(f"order {self._training.seed} {number}")


@dataclass(frozen=True)
class _Packed:
    """Examples in the order of training.

    Attributes:
        offsets: tokens before each in the examples file.
        lengths: tokens of each.
        ends: number of examples up to the end of each block.
        count: number of blocks.
    """

    offsets: NDArray[np.int64]
    lengths: NDArray[np.uint32]
    ends: NDArray[np.int64]
    count: int


def _pack(spill: ExamplesFile, length: int, seed: int) -> _Packed:
    """Pack examples into blocks; shuffle the blocks, and the examples in each, by the seed."""
    import numpy as np

    lengths = spill.finish()
    block_of, count = best_fit(lengths, length, seed)
    place = np.empty(count, dtype=np.int64)
    place[np.argsort(scramble(count, seed ^ 1), kind="stable")] = np.arange(count)
    place_of = place[block_of]
    order = np.lexsort((scramble(len(lengths), seed ^ 2), place_of))
    offsets = np.cumsum(lengths, dtype=np.int64) - lengths
    return _Packed(offsets[order], lengths[order], np.cumsum(np.bincount(place_of, minlength=count)), count)


def _up_to(count: int, step: int) -> int:
    return -(-count // step) * step
