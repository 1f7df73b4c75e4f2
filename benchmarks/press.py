"""The press against the usual chain, side by side: time, memory, and bytes read and written, as ratios.

    python benchmarks/press.py                       # two layers of StarCoder2-3B, to Q4_K_M and Q8_0
    python benchmarks/press.py --model 7b --layers 4 --quantize Q4_K_M --quantize Q5_K_M --quantize Q8_0
    python benchmarks/press.py --converter llama.cpp/convert_hf_to_gguf.py

The usual chain: peft merges the adapter in float32 and saves a copy of the model, llama.cpp's converter
writes it as one GGUF file, llama.cpp's quantiser makes each type from it, and each file is hashed. Without
``--converter`` our own conversion replaces llama.cpp's, to the chain's advantage. Each step is a process that
measures itself, after its inputs have left the page cache, so that it reads as many bytes as on a machine
without room for a second copy of the model. The press flushes its files to the disk, and its time includes
that; the chain's steps leave it to the system.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
STEPS = ROOT / "benchmarks" / "press_steps.py"
FIGURES = {
    "seconds": "time",
    "cpu": "CPU time",
    "memory": "anonymous memory",
    "read": "bytes read",
    "written": "bytes written",
}


def step(name: str, inputs: Sequence[Path], *arguments: object) -> dict[str, Any]:
    """Runs a step in its own process and returns its figures."""
    for folder in inputs:
        for path in [folder] if folder.is_file() else folder.iterdir():
            with path.open("rb") as stream:
                os.fsync(stream.fileno())
                os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    command = [sys.executable, "-P", str(STEPS), name, *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True, text=True)
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures


def chain(work: Path, options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Runs the usual chain and returns each step's figures."""
    base, adapter, merged, plain = (work / name for name in ("base", "adapter", "merged", "plain.gguf"))
    steps = {"merge (peft)": step("merge", [base, adapter], base, adapter, merged)}
    if options.converter:
        converter = ["convert", [merged], merged, plain, options.converter]
        steps["convert (llama.cpp)"] = step(*converter)
    else:
        steps["convert (ours)"] = step("press", [merged], merged, "-", plain, options.threads, "BF16")
        (work / "plain.gguf.out" / "m-BF16.gguf").rename(plain)
    for kind in options.quantize:
        target = work / f"reference-{kind}.gguf"
        steps[f"quantise {kind}"] = step("quantise", [plain], plain, target, kind, options.threads)
        steps[f"hash {kind}"] = step("hash", [target], target)
    return steps


def same_weights(ours: Path, theirs: Path) -> bool:
    """True if two GGUF files hold the same tensors, byte for byte."""
    from gguf import GGUFReader

    found, expected = ({t.name: t for t in GGUFReader(path).tensors} for path in (ours, theirs))
    return found.keys() == expected.keys() and all(
        found[name].tensor_type == expected[name].tensor_type
        and found[name].data.tobytes() == expected[name].data.tobytes()
        for name in found
    )


def table(rows: Mapping[str, Mapping[str, Any]], total: float) -> None:
    """Prints the steps' figures, with each one's share of the time."""
    for name, figures in rows.items():
        print(
            f"  {name:22} {figures['seconds']:8.1f} s {figures['cpu']:8.1f} CPU-s"
            f" {figures['memory'] / 1e6:8.0f} MB memory {figures['read'] / 1e6:8.0f} MB read"
            f" {figures['written'] / 1e6:8.0f} MB written"
            f" {figures['seconds'] / total:5.0%}"
        )


def main() -> None:
    """Makes the model, runs both, and prints the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--model", choices=["tiny", "3b", "7b", "15b"], default="3b")
    parser.add_argument(
        "--layers", type=int, default=2, help="fewer layers than in the model, for a shorter run"
    )
    parser.add_argument(
        "--vocabulary", type=int, default=8192, help="size of the vocabulary; 49152 in StarCoder2"
    )
    parser.add_argument("--rank", type=int, default=16, help="rank of the adapter")
    parser.add_argument("--quantize", action="append", help="default: Q4_K_M and Q8_0")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--converter", type=Path, help="llama.cpp's convert_hf_to_gguf.py")
    parser.add_argument("--only-press", action="store_true", help="skip the chain")
    parser.add_argument(
        "--work", type=Path, help="a directory on the disk to measure (default: a temporary one)"
    )
    options = parser.parse_args()
    options.quantize = options.quantize or ["Q4_K_M", "Q8_0"]
    work = Path(tempfile.mkdtemp(prefix="press-", dir=options.work))
    try:
        made = step("make", [], work, options.model, options.layers, options.vocabulary, options.rank)
        base, adapter = work / "base", work / "adapter"
        print(f"{made['parameters']:,} weights, {options.threads} threads, {' + '.join(options.quantize)}")
        ours = step(
            "press", [base, adapter], base, adapter, work / "ours", options.threads, *options.quantize
        )
        print("the press")
        table({"all": ours}, ours["seconds"])
        busy = sum(ours["parts"].values())
        for part, seconds in ours["parts"].items():
            print(f"    {part:20} {seconds:8.1f} CPU-s {seconds / busy:5.0%}")
        print(f"    {'start and the rest':20} {ours['cpu'] - busy:8.1f} CPU-s")
        if options.only_press:
            return
        steps = chain(work, options)
        whole = {name: sum(figures[name] for figures in steps.values()) for name in FIGURES}
        whole["memory"] = max(figures["memory"] for figures in steps.values())
        print("the chain")
        table(steps, whole["seconds"])
        table({"all": whole}, whole["seconds"])
        print("the chain / the press")
        for name, what in zip(
            FIGURES, ("time", "CPU time", "memory", "bytes read", "bytes written"), strict=True
        ):
            print(f"  {what:22} {whole[name] / max(ours[name], 1):8.1f}")
        moved = (whole["read"] + whole["written"]) / (ours["read"] + ours["written"])
        print(f"  {'bytes moved':22} {moved:8.1f}")
        for kind in options.quantize:
            equal = same_weights(work / "ours.out" / f"m-{kind}.gguf", work / f"reference-{kind}.gguf")
            print(f"  {kind}: the weights are {'equal' if equal else 'NOT EQUAL'}")
    finally:
        shutil.rmtree(work)


if __name__ == "__main__":
    main()
