"""Our training job against TRL's SFTTrainer: tokens per second and peak memory, as ratios.

    python benchmarks/train.py                                   # a small model, on the CPU
    python benchmarks/train.py --shape 3b --sequence 2048 --batch 4 --steps 20

Both train the same random StarCoder2 in NF4 with the same adapter, optimizer, schedule and packed blocks;
only the loop around them differs. They run in turns, each in its own process. The first steps do not count.
On a GPU it also prints the share of the peak in bfloat16, at 6N operations per token, since activations are
recomputed there. Needs: pip install trl
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SHAPES = {
    "small": {"hidden": 256, "layers": 4, "heads": 4, "kv": 2, "vocab": 4096},
    "3b": {"hidden": 3072, "layers": 30, "heads": 24, "kv": 2, "vocab": 49152},
    "7b": {"hidden": 4608, "layers": 32, "heads": 36, "kv": 4, "vocab": 49152},
    "15b": {"hidden": 6144, "layers": 40, "heads": 48, "kv": 4, "vocab": 49152},
}
SKIPPED = 3
PEAKS = {"H200": 989e12, "H100": 989e12, "A100": 312e12}


def make_base(folder: Path, shape: str) -> None:
    """Saves a model with random weights."""
    import torch
    from transformers import Starcoder2Config, Starcoder2ForCausalLM

    numbers = SHAPES[shape]
    torch.manual_seed(1)
    config = Starcoder2Config(
        vocab_size=numbers["vocab"], hidden_size=numbers["hidden"], intermediate_size=4 * numbers["hidden"],
        num_hidden_layers=numbers["layers"], num_attention_heads=numbers["heads"],
        num_key_value_heads=numbers["kv"], bos_token_id=0, eos_token_id=0, tie_word_embeddings=shape != "15b",
        max_position_embeddings=16384, sliding_window=4096,
    )  # fmt: skip
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        model = Starcoder2ForCausalLM(config).to(torch.bfloat16)
    model.save_pretrained(folder)


def settings(options: argparse.Namespace) -> Any:
    """The recipe's training section."""
    from starfreight.recipe import Training

    return Training(
        sequence_length=options.sequence, batch_size=options.batch, gradient_accumulation=1,
        steps=options.steps, learning_rate=1e-4, checkpoint_every=10**6, evaluate_every=10**6, dropout=0.0,
    )  # fmt: skip


def make_blocks(options: argparse.Namespace) -> list[Any]:
    """Packed blocks of random tokens, each with a few examples."""
    import numpy as np

    from starfreight.jobs.data.blocks.block_file import Block

    rng = random.Random(7)
    vocabulary, length = SHAPES[options.shape]["vocab"], options.sequence
    blocks = []
    for _ in range(options.steps * options.batch):
        ids = [rng.randrange(7, vocabulary) for _ in range(length)]
        cuts = sorted(rng.sample(range(1, length), 3))
        positions = [p for a, b in zip([0, *cuts], [*cuts, length], strict=True) for p in range(b - a)]
        labels = [-100 if position == 0 else token for token, position in zip(ids, positions, strict=True)]
        blocks.append(Block(*(np.array(row) for row in (ids, labels, positions)), filled=length))
    return blocks


def clock(times: list[float]) -> Any:
    """A callback that records the end of each step."""
    from transformers import TrainerCallback

    class Clock(TrainerCallback):
        def on_step_end(self, *_: Any, **__: Any) -> None:
            import torch

            if torch.cuda.is_available():
                torch.cuda.synchronize()
            times.append(time.perf_counter())

    return Clock()


def ours(model: Any, training: Any, options: argparse.Namespace, work: Path) -> list[float]:
    """Runs our loop with its metrics, checkpoints and events."""
    from transformers import Trainer

    from starfreight.jobs.data.blocks.training_data import TrainingData
    from starfreight.jobs.protocol.stop_request import StopRequest
    from starfreight.jobs.train import loop
    from starfreight.jobs.train.metrics import Metrics

    times: list[float] = []
    begin = Trainer.__init__

    def with_clock(self: Any, *arguments: Any, **named: Any) -> None:
        begin(self, *arguments, **named)
        self.add_callback(clock(times))

    Trainer.__init__ = with_clock
    data: Any = TrainingData(make_blocks(options), [], (), None)  # Here blocks in memory are enough.
    metrics = Metrics(work / "metrics.jsonl")
    loop.train(model, loop.Loop(data, training, work / "checkpoints", metrics, StopRequest(), lambda: None))
    return times


def trl(model: Any, training: Any, options: argparse.Namespace, work: Path) -> list[float]:
    """Runs TRL's SFTTrainer on the same blocks, otherwise with its defaults."""
    from datasets import Dataset
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast
    from trl import SFTConfig, SFTTrainer

    from starfreight.jobs.train.batches import collate

    on_gpu = model.device.type == "cuda"
    blocks = make_blocks(options)
    times: list[float] = []
    empty = Tokenizer(models.BPE({"<|endoftext|>": 0}, []))
    arguments = SFTConfig(
        output_dir=str(work / "trl"), max_steps=training.steps,
        per_device_train_batch_size=training.batch_size,
        learning_rate=1e-4, lr_scheduler_type="cosine", warmup_steps=1,
        optim="paged_adamw_8bit" if on_gpu else "adamw_torch", use_cpu=not on_gpu, bf16=on_gpu,
        gradient_checkpointing=False, max_length=None, dataset_kwargs={"skip_prepare_dataset": True},
        remove_unused_columns=False, logging_steps=1, save_strategy="no", report_to=[], disable_tqdm=True,
        dataloader_pin_memory=on_gpu,
    )  # fmt: skip
    trainer = SFTTrainer(
        model=model,
        args=arguments,
        train_dataset=Dataset.from_dict({"number": list(range(len(blocks)))}),
        data_collator=lambda rows: collate([blocks[row["number"]] for row in rows]),
        processing_class=PreTrainedTokenizerFast(
            tokenizer_object=empty, eos_token="<|endoftext|>", pad_token="<|endoftext|>"
        ),
        callbacks=[clock(times)],
    )
    trainer.train()
    return times


def measure(options: argparse.Namespace) -> None:
    """Runs one side in this process."""
    import resource

    import torch

    from starfreight.jobs.train.model import choose_device, load_model

    torch.set_num_threads(options.threads)
    training = settings(options)
    device = choose_device()
    model = load_model(options.base, "starcoder2", training, device)
    with tempfile.TemporaryDirectory() as work:
        times = {"ours": ours, "trl": trl}[options.side](model, training, options, Path(work))
    steps = [later - sooner for sooner, later in itertools.pairwise(times)][SKIPPED:]
    memory = (
        torch.cuda.max_memory_allocated()
        if device.type == "cuda"
        else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    )
    weights = sum(
        weight.numel() * (2 if weight.dtype == torch.uint8 else 1)
        for name, weight in model.named_parameters()
        if "lora_" not in name and "embed" not in name
    )
    print(
        json.dumps(
            {
                "tokens_per_second": options.batch * options.sequence / statistics.median(steps),
                "memory": memory,
                "device": torch.cuda.get_device_name() if device.type == "cuda" else "cpu",
                "weights": weights,
            }
        )
    )


def one(side: str, base: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Runs one side in its own process."""
    names = ("shape", "sequence", "batch", "steps", "threads")
    command = [sys.executable, "-P", __file__, "--side", side, "--base", str(base)]
    command += [part for name in names for part in (f"--{name}", str(getattr(options, name)))]
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "PYTHONWARNINGS": "ignore",
        "TOKENIZERS_PARALLELISM": "false",
    }
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True, text=True)
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures


def main() -> None:
    """Runs both and prints the ratios."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shape", choices=SHAPES, default="small")
    parser.add_argument("--sequence", type=int, default=256, help="tokens in a block")
    parser.add_argument("--batch", type=int, default=4, help="blocks in a step")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3, help="number of runs of each side")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--side", choices=["ours", "trl"], help=argparse.SUPPRESS)
    parser.add_argument("--base", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        measure(options)
        return
    found: dict[str, list[dict[str, Any]]] = {"ours": [], "trl": []}
    with tempfile.TemporaryDirectory() as folder:
        make_base(Path(folder), options.shape)
        for _ in range(options.rounds):
            for side, figures in found.items():
                figures.append(one(side, Path(folder), options))
    speed = {
        side: statistics.median(f["tokens_per_second"] for f in figures) for side, figures in found.items()
    }
    memory = {side: max(f["memory"] for f in figures) for side, figures in found.items()}
    device = found["ours"][0]["device"]
    print(f"{options.shape} on {device}: {options.batch} x {options.sequence} tokens a step")
    for side, name in (("ours", "Starfreight"), ("trl", "TRL's SFTTrainer")):
        print(f"  {name:18} {speed[side]:10,.0f} tokens/s   {memory[side] / 2**30:6.2f} GiB")
    faster, larger = speed["ours"] / speed["trl"], memory["ours"] / memory["trl"]
    print(f"  {'ratio':18} {faster:10.2f}            {larger:6.2f}")
    peak = next((peak for name, peak in PEAKS.items() if name in device), None)
    if peak is not None:  # On a GPU, activations are recomputed.
        part = speed["ours"] * 6 * found["ours"][0]["weights"] / peak
        print(f"  share of the bfloat16 peak, at 6N per token: {part:.0%}")


if __name__ == "__main__":
    main()
