"""The pass itself: each weight is read once, and every file comes out finished and hashed."""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from gguf import GGMLQuantizationType

from starfreight.checkpoint import Checkpoint, TensorReader, Tokenizer, check_vocabulary, read_tokenizer
from starfreight.console import Console
from starfreight.errors import RecipeError
from starfreight.files import atomic_write, disk_errors
from starfreight.packager.file_names import checked_name
from starfreight.packager.hashed_file import QuantizedFile
from starfreight.packager.press.adapter import Adapter, open_adapter
from starfreight.packager.press.architectures import TensorPlan, architecture_plan
from starfreight.packager.press.chunks import Sources, encoded_chunks, expect_in_order
from starfreight.packager.press.gguf_stream import GgufStream
from starfreight.packager.press.importance import Importance, read_importance
from starfreight.packager.press.kernels import (
    WEIGHTED,
    Accelerator,
    Device,
    Floats,
    find_accelerator,
    prepare,
)
from starfreight.packager.press.merge import prepare as prepare_merge
from starfreight.packager.press.metadata import ModelIdentity, header_bytes
from starfreight.packager.press.open_base import open_base
from starfreight.packager.press.tensor_types import tensor_type
from starfreight.quantization import Quantization
from starfreight.recipe.package import MergeBase

LoadDtype = Literal["F32", "BF16"]


@dataclass(frozen=True)
class PressRequest:
    """Request for GGUF files of one model.

    Attributes:
        base: the base model, opened, or its directory in Hugging Face layout.
        adapter: a LoRA adapter's directory; merged in if given.
        quantizations: one file is written for each.
        out: directory of the files.
        name: stem of their names: ``<name>-Q4_K_M.gguf``.
        identity: metadata of the files; ``None`` for the name alone.
        threads: number of threads; ``None`` for one per core.
        merge_base: the weights to merge the adapter into: ``original``, the base's own, or
            ``nf4_roundtrip``, the weights as QLoRA training saw them: every linear layer but the output
            layer through NF4 and back.
        load_dtype: the dtype in which training loaded the base, where the round trip starts: ``BF16`` on a
            GPU, ``F32`` on a CPU.
        imatrix: an importance matrix in llama.cpp's GGUF format; quantisation weighs its errors by it.
        device: where to quantise: ``auto``, on the cores and, if there is a GPU and enough to do, on it too;
            ``cpu``, on the cores alone; ``cuda``, on a GPU as far as it can. The bytes are the same.
        keep: false to compute the digests alone: nothing is written, and no disk is needed.
    """

    base: Path | Checkpoint
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
    keep: bool = True


@dataclass(frozen=True)
class _PressPlan:
    """Everything known before the first weight is read.

    Attributes:
        quantizations: one file each, without duplicates.
        tensors: of the model, in the order of the files.
        types: the types of each tensor by its name, one for each file.
        threads: number of threads.
    """

    checkpoint: Checkpoint
    tokenizer: Tokenizer
    adapter: Adapter | None
    importance: Importance | None
    quantizations: tuple[Quantization, ...]
    tensors: Sequence[TensorPlan]
    types: Mapping[str, tuple[GGMLQuantizationType, ...]]
    threads: int

    @property
    def weights(self) -> Mapping[str, Floats]:
        """The importance of each tensor's columns; empty without an importance matrix."""
        return self.importance.weights if self.importance else {}


def press(request: PressRequest, console: Console) -> tuple[QuantizedFile, ...]:
    """Merge, convert and quantise a model in one pass over its weights.

    The files appear under their names only when all of them are whole. Memory is bounded by the size of a
    chunk and the number of threads, not by the model. Only ``nf4_roundtrip`` reads a linear layer's weights
    twice, one layer at a time. The caller keeps other processes out of ``request.out``.

    Raises:
        InputError: the base, the adapter or the importance matrix is invalid, they do not match, or a weight
            is not finite.
        RecipeError: a quantization, the name or another option is invalid, or the device does not exist.
        ServiceError: the disk is full.
    """
    plan = _plan(request, console)
    accelerator = _prepare(plan, request.device, console)
    files = _write(plan, request, accelerator, console)
    _tell([accelerator.trouble] if accelerator else [], console)
    return files


def _plan(request: PressRequest, console: Console) -> _PressPlan:
    """Open and check all inputs, and choose the type of each tensor in each file."""
    quantizations = _checked(request)
    checkpoint = open_base(request.base)
    # The commands check the added tokens; a press alone also makes what llama.cpp's converter makes.
    tokenizer = read_tokenizer(checkpoint.folder, checkpoint.architecture)
    shape = checkpoint.shape
    check_vocabulary(tokenizer, shape, checkpoint.folder)
    adapter = open_adapter(request.adapter, checkpoint) if request.adapter is not None else None
    tensors = architecture_plan(shape.architecture).tensors(shape)
    importance = _importance(request.imatrix, tensors, console) if request.imatrix is not None else None
    types = {
        tensor.name: tuple(
            tensor_type(tensor, shape, item, imatrix=importance is not None) for item in quantizations
        )
        for tensor in tensors
    }
    threads = request.threads or _cores()
    return _PressPlan(checkpoint, tokenizer, adapter, importance, quantizations, tensors, types, threads)


def _checked(request: PressRequest) -> tuple[Quantization, ...]:
    quantizations = tuple(dict.fromkeys(Quantization.parse(item) for item in request.quantizations))
    if not quantizations:
        raise RecipeError("No quantization was given.", fix="choose from " + ", ".join(Quantization))
    checked_name(request.name)
    if request.threads is not None and request.threads < 1:
        raise RecipeError(f"The press cannot run on {request.threads} threads.", fix="give 1 or more")
    if request.adapter is None and request.merge_base != "original":
        raise RecipeError(
            f"There is no adapter to merge into {request.merge_base}.",
            fix="name an adapter, or leave merge_base out",
        )
    return quantizations


def _importance(path: Path, tensors: Sequence[TensorPlan], console: Console) -> Importance:
    importance = read_importance(path)
    importance.check(tensors, str(path))
    missing = importance.missing(tensors)
    if missing:
        console.note(
            f"{path} does not cover {len(missing)} matrices, which are quantised without it: {missing[0]} ..."
        )
    return importance


def _prepare(plan: _PressPlan, device: Device, console: Console) -> Accelerator | None:
    """Load the compiled code that is worth its loading time for so many weights, and find a GPU."""
    elements = Counter({kind: 0 for row in plan.types.values() for kind in row})
    for tensor in plan.tensors:
        # The fast kernels do not weigh errors by an importance matrix.
        fast = set(plan.types[tensor.name]) - (WEIGHTED if tensor.name in plan.weights else set())
        elements.update(dict.fromkeys(fast, tensor.elements))
    factors = plan.adapter.factors if plan.adapter else {}
    merged = sum(tensor.elements for tensor in plan.tensors if tensor.source in factors)
    accelerator = find_accelerator(device, elements, plan.threads)
    notes = [prepare_merge(merged), *(prepare(kind, count) for kind, count in elements.items())]
    notes += [accelerator.prepare(kind) for kind in elements] if accelerator else []
    _tell(notes, console)
    return accelerator


def _write(
    plan: _PressPlan, request: PressRequest, accelerator: Accelerator | None, console: Console
) -> tuple[QuantizedFile, ...]:
    """Run the pass: read each weight, and write all files side by side."""
    paths = [request.out / f"{request.name}-{item}.gguf" for item in plan.quantizations]
    files: list[GgufStream] = []
    with contextlib.ExitStack() as stack:
        for number, path in enumerate(paths):
            stream = stack.enter_context(atomic_write(path)) if request.keep else None
            files.append(GgufStream(stream, _header(plan, request, number)))
        sources = Sources(
            plan.checkpoint,
            plan.adapter,
            stack.enter_context(TensorReader()),
            request.load_dtype if request.merge_base == "nf4_roundtrip" else None,
            plan.weights,
            accelerator,
        )
        total = sum(sources.stored(tensor).size for tensor in plan.tensors)
        advance = stack.enter_context(console.progress("Pressing", total=total, unit="B"))
        expect_in_order(sources, plan.tensors)
        for chunk, encoded in encoded_chunks(sources, plan.tensors, plan.types, plan.threads):
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
    return tuple(
        QuantizedFile(path, file.digest, file.size, item)
        for item, path, file in zip(plan.quantizations, paths, files, strict=True)
    )


def _header(plan: _PressPlan, request: PressRequest, number: int) -> bytes:
    """Everything before the weights in the file of this number."""
    identity = request.identity or ModelIdentity(request.name)
    if plan.adapter is not None:
        identity = replace(identity, merge_base=request.merge_base)
    table = [(tensor, plan.types[tensor.name][number]) for tensor in plan.tensors]
    shape = plan.checkpoint.shape
    return header_bytes(shape, plan.tokenizer, identity, plan.quantizations[number], table, plan.importance)


def _tell(notes: Sequence[str | None], console: Console) -> None:
    for note in notes:
        if note:
            console.note(note)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
