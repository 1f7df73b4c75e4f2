"""The pass itself: each weight is read once, and every file comes out finished and hashed."""

from __future__ import annotations

import contextlib
import os
import re
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType

from packager.press.adapter import Adapter, open_adapter
from packager.press.architectures import TensorPlan, architecture_plan
from packager.press.kernels import Floats, encode, prepare, round_to, to_float32
from packager.press.merge import LowRank, add_update
from packager.press.metadata import ModelIdentity, header_bytes
from packager.press.mix import FILE_TYPES, tensor_type
from packager.press.writer import GgufStream
from starfreight.checkpoint import (
    Checkpoint,
    StoredTensor,
    TensorReader,
    Tokenizer,
    check_tokenizer,
    open_checkpoint,
)
from starfreight.console import Console
from starfreight.errors import InputError, RecipeError
from starfreight.files import atomic_write, disk_errors
from starfreight.quantization import Quantization

CHUNK_ELEMENTS = 1 << 19
"""Numbers that one thread works on at a time: 2 MB of float32."""

_SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True)
class PressRequest:
    """What to press.

    Attributes:
        base: the base model's folder, in Hugging Face layout.
        adapter: a LoRA adapter's folder, merged in where given.
        quantizations: which files to make.
        out: the folder they go to.
        name: what their names start with: ``<name>-Q4_K_M.gguf``.
        identity: what the files say of themselves; ``None`` for the name alone.
        threads: how many to use; ``None`` for one for each core.
    """

    base: Path
    adapter: Path | None
    quantizations: tuple[Quantization | str, ...]
    out: Path
    name: str
    identity: ModelIdentity | None = None
    threads: int | None = None


@dataclass(frozen=True)
class PressedFile:
    """One finished file.

    Attributes:
        quantization: how its weights are stored.
        path: where it lies.
        digest: ``sha256:<hex>`` of its bytes.
        size: in bytes.
        parameters: how many weights it holds.
        file_type: llama.cpp's number of the quantization.
    """

    quantization: Quantization
    path: Path
    digest: str
    size: int
    parameters: int
    file_type: int


@dataclass(frozen=True)
class _Chunk:
    """Some rows of one tensor, and what to do with them."""

    plan: TensorPlan
    source: StoredTensor
    dtype: str
    update: LowRank | None
    start: int
    stop: int
    last: bool


def press(request: PressRequest, console: Console) -> tuple[PressedFile, ...]:
    """Merges, converts and quantises a model in one pass over its weights.

    The files appear under their names only when all of them are whole. Memory is bounded by
    :data:`CHUNK_ELEMENTS` and the number of threads, not by the model. The caller keeps other processes
    out of ``request.out``.

    Raises:
        InputError: the base, the adapter or the two together cannot be used; a weight is not finite.
        RecipeError: the quantizations or the name cannot be used.
        ServiceError: the disk is full.
    """
    quantizations = _checked(request)
    checkpoint = open_checkpoint(request.base)
    tokenizer = check_tokenizer(checkpoint.folder, checkpoint.architecture)
    if len(tokenizer.tokens) > checkpoint.shape.vocab_size:
        raise InputError(
            f"The tokenizer has {len(tokenizer.tokens)} tokens, the model's embedding only "
            f"{checkpoint.shape.vocab_size} rows.",
            where=str(request.base),
            fix="restore the tokenizer that belongs to the model",
        )
    adapter = open_adapter(request.adapter, checkpoint) if request.adapter is not None else None
    return _press(request, quantizations, checkpoint, tokenizer, adapter, console)


def _checked(request: PressRequest) -> tuple[Quantization, ...]:
    quantizations = tuple(dict.fromkeys(Quantization.parse(item) for item in request.quantizations))
    if not quantizations:
        raise RecipeError("No quantization was asked for.", fix="choose from " + ", ".join(Quantization))
    if not _SAFE_NAME.fullmatch(request.name):
        raise RecipeError(
            f"The name {request.name[:40]!r} cannot be a file's name.",
            fix="use letters, digits, dots, dashes and underscores",
        )
    if request.threads is not None and request.threads < 1:
        raise RecipeError(f"The press cannot run on {request.threads} threads.", fix="give 1 or more")
    return quantizations


def _press(
    request: PressRequest,
    quantizations: tuple[Quantization, ...],
    checkpoint: Checkpoint,
    tokenizer: Tokenizer,
    adapter: Adapter | None,
    console: Console,
) -> tuple[PressedFile, ...]:
    shape = checkpoint.shape
    plans = architecture_plan(shape.architecture).tensors(shape)
    kinds = {plan.name: tuple(tensor_type(plan, shape, item) for item in quantizations) for plan in plans}
    for kind in {kind for row in kinds.values() for kind in row}:
        prepare(kind)
    identity = request.identity or ModelIdentity(request.name)
    paths = [request.out / f"{request.name}-{item}.gguf" for item in quantizations]
    threads = request.threads or _cores()
    files: list[GgufStream] = []
    with contextlib.ExitStack() as stack:
        for number, (path, item) in enumerate(zip(paths, quantizations, strict=True)):
            table = [(plan, kinds[plan.name][number]) for plan in plans]
            stream = stack.enter_context(atomic_write(path))
            files.append(GgufStream(stream, header_bytes(shape, tokenizer, identity, item, table)))
        reader = stack.enter_context(TensorReader())
        total = sum(plan.elements for plan in plans)
        advance = stack.enter_context(console.progress("Pressing", total=total, unit="weights"))
        for chunk, encoded in _encoded(checkpoint, plans, kinds, adapter, reader, threads):
            with disk_errors(request.out):
                for file, data in zip(files, encoded, strict=True):
                    file.append(data)
                    if chunk.last:
                        file.end_tensor()
            advance((chunk.stop - chunk.start) * chunk.plan.columns)
    parameters = sum(plan.elements for plan in plans)
    return tuple(
        PressedFile(item, path, file.digest, file.size, parameters, int(FILE_TYPES[item]))
        for item, path, file in zip(quantizations, paths, files, strict=True)
    )


def _encoded(
    checkpoint: Checkpoint,
    plans: tuple[TensorPlan, ...],
    kinds: dict[str, tuple[GGMLQuantizationType, ...]],
    adapter: Adapter | None,
    reader: TensorReader,
    threads: int,
) -> Iterator[tuple[_Chunk, tuple[memoryview, ...]]]:
    """Every chunk in file order with its bytes for each file, worked on by threads a few chunks ahead."""
    waiting: deque[tuple[_Chunk, Future[tuple[memoryview, ...]]]] = deque()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="press")
    try:
        for chunk in _chunks(checkpoint, plans, adapter, reader):
            waiting.append((chunk, pool.submit(_work, chunk, kinds[chunk.plan.name], reader)))
            if len(waiting) > threads + 2:
                done, future = waiting.popleft()
                yield done, future.result()
        while waiting:
            done, future = waiting.popleft()
            yield done, future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _chunks(
    checkpoint: Checkpoint, plans: tuple[TensorPlan, ...], adapter: Adapter | None, reader: TensorReader
) -> Iterator[_Chunk]:
    """The work in file order. Chunks depend on the tensors alone, never on the number of threads."""
    for plan in plans:
        original = checkpoint.tensors[plan.source]
        source = adapter.replaced.get(plan.source, original) if adapter else original
        update = adapter.update(plan.source, reader) if adapter else None
        reader.open(source.file)
        step = max(1, CHUNK_ELEMENTS // plan.columns)
        for start in range(0, plan.rows, step):
            stop = min(start + step, plan.rows)
            yield _Chunk(plan, source, original.dtype, update, start, stop, stop == plan.rows)


def _work(
    chunk: _Chunk, kinds: tuple[GGMLQuantizationType, ...], reader: TensorReader
) -> tuple[memoryview, ...]:
    """One chunk's bytes for each file."""
    values = to_float32(reader.rows(chunk.source, chunk.start, chunk.stop))
    _check_finite(values, chunk, "holds a number that is not finite")
    if chunk.update is not None:
        add_update(values, chunk.update, chunk.start)
    if chunk.update is not None or chunk.source.dtype != chunk.dtype:
        values = round_to(values, chunk.dtype)
        _check_finite(values, chunk, f"grows beyond the range of {chunk.dtype} when the adapter is merged")
    encoded = {kind: encode(values, kind) for kind in dict.fromkeys(kinds)}
    return tuple(_sound(encoded[kind], kind, chunk) for kind in kinds)


def _sound(data: memoryview | None, kind: GGMLQuantizationType, chunk: _Chunk) -> memoryview:
    if data is None:
        raise InputError(
            f"The tensor holds numbers too large for {kind.name}.",
            where=chunk.source.where,
            fix="choose BF16 or F32, or check that the weights are sound",
        )
    return data


def _check_finite(values: Floats, chunk: _Chunk, what: str) -> None:
    if not bool(np.isfinite(values).all()):
        raise InputError(
            f"The tensor {what}.",
            where=chunk.source.where,
            fix="check the weights: the training that made them may have diverged",
        )


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
