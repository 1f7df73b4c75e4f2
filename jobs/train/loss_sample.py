"""The loss sample of a finished training: documents, and the loss of each counted token.

``package build`` measures the same tokens through llama.cpp and compares. The documents are the first ones of
the held-out blocks, and of the training blocks if those are too few: the same for any machine and any number
of processes. The model sees them as in training, in packed blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

from starfreight.checkpoint import ModelShape
from starfreight.errors import JobFailed
from starfreight.jobs.data.blocks.block_file import Block
from starfreight.jobs.data.formats import IGNORED
from starfreight.jobs.train.held_out import token_losses
from starfreight.loss_sample import NEWEST_VERSION, LossSample, SampleDocument

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class SampleSize:
    """Bounds of a sample. A document counts its last tokens only, so that long ones cost little.

    Attributes:
        counted: counted tokens in total; the last document may exceed it.
        each: counted tokens of one document.
        tokens: tokens of all documents, counted or not; the last document may exceed it.
        longest: tokens of one document. The rest is cut off.
    """

    counted: int
    each: int
    tokens: int
    longest: int


_LARGE_MODEL = 1_000_000_000
_OF_SMALL_MODELS = SampleSize(counted=4096, each=128, tokens=16384, longest=2048)
_OF_LARGE_MODELS = SampleSize(counted=512, each=32, tokens=2048, longest=1024)
_LLAMA_CPP_CONTEXT = 4096


def sample_size(shape: ModelShape) -> SampleSize:
    """The size of the sample for a model: smaller for large models, which run slowly on a CPU.

    No document is longer than the sliding window, which llama.cpp ignores.
    """
    size = _OF_LARGE_MODELS if shape.parameters >= _LARGE_MODEL else _OF_SMALL_MODELS
    window = shape.sliding_window or shape.context_length
    longest = min(size.longest, window, shape.context_length, _LLAMA_CPP_CONTEXT)
    return SampleSize(size.counted, size.each, size.tokens, longest)


@dataclass(frozen=True)
class _Place:
    """A document in a block.

    Attributes:
        start: its first token.
        end: its end, or where it is cut off.
        counted: positions in the block of the counted tokens.
    """

    start: int
    end: int
    counted: NDArray[np.int64]


ChosenBlock = tuple[Block, list[_Place]]
"""A block, with the documents chosen from it."""


def choose_sample(
    held_out: Iterable[Block], training: Iterable[Block], size: SampleSize
) -> list[ChosenBlock]:
    """The documents of a sample; none if no token counts.

    Args:
        held_out: the held-out blocks.
        training: the training blocks, used if the held-out blocks have too few tokens.
        size: bounds of the sample.
    """
    return list(_choose(chain(held_out, training), size))


def measure_sample(
    model: Any,
    chosen: Sequence[ChosenBlock],
    check: Callable[[], None],
    advance: Callable[[int], None] = lambda blocks: None,
) -> LossSample:
    """Measure a sample with and without the adapter, with dropout off.

    Args:
        model: a PEFT model with its final adapter.
        chosen: at least one block.
        check: called between batches; may raise to stop.
        advance: called with the number of blocks done, each of which is measured twice.

    Raises:
        JobFailed: a loss is not finite.
    """
    blocks = [block for block, _ in chosen]

    def losses() -> Iterator[NDArray[np.float32]]:
        for each in token_losses(model, blocks, check):
            yield each
            advance(1)

    tuned = list(losses())
    with model.disable_adapter():
        base = list(losses())
    documents = tuple(
        SampleDocument(
            ids=tuple(block.ids[place.start : place.end].tolist()),
            counted=tuple((place.counted - place.start).tolist()),
            losses=_rounded(with_adapter[place.counted]),
            base_losses=_rounded(without[place.counted]),
        )
        for (block, places), with_adapter, without in zip(chosen, tuned, base, strict=True)
        for place in places
    )
    return LossSample(version=NEWEST_VERSION, documents=documents)


def _choose(blocks: Iterable[Block], size: SampleSize) -> Iterator[ChosenBlock]:
    """The first blocks, each with the documents chosen from it, until there are enough tokens."""
    counted = tokens = 0
    for block in blocks:
        places = []
        for place in _documents(block, size):
            places.append(place)
            counted += len(place.counted)
            tokens += place.end - place.start
            if counted >= size.counted or tokens >= size.tokens:
                yield block, places
                return
        if places:
            yield block, places


def _documents(block: Block, size: SampleSize) -> Iterator[_Place]:
    import numpy as np

    starts = np.flatnonzero(block.positions == 0).tolist()
    for start, end in zip(starts, [*starts[1:], len(block.ids)], strict=True):
        end = min(end, start + size.longest)
        counted = start + np.flatnonzero(block.labels[start:end] != IGNORED)
        counted = counted[counted > start][-size.each :]
        if len(counted):
            # Tokens after the last counted one change nothing.
            yield _Place(start, int(counted[-1]) + 1, counted)


def _rounded(losses: NDArray[np.float32]) -> tuple[float, ...]:
    import numpy as np

    if not np.isfinite(losses).all():
        raise JobFailed(
            "The loss of the tuned model or of the base model is not finite.",
            fix="check the base model's weights, or lower training.learning_rate",
        )
    return tuple(round(float(loss), 4) for loss in losses)
