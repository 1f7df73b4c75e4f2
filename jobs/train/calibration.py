"""Calibration: the magnitude of the inputs of each linear layer of the tuned model, per column.

With these figures (an importance matrix) quantisation keeps rounding errors small where inputs are large.
They match those of llama.cpp's ``llama-imatrix``: for each column of the inputs the sum of squares over
all tokens, and the number of tokens. Like ``llama-imatrix``, it skips the embedding and the output layer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gguf import MODEL_ARCH, get_tensor_name_map

from starfreight.errors import JobFailed
from starfreight.jobs.data.blocks.block_file import Block
from starfreight.jobs.train.batches import collate

if TYPE_CHECKING:
    import torch

_BATCH_TOKENS = 2048

_ARCHITECTURES = {"starcoder2": MODEL_ARCH.STARCODER2, "starcoder": MODEL_ARCH.STARCODER}


@dataclass(frozen=True)
class Activations:
    """Statistics of the inputs of the linear layers.

    Attributes:
        squares: sum of squares of the inputs of each weight, by the weight's name in GGUF: float64, one
            number per column.
        tokens: number of inputs summed.
        blocks: number of blocks they came from.
    """

    squares: Mapping[str, torch.Tensor]
    tokens: int
    blocks: int


def calibrate(
    model: Any, architecture: str, blocks: Sequence[Block], check: Callable[[], None]
) -> Activations:
    """Run blocks through a model, with dropout off, and record the inputs of its linear layers.

    Padding tokens do not count. The sums depend on the last bits of the model's own arithmetic, so they are
    reproducible only on the same machine with the same number of threads.

    Args:
        model: a causal language model of transformers, with or without an adapter.
        architecture: ``starcoder2`` or ``starcoder``.
        blocks: blocks to run, at least one.
        check: called between batches; may raise to stop.

    Raises:
        JobFailed: an input is not finite.
    """
    import torch

    layers = dict(_linear_layers(model, architecture))
    squares = {
        name: torch.zeros(layer.in_features, dtype=torch.float64, device=model.device)
        for name, layer in layers.items()
    }
    step = max(1, _BATCH_TOKENS // len(blocks[0].ids))
    counts = torch.empty(0, dtype=torch.bool)

    def watch(name: str) -> Callable[[Any, tuple[torch.Tensor, ...]], None]:
        def add(module: Any, inputs: tuple[torch.Tensor, ...]) -> None:
            rows = inputs[0].flatten(0, -2)[counts]
            squares[name] += rows.float().square().sum(0, dtype=torch.float64)

        return add

    was_training = model.training
    model.eval()
    try:
        with torch.no_grad(), ExitStack() as hooks:
            for name, layer in layers.items():
                hooks.callback(layer.register_forward_pre_hook(watch(name)).remove)
            for start in range(0, len(blocks), step):
                check()
                batch = blocks[start : start + step]
                inputs = {key: value.to(model.device) for key, value in collate(batch).items()}
                length = inputs["input_ids"].shape[1]
                filled = torch.tensor([[block.filled] for block in batch], device=model.device)
                counts = (torch.arange(length, device=model.device) < filled).flatten()
                del inputs["labels"]
                # The logits would take most of the memory, and nothing reads them.
                model(**inputs, use_cache=False, logits_to_keep=1)
    finally:
        model.train(was_training)
    for name, sums in squares.items():
        if not bool(sums.isfinite().all()):
            raise JobFailed(
                f"The inputs of {name} are not finite in the tuned model.",
                fix="lower training.learning_rate: the training may have diverged",
            )
    return Activations(squares, sum(block.filled for block in blocks), len(blocks))


def imatrix_bytes(activations: Activations, sequence_length: int, datasets: Sequence[str]) -> bytes:
    """The figures in the format of llama.cpp's ``llama-imatrix``, for the press and for ``llama-quantize``.

    Args:
        activations: the sums.
        sequence_length: tokens in one block.
        datasets: names of the data the blocks were made from.
    """
    import io

    import numpy as np
    from gguf import GGUFType, GGUFWriter, Keys
    from gguf.gguf_writer import WriterState

    writer: Any = GGUFWriter(None, "")
    writer.kv_data[0].clear()  # Drops general.architecture, which llama.cpp does not write here.
    writer.add_type(GGUFType.IMATRIX)
    writer.add_array(Keys.IMatrix.DATASETS, list(datasets))
    writer.add_uint32(Keys.IMatrix.CHUNK_COUNT, activations.blocks)
    writer.add_uint32(Keys.IMatrix.CHUNK_SIZE, sequence_length)
    tensors = []
    for name in sorted(activations.squares):
        tensors.append((f"{name}.in_sum2", activations.squares[name].float().cpu().numpy()[None]))
        tensors.append((f"{name}.counts", np.array([[activations.tokens]], np.float32)))
    for name, values in tensors:
        writer.add_tensor_info(name, values.shape, values.dtype, values.nbytes)
    # GGUFWriter accepts only files; a buffer in their place allows an atomic write later.
    buffer = io.BytesIO()
    writer.fout, writer.state = [buffer], WriterState.EMPTY
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for _, values in tensors:
        buffer.write(bytes(-buffer.tell() % writer.data_alignment))
        buffer.write(values.tobytes())
    buffer.write(bytes(-buffer.tell() % writer.data_alignment))
    return buffer.getvalue()


def _linear_layers(model: Any, architecture: str) -> Iterator[tuple[str, Any]]:
    """The linear layers inside the decoder layers, with their weights' names in GGUF."""
    import torch

    names = get_tensor_name_map(_ARCHITECTURES[architecture], model.config.num_hidden_layers)
    for path, module in model.named_modules():
        # PEFT prefixes every name and nests an adapted layer one level deeper.
        plain = path.removeprefix("base_model.model.").removesuffix(".base_layer")
        name = names.get_name(plain)
        if isinstance(module, torch.nn.Linear) and name is not None and name.startswith("blk."):
            yield f"{name}.weight", module
