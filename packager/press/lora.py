"""An adapter as a GGUF file of its own: a few MB beside a base shared by many variants.

    request = LoraRequest(base=Path("starcoder2-3b"), adapter=Path("adapter"), out=Path("out"), name="mine")
    press_lora(request, console).path          # llama-server --model base.gguf --lora mine-F16-LoRA.gguf

The format is the one read by ``llama_adapter_lora_init`` (llama.cpp's ``src/llama-adapter.cpp``): for
each adapted weight ``<name>.lora_a`` of shape (rank, inputs) and ``<name>.lora_b`` of shape (outputs,
rank), and one ``alpha`` for all; llama.cpp adds ``alpha / rank * lora_b @ lora_a``. It does so to the token
embedding and to linear layers. It loads the factors of any other matrix, too, and never uses them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from gguf import GGML_QUANT_SIZES, GGML_QUANT_VERSION, GGMLQuantizationType, GGUFType, GGUFWriter, Keys

from starfreight.checkpoint import Checkpoint, StoredTensor, TensorReader
from starfreight.console import Console
from starfreight.errors import InputError
from starfreight.files import atomic_write
from starfreight.packager.file_names import checked_name, lora_name
from starfreight.packager.hashed_file import HashedFile
from starfreight.packager.press.adapter import Adapter, Factors, open_adapter
from starfreight.packager.press.architectures import Role, TensorPlan, architecture_plan
from starfreight.packager.press.gguf_stream import GgufStream
from starfreight.packager.press.kernels import Floats, encode, to_float32
from starfreight.packager.press.metadata import ModelIdentity, finished_header, write_identity
from starfreight.packager.press.open_base import open_base
from starfreight.quantization import FILE_TYPES, Quantization

_APPLIED = (
    Role.TOKEN_EMBEDDING,
    Role.OUTPUT,
    Role.VALUE,
    Role.ATTENTION_OUTPUT,
    Role.DOWN,
    Role.MATRIX,
)
"""Roles of the tensors whose updates llama.cpp applies."""

_COPY_NUMBERS = 1 << 20
"""Numbers compared at a time."""

_MERGE = (
    "merge it into the model: package.ship: merged in the recipe, or starfreight package press without --lora"
)


@dataclass(frozen=True)
class LoraRequest:
    """Request for a LoRA file.

    Attributes:
        base: the base model, opened, or its directory in Hugging Face layout. Its weights are read only
            to be compared with copies in the adapter.
        adapter: the adapter's directory, in PEFT's layout.
        out: directory of the file.
        name: stem of its name: ``<name>-F16-LoRA.gguf``.
        identity: metadata of the file; ``None`` for the name alone.
        kind: type of the stored factors.
    """

    base: Path | Checkpoint
    adapter: Path
    out: Path
    name: str
    identity: ModelIdentity | None = None
    kind: Literal["F16", "F32"] = "F16"


def press_lora(request: LoraRequest, console: Console) -> HashedFile:
    """Write an adapter as a LoRA GGUF.

    Raises:
        InputError: the base or the adapter is invalid, they do not match, or the adapter holds more than
            low-rank updates.
        RecipeError: the name is not a valid file name.
        ServiceError: the disk is full.
    """
    name = checked_name(request.name)
    checkpoint = open_base(request.base)
    adapter = open_adapter(request.adapter, checkpoint)
    plans = _applied(adapter, checkpoint)
    kind = GGMLQuantizationType[request.kind]
    alpha = np.float32(_alpha(adapter.factors[plans[0].source]))
    shapes = {plan.name: _shapes(plan, adapter.factors[plan.source]) for plan in plans}
    table = [
        (f"{plan.name}.lora_{letter}", shape)
        for plan in plans
        for letter, shape in zip("ab", shapes[plan.name], strict=True)
    ]
    parameters = sum(rows * columns for _, (rows, columns) in table)
    path = request.out / lora_name(name, request.kind)
    header = _header(request, checkpoint, table, kind, float(alpha), parameters)
    with (
        atomic_write(path) as stream,
        TensorReader() as reader,
        console.progress("Writing the adapter", total=4 * parameters, unit="B") as advance,
    ):
        file = GgufStream(stream, header)
        for plan in plans:
            factors = adapter.factors[plan.source]
            for values in _values(adapter, plan, reader, float(alpha)):
                data = encode(np.ascontiguousarray(values), kind)
                if data is None:
                    raise InputError(
                        f"The adapter holds numbers too large for {kind.name}.",
                        where=factors.b.where,
                        fix="write it as F32, or check that the training did not diverge",
                    )
                file.append(data)
                file.end_tensor()
                advance(values.nbytes)
    return HashedFile(path, file.digest, file.size)


def _applied(adapter: Adapter, checkpoint: Checkpoint) -> list[TensorPlan]:
    """The tensors of a LoRA file: those that the adapter changes, if llama.cpp applies all changes."""
    for name, tensor in adapter.replaced.items():
        if not _is_copy(tensor, checkpoint.tensors[name]):
            raise InputError(
                f"The adapter replaces {name} as a whole; a LoRA file cannot hold whole tensors.",
                where=tensor.where,
                fix=f"{_MERGE}; or train without modules_to_save and bias",
            )
    plans = [
        plan
        for plan in architecture_plan(checkpoint.architecture).tensors(checkpoint.shape)
        if plan.source in adapter.factors
    ]
    for plan in plans:
        if plan.role not in _APPLIED:
            raise InputError(
                f"The adapter changes {plan.source}; llama.cpp does not apply a LoRA file's change of it.",
                where=adapter.factors[plan.source].a.where,
                fix=f"{_MERGE}; or train without it in target_modules",
            )
    if not plans:
        raise InputError(
            "The adapter changes no weight.", where=str(adapter.folder), fix="check that it was trained"
        )
    return plans


def _is_copy(tensor: StoredTensor, original: StoredTensor) -> bool:
    """True for a copy of the base's own weight: PEFT saves embeddings that have low-rank updates."""
    if len(tensor.shape) != 2:
        return False
    rows, columns = tensor.shape
    step = max(1, _COPY_NUMBERS // columns)
    with TensorReader() as reader:
        for start in range(0, rows, step):
            stop = min(start + step, rows)
            one, other = (to_float32(reader.rows(each, start, stop)) for each in (tensor, original))
            if not np.array_equal(one, other):
                return False
    return True


def _header(
    request: LoraRequest,
    checkpoint: Checkpoint,
    table: list[tuple[str, tuple[int, int]]],
    kind: GGMLQuantizationType,
    alpha: float,
    parameters: int,
) -> bytes:
    writer = GGUFWriter(None, checkpoint.architecture)
    write_identity(writer, request.identity or ModelIdentity(request.name), GGUFType.ADAPTER, parameters)
    writer.add_string(Keys.Adapter.TYPE, "lora")
    writer.add_float32(Keys.Adapter.LORA_ALPHA, alpha)
    writer.add_quantization_version(GGML_QUANT_VERSION)
    writer.add_file_type(FILE_TYPES[Quantization(request.kind)])
    size = GGML_QUANT_SIZES[kind][1]
    return finished_header(writer, [(name, shape, kind, shape[0] * shape[1] * size) for name, shape in table])


def _alpha(factors: Factors) -> float:
    """The alpha equivalent to these factors' scale, however PEFT derived it."""
    return factors.scale * factors.rank


def _shapes(plan: TensorPlan, factors: Factors) -> tuple[tuple[int, int], tuple[int, int]]:
    """The shapes of ``lora_a`` and ``lora_b``."""
    rank = factors.rank
    if plan.role is Role.TOKEN_EMBEDDING:
        # llama.cpp looks up rows of lora_a by token and multiplies by lora_b: both are transposed.
        return (plan.rows, rank), (plan.columns, rank)
    return (rank, plan.columns), (plan.rows, rank)


def _values(adapter: Adapter, plan: TensorPlan, reader: TensorReader, alpha: float) -> tuple[Floats, Floats]:
    """``lora_a`` and ``lora_b``; the latter absorbs the difference if a module has a scale of its own."""
    factors = adapter.factors[plan.source]
    a, b = adapter.read(factors, reader)
    ratio = np.float32(_alpha(factors) / alpha)
    if ratio != 1:
        b = b * ratio
    values = (a.T, b) if plan.role is Role.TOKEN_EMBEDDING else (a, b)
    assert tuple(each.shape for each in values) == _shapes(plan, factors)
    return values
