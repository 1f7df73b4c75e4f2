"""The pass itself: each weight is read once, and every file comes out finished and hashed."""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from starfreight.checkpoint import Checkpoint, TensorReader, Tokenizer, check_tokenizer, open_checkpoint
from starfreight.console import Console
from starfreight.errors import InputError, RecipeError
from starfreight.files import atomic_write, disk_errors
from starfreight.packager.press.adapter import Adapter, open_adapter
from starfreight.packager.press.architectures import TensorPlan, architecture_plan
from starfreight.packager.press.chunks import Sources, encoded_chunks
from starfreight.packager.press.importance import Importance, read_importance
from starfreight.packager.press.kernels import WEIGHTED, Device, find_accelerator, prepare
from starfreight.packager.press.merge import prepare as prepare_merge
from starfreight.packager.press.metadata import ModelIdentity, header_bytes
from starfreight.packager.press.mix import FILE_TYPES, tensor_type
from starfreight.packager.press.names import checked_name
from starfreight.packager.press.writer import GgufStream
from starfreight.quantization import Quantization
from starfreight.recipe.package import MergeBase

LoadDtype = Literal["F32", "BF16"]


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
        merge_base: what the adapter is merged into: ``original``, the base's own weights, or
            ``nf4_roundtrip``, the weights as QLoRA training saw them: every linear layer but the output
            layer through NF4 and back.
        load_dtype: the dtype that training loaded the base in, which the round trip starts from:
            ``BF16`` on a GPU, ``F32`` on a CPU.
        imatrix: an importance matrix in llama.cpp's GGUF format, by which quantisation weighs its errors.
        device: where to quantise: ``auto``, on the cores and on a GPU where there is one and enough to do;
            ``cpu``, on the cores alone; ``cuda``, on a GPU what it can do. The bytes are the same.
    """

    base: Path
    adapter: Path | None
    quantizations: tuple[Quantization | str, ...]
    out: Path
    name: str
    identity: ModelIdentity | None = None
    threads: int | None = None
    merge_base: MergeBase = "original"
    load_dtype: LoadDtype = "BF16"
    imatrix: Path | None = None
    device: Device = "auto"


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


def press(request: PressRequest, console: Console) -> tuple[PressedFile, ...]:
    """Merges, converts and quantises a model in one pass over its weights.

    The files appear under their names only when all of them are whole. Memory is bounded by
    the size of a chunk and the number of threads, not by the model. Only ``nf4_roundtrip`` reads a linear
    layer's weights twice, one layer at a time. The caller keeps other processes out of ``request.out``.

    Raises:
        InputError: the base, the adapter, the importance matrix or these together cannot be used; a weight
            is not finite.
        RecipeError: the quantizations or the name cannot be used, or there is no such device.
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
    checked_name(request.name)
    if request.threads is not None and request.threads < 1:
        raise RecipeError(f"The press cannot run on {request.threads} threads.", fix="give 1 or more")
    if request.adapter is None and request.merge_base != "original":
        raise RecipeError(
            f"There is no adapter to merge into {request.merge_base}.", fix="name one, or leave this out"
        )
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
    importance = _importance(request.imatrix, plans, console) if request.imatrix is not None else None
    weights = importance.weights if importance else {}
    kinds = {
        plan.name: tuple(
            tensor_type(plan, shape, item, imatrix=importance is not None) for item in quantizations
        )
        for plan in plans
    }
    elements = Counter({kind: 0 for row in kinds.values() for kind in row})
    for plan in plans:
        # What an importance matrix weighs is not for the fast kernels.
        fast = set(kinds[plan.name]) - (WEIGHTED if plan.name in weights else set())
        elements.update(dict.fromkeys(fast, plan.elements))
    merged = sum(plan.elements for plan in plans if adapter and plan.source in adapter.factors)
    threads = request.threads or _cores()
    accelerator = find_accelerator(request.device, elements, threads)
    notes = [prepare_merge(merged), *(prepare(kind, count) for kind, count in elements.items())]
    notes += [accelerator.prepare(kind) for kind in elements] if accelerator else []
    _tell(notes, console)
    identity = request.identity or ModelIdentity(request.name)
    if adapter is not None:
        identity = replace(identity, merge_base=request.merge_base)
    paths = [request.out / f"{request.name}-{item}.gguf" for item in quantizations]
    files: list[GgufStream] = []
    with contextlib.ExitStack() as stack:
        for number, (path, item) in enumerate(zip(paths, quantizations, strict=True)):
            table = [(plan, kinds[plan.name][number]) for plan in plans]
            stream = stack.enter_context(atomic_write(path))
            files.append(
                GgufStream(stream, header_bytes(shape, tokenizer, identity, item, table, importance))
            )
        load_dtype = request.load_dtype if request.merge_base == "nf4_roundtrip" else None
        sources = Sources(
            checkpoint, adapter, stack.enter_context(TensorReader()), load_dtype, weights, accelerator
        )
        total = sum(sources.stored(plan).size for plan in plans)
        advance = stack.enter_context(console.progress("Pressing", total=total, unit="B"))
        for chunk, encoded in encoded_chunks(sources, plans, kinds, threads):
            with disk_errors(request.out):
                for file, data in zip(files, encoded, strict=True):
                    file.append(data)
                    if chunk.last:
                        file.end_tensor()
            advance(chunk.bytes_read)
        with disk_errors(request.out):
            # None gets its name before all are on the disk.
            for file in files:
                file.sync()
    _tell([accelerator.trouble] if accelerator else [], console)
    parameters = sum(plan.elements for plan in plans)
    return tuple(
        PressedFile(item, path, file.digest, file.size, parameters, int(FILE_TYPES[item]))
        for item, path, file in zip(quantizations, paths, files, strict=True)
    )


def _tell(notes: Sequence[str | None], console: Console) -> None:
    for note in notes:
        if note:
            console.note(note)


def _importance(path: Path, plans: Sequence[TensorPlan], console: Console) -> Importance:
    importance = read_importance(path)
    importance.check(plans, str(path))
    missing = importance.missing(plans)
    if missing:
        console.note(
            f"{path} says nothing of {len(missing)} matrices, which are quantised without: {missing[0]} ..."
        )
    return importance


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
