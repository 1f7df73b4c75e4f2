"""The value of an importance matrix: quantizations with and without the run's own, on held-out data.

    python benchmarks/imatrix.py RUN [--quantize Q4_K_M --quantize Q2_K ...]

RUN is a finished run of a recipe with ``package.imatrix``. Its merged model in F32 is the reference. KL is
the divergence of the quantised model's predictions from the reference's in nats per token; loss is over the
tokens that count. Both use the dequantised weights in torch, in float32.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import gguf
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from starfreight.checkpoint import open_checkpoint
from starfreight.console import Console
from starfreight.data_manifest import DataManifest
from starfreight.jobs.data.blocks.block_file import Block
from starfreight.jobs.data.blocks.training_data import Corpus, make_blocks
from starfreight.jobs.data.formats import IGNORED
from starfreight.jobs.train.batches import collate
from starfreight.packager.press import PressRequest, press
from starfreight.packager.press.architectures import architecture_plan
from starfreight.run import ADAPTER_FOLDER, DATA_MANIFEST, Inputs, Run

DEFAULT = ("Q6_K", "Q5_K_M", "Q4_K_M", "Q4_K_S", "Q4_0", "IQ4_NL", "IQ4_XS", "Q3_K_M", "Q3_K_S", "Q2_K")
BATCH = 16


def main() -> None:
    """Measures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--quantize", action="append")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    folder: Path = arguments.run
    run, inputs = Run.load(folder), Inputs.load(folder)
    if run.imatrix is None:
        parser.error("the run has no importance matrix")
    base = Path(inputs.base)
    manifest = DataManifest.load(folder / DATA_MANIFEST)
    data = make_blocks(Corpus(run.recipe, manifest, [Path(path) for path in inputs.data], base), folder)
    model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(base), dtype=torch.float32).eval()
    with tempfile.TemporaryDirectory() as work:
        out = Path(work)
        (plain,) = press(PressRequest(base, folder / ADAPTER_FOLDER, ("F32",), out, "m"), Console(quiet=True))
        reference = list(predictions(model, base, plain.path, data.held_out))
        print(f"imatrix of {run.imatrix.tokens:,} tokens; held out {count(data.held_out):,} tokens")
        print(f"F32      loss {measure(reference, reference, data.held_out)[1]:.4f}")
        print("               KL, nats a token               loss")
        print("              without     with  ratio    without    with      bytes more")
        for name in arguments.quantize or DEFAULT:
            figures, sizes = [], []
            for imatrix in (None, folder / run.imatrix.imatrix.path):
                request = PressRequest(
                    base, folder / ADAPTER_FOLDER, (name,), out, "m", imatrix=imatrix
                )  # fmt: skip
                (file,) = press(request, Console(quiet=True))
                sizes.append(file.size)
                logits = predictions(model, base, file.path, data.held_out)
                figures.append(measure(logits, reference, data.held_out))
            (kl, loss), (kl_with, loss_with) = figures
            print(
                f"{name:10} {kl:10.5f} {kl_with:8.5f} {kl_with / kl:6.2f} {loss:10.4f} {loss_with:7.4f} "
                f"{sizes[1] - sizes[0]:12,}",
                flush=True,
            )


def predictions(model: Any, base: Path, file: Path, blocks: Sequence[Block]) -> Iterator[torch.Tensor]:
    """Yields the logits of a GGUF file's weights for each batch, float32."""
    shape = open_checkpoint(base).shape
    sources = {plan.name: plan.source for plan in architecture_plan(shape.architecture).tensors(shape)}
    weights = {}
    for tensor in gguf.GGUFReader(file).tensors:
        values = gguf.dequantize(tensor.data, tensor.tensor_type)
        weights[sources[tensor.name]] = torch.from_numpy(values.copy())
    missing, unexpected = model.load_state_dict(weights, strict=False)
    assert not unexpected and set(missing) <= {"lm_head.weight"}, (missing, unexpected)
    for start in range(0, len(blocks), BATCH):
        batch = collate(blocks[start : start + BATCH])
        del batch["labels"]
        with torch.no_grad():
            yield model(**batch, use_cache=False).logits


def measure(
    logits: Iterator[torch.Tensor] | list[torch.Tensor],
    reference: list[torch.Tensor],
    blocks: Sequence[Block],
) -> tuple[float, float]:
    """Mean divergence from the reference and mean loss, over the tokens that count."""
    divergence = loss = 0.0
    for number, (found, wanted) in enumerate(zip(logits, reference, strict=True)):
        labels = collate(blocks[number * BATCH : (number + 1) * BATCH])["labels"][:, 1:]
        counts = labels != IGNORED
        own, other = (each[:, :-1][counts].log_softmax(-1) for each in (found, wanted))
        divergence += float((other.exp() * (other - own)).sum())
        loss -= float(own.gather(1, labels[counts][:, None]).sum())
    tokens = count(blocks)
    return divergence / tokens, loss / tokens


def count(blocks: Sequence[Block]) -> int:
    """The number of predicted tokens."""
    return sum(label != IGNORED for block in blocks for label in block.labels[1:])


if __name__ == "__main__":
    main()
