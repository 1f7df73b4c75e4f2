"""The work of a press run in chunks, each a range of rows of one tensor, processed by threads in parallel."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from math import gcd

import numpy as np
from gguf import GGMLQuantizationType

from starfreight.checkpoint import Checkpoint, StoredTensor, TensorReader
from starfreight.errors import InputError
from starfreight.packager.press.adapter import Adapter
from starfreight.packager.press.architectures import Role, TensorPlan
from starfreight.packager.press.kernels import Accelerator, Floats, encode, round_to, to_float32
from starfreight.packager.press.merge import LowRank, add_update
from starfreight.packager.press.nf4 import BLOCK, Nf4Scales, block_maxima, round_trip

CHUNK_ELEMENTS = 1 << 18
"""Elements per chunk: 1 MB of float32."""

ACCELERATED_ELEMENTS = 1 << 22
"""Elements per chunk with a GPU: launching the 800 to 2,900 operations of a chunk takes time."""

_AHEAD = 2
"""Chunks in flight beyond one per thread."""

_ACCELERATED_AHEAD = 8
"""Chunks in flight with a GPU, which finishes several while a core works on the next one in file order."""

_TILE = 1 << 15
"""Elements converted at a time: intermediate results stay in a core's cache."""

_LINEAR = (Role.VALUE, Role.ATTENTION_OUTPUT, Role.DOWN, Role.MATRIX)
"""Roles of the linear layers transformers holds in 4 bits: all but the output layer, adapted or not."""

_NOT_FINITE = "holds a number that is not finite"

Encoded = tuple[memoryview, ...]
Kinds = Mapping[str, tuple[GGMLQuantizationType, ...]]


@dataclass(frozen=True)
class Sources:
    """The sources of the weights.

    Attributes:
        checkpoint: the base model.
        adapter: the adapter to merge, if any.
        reader: reads both.
        load_dtype: the dtype in which training loaded the base before quantising it to NF4, to merge the
            adapter into the round trip through NF4; ``None`` to merge it into the original weights.
        weights: of an importance matrix: relative cost of an error in each column, by a tensor's name in the
            file.
        accelerator: a GPU to quantise on, as far as it can.
    """

    checkpoint: Checkpoint
    adapter: Adapter | None
    reader: TensorReader
    load_dtype: str | None = None
    weights: Mapping[str, Floats] = field(default_factory=dict)
    accelerator: Accelerator | None = None

    def stored(self, plan: TensorPlan) -> StoredTensor:
        """The tensor to start from: the base's, or the adapter's replacement for it."""
        original = self.checkpoint.tensors[plan.source]
        return self.adapter.replaced.get(plan.source, original) if self.adapter else original

    def in_four_bits(self, plan: TensorPlan) -> bool:
        """True if this weight goes through NF4 first."""
        replaced = self.adapter is not None and plan.source in self.adapter.replaced
        return self.load_dtype is not None and plan.role in _LINEAR and not replaced


@dataclass(frozen=True)
class Chunk:
    """A range of rows of one tensor, and the operations on them.

    Attributes:
        plan: the tensor.
        source: location of its numbers.
        dtype: the base's dtype of it; the result of a merge is rounded to it once.
        update: the adapter's update, if any.
        scales: the tensor's NF4 scales, for a round trip through NF4.
        start: the first row.
        stop: the row after the last.
    """

    plan: TensorPlan
    source: StoredTensor
    dtype: str
    update: LowRank | None
    scales: Nf4Scales | None
    start: int
    stop: int

    @property
    def last(self) -> bool:
        """True for the last chunk of its tensor."""
        return self.stop == self.plan.rows

    @property
    def bytes_read(self) -> int:
        """Its share of the checkpoint, in bytes."""
        return self.source.size * (self.stop - self.start) // self.plan.rows


def encoded_chunks(
    sources: Sources, plans: Sequence[TensorPlan], kinds: Kinds, threads: int
) -> Iterator[tuple[Chunk, Encoded]]:
    """Every chunk in file order with its bytes for each file; threads work a few chunks ahead.

    Args:
        sources: the sources of the weights.
        plans: the tensors in file order.
        kinds: the types to encode each tensor in, by its name in the file.
        threads: number of threads.

    Raises:
        InputError: a weight is not finite, or exceeds the range of a type.
    """
    waiting: deque[tuple[Chunk, Future[Encoded]]] = deque()
    most = threads + (_AHEAD if sources.accelerator is None else _ACCELERATED_AHEAD)
    pool = ThreadPoolExecutor(threads, thread_name_prefix="press")
    try:
        for chunk in _chunks(sources, plans, pool):
            waiting.append((chunk, pool.submit(_work, chunk, kinds[chunk.plan.name], sources)))
            if len(waiting) > most:
                done, future = waiting.popleft()
                yield done, future.result()
        while waiting:
            done, future = waiting.popleft()
            yield done, future.result()
    except BaseException:
        # Threads that wait for a server end now, not after its answer.
        if sources.checkpoint.streamed is not None:
            sources.checkpoint.streamed.stop()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def expect_in_order(sources: Sources, plans: Sequence[TensorPlan]) -> None:
    """Tell a streamed base in which order its weights are read: twice those that go through NF4."""
    streamed = sources.checkpoint.streamed
    if streamed is None:
        return
    order = []
    for plan in plans:
        stored = sources.stored(plan)
        if stored.streamed is streamed:
            tensor = (stored.file.name, stored.offset, stored.size)
            order += [tensor] * (2 if sources.in_four_bits(plan) else 1)
    streamed.expect(order)


def _chunks(sources: Sources, plans: Sequence[TensorPlan], pool: ThreadPoolExecutor) -> Iterator[Chunk]:
    """All chunks in file order. The chunk size does not affect the bytes written."""
    elements = CHUNK_ELEMENTS if sources.accelerator is None else ACCELERATED_ELEMENTS
    for plan in plans:
        source = sources.stored(plan)
        dtype = sources.checkpoint.tensors[plan.source].dtype
        update = sources.adapter.update(plan.source, sources.reader) if sources.adapter else None
        if source.streamed is None:
            sources.reader.open(source.file)
        # NF4 blocks run through the flattened tensor, so chunks must end at a block boundary.
        whole = BLOCK // gcd(BLOCK, plan.columns)
        step = max(elements // plan.columns // whole, 1) * whole
        ranges = [(start, min(start + step, plan.rows)) for start in range(0, plan.rows, step)]
        scales = None
        if sources.in_four_bits(plan):
            # Queued before the chunks that wait for them, so a thread is always free for them.
            scales = Nf4Scales([pool.submit(_maxima, source, part, sources) for part in ranges])
        for start, stop in ranges:
            yield Chunk(plan, source, dtype, update, scales, start, stop)


def _read(source: StoredTensor, start: int, stop: int, sources: Sources) -> Floats:
    """A range of rows of a tensor as float32."""
    stored = sources.reader.rows(source, start, stop)
    values = np.empty(stored.shape, dtype=np.float32)
    before, after = stored.reshape(-1), values.reshape(-1)
    for first in range(0, len(after), _TILE):
        after[first : first + _TILE] = to_float32(before[first : first + _TILE])
    return values


def _round(values: Floats, dtype: str) -> None:
    """Round contiguous numbers to a dtype, in place."""
    if dtype == "F32":
        return
    flat = values.reshape(-1)
    for first in range(0, len(flat), _TILE):
        flat[first : first + _TILE] = round_to(flat[first : first + _TILE], dtype)


def _maxima(source: StoredTensor, part: tuple[int, int], sources: Sources) -> Floats:
    values = _read(source, *part, sources)
    _check_finite(values, source, _NOT_FINITE)
    _round(values, sources.load_dtype or "F32")
    return block_maxima(values.reshape(-1))


def _work(chunk: Chunk, kinds: tuple[GGMLQuantizationType, ...], sources: Sources) -> Encoded:
    """One chunk's bytes for each file."""
    values = _read(chunk.source, chunk.start, chunk.stop, sources)
    _check_finite(values, chunk.source, _NOT_FINITE)
    if chunk.scales is not None and sources.load_dtype is not None:
        first = chunk.start * chunk.plan.columns // BLOCK
        _round(values, sources.load_dtype)
        values = round_trip(values.reshape(-1), chunk.scales, first).reshape(values.shape)
        _round(values, sources.load_dtype)
    if chunk.update is not None:
        add_update(values, chunk.update, chunk.start)
    if chunk.update is not None or chunk.scales is not None or chunk.source.dtype != chunk.dtype:
        _round(values, chunk.dtype)
        _check_finite(values, chunk.source, f"goes beyond the range of {chunk.dtype} when merged")
    weights = sources.weights.get(chunk.plan.name)
    encoded = {kind: encode(values, kind, weights, sources.accelerator) for kind in dict.fromkeys(kinds)}
    return tuple(_checked(encoded[kind], kind, chunk) for kind in kinds)


def _checked(data: memoryview | None, kind: GGMLQuantizationType, chunk: Chunk) -> memoryview:
    if data is None:
        raise InputError(
            f"The tensor holds numbers too large for {kind.name}.",
            where=chunk.source.where,
            fix="choose BF16 or F32, or check the weights",
        )
    return data


def _check_finite(values: Floats, source: StoredTensor, what: str) -> None:
    if not bool(np.isfinite(values).all()):
        raise InputError(
            f"The tensor {what}.",
            where=source.where,
            fix="check the weights: the training that made them may have diverged",
        )
