"""An adapter as a GGUF file of its own, a few MB beside a base that many variants share.

    request = LoraRequest(base=Path("starcoder2-3b"), adapter=Path("adapter"), out=Path("out"), name="mine")
    press_lora(request, console).path          # llama-server --model base.gguf --lora mine-F16-LoRA.gguf

The format is the one that ``llama_adapter_lora_init`` reads (llama.cpp's ``src/llama-adapter.cpp``): for
each adapted weight ``<name>.lora_a`` of shape (rank, inputs) and ``<name>.lora_b`` of shape (outputs,
rank), and one ``alpha`` for all, so that llama.cpp adds ``alpha / rank * lora_b @ lora_a``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from gguf import GGML_QUANT_SIZES, GGML_QUANT_VERSION, GGMLQuantizationType, GGUFType, GGUFWriter, Keys

from starfreight.checkpoint import Checkpoint, TensorReader, open_checkpoint
from starfreight.console import Console
from starfreight.errors import InputError
from starfreight.files import atomic_write
from starfreight.packager.press.adapter import Adapter, Factors, open_adapter
from starfreight.packager.press.architectures import Role, TensorPlan, architecture_plan
from starfreight.packager.press.kernels import Floats, encode
from starfreight.packager.press.metadata import ModelIdentity, finished_header, write_identity
from starfreight.packager.press.mix import FILE_TYPES
from starfreight.packager.press.names import checked_name, lora_name
from starfreight.packager.press.writer import GgufStream
from starfreight.quantization import Quantization


@dataclass(frozen=True)
class LoraRequest:
    """What to write as a LoRA file.

    Attributes:
        base: the base model's folder, in Hugging Face layout. Its weights are not read.
        adapter: the adapter's folder, in PEFT's layout.
        out: the folder that the file goes to.
        name: what its name starts with: ``<name>-F16-LoRA.gguf``.
        identity: what the file says of itself; ``None`` for the name alone.
        kind: how the factors are stored.
    """

    base: Path
    adapter: Path
    out: Path
    name: str
    identity: ModelIdentity | None = None
    kind: Literal["F16", "F32"] = "F16"


@dataclass(frozen=True)
class LoraFile:
    """A finished LoRA file.

    Attributes:
        path: where it lies.
        digest: ``sha256:<hex>`` of its bytes.
        size: in bytes.
        parameters: how many numbers its factors hold.
        alpha: what llama.cpp scales it by, over the rank.
    """

    path: Path
    digest: str
    size: int
    parameters: int
    alpha: float


def press_lora(request: LoraRequest, console: Console) -> LoraFile:
    """Writes an adapter as a LoRA GGUF.

    Raises:
        InputError: the base, the adapter or the two together cannot be used, or the adapter holds more than
            low-rank updates.
        RecipeError: the name cannot be a file's name.
        ServiceError: the disk is full.
    """
    name = checked_name(request.name)
    checkpoint = open_checkpoint(request.base)
    adapter = open_adapter(request.adapter, checkpoint)
    for tensor in adapter.replaced.values():
        raise InputError(
            "The adapter replaces whole tensors of the model, which a LoRA file cannot hold.",
            where=tensor.where,
            fix="merge it into the model instead, or train without modules_to_save and bias",
        )
    kind = GGMLQuantizationType[request.kind]
    plans = [
        plan
        for plan in architecture_plan(checkpoint.architecture).tensors(checkpoint.shape)
        if plan.source in adapter.factors
    ]
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
    return LoraFile(path, file.digest, file.size, parameters, float(alpha))


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
    """The alpha that gives these factors their scale, whatever PEFT's way to it was."""
    return factors.scale * factors.rank


def _shapes(plan: TensorPlan, factors: Factors) -> tuple[tuple[int, int], tuple[int, int]]:
    """The shapes of ``lora_a`` and ``lora_b``."""
    rank = factors.rank
    if plan.role is Role.TOKEN_EMBEDDING:
        # llama.cpp looks rows of lora_a up by token, and multiplies by lora_b: both lie the other way round.
        return (plan.rows, rank), (plan.columns, rank)
    return (rank, plan.columns), (plan.rows, rank)


def _values(adapter: Adapter, plan: TensorPlan, reader: TensorReader, alpha: float) -> tuple[Floats, Floats]:
    """``lora_a`` and ``lora_b``, which takes up the difference where a module has a scale of its own."""
    factors = adapter.factors[plan.source]
    a, b = adapter.read(factors, reader)
    ratio = np.float32(_alpha(factors) / alpha)
    if ratio != 1:
        b = b * ratio
    return (a.T, b) if factors.embedding else (a, b)
