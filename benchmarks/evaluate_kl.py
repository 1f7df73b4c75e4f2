"""The suite ``quantization`` beside llama.cpp's own tool: time and KL divergence on the same files.

    python benchmarks/evaluate_kl.py REFERENCE MODEL TEXT --llama-perplexity PATH [--threads 2] [--rounds 3]

REFERENCE is the model in 16 bits, MODEL the quantised one, TEXT a text file. The tool runs twice: it writes
the reference's log-probabilities to a file, then it compares. The suite runs both models side by side, and
also computes the first half of each window for its exact figures, which the tool does not. Times are the
least of all rounds, which alternate; processor time is less disturbed by other programs than the clock.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt

from starfreight.console import Console, no_progress
from starfreight.jobs.evaluate.suites.interface import (
    HeldOut,
    HeldOutFile,
    Machinery,
    Preparation,
    SuiteOptions,
)
from starfreight.jobs.evaluate.suites.quantization import QuantizationSuite


def main() -> None:
    """Measures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("reference", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("text", type=Path)
    parser.add_argument("--llama-perplexity", required=True)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    ours, theirs = [], []
    for number in range(arguments.rounds):
        began = now()
        divergence, windows = run_suite(arguments)
        middle = now()
        printed = run_tool(arguments)
        ours.append(middle - began)
        theirs.append(now() - middle)
        print(
            f"round {number + 1}: suite {show(ours[-1])} (KL {divergence:.6f}); "
            f"llama-perplexity {show(theirs[-1])} (KL {printed})",
            flush=True,
        )
    own, other = np.min(ours, axis=0), np.min(theirs, axis=0)
    print(f"{windows} windows of 512 tokens, {arguments.threads} threads")
    for place, name in enumerate(("clock", "processor")):
        ratio = other[place] / own[place]
        print(f"{name:10} suite {own[place]:.2f} s, llama-perplexity {other[place]:.2f} s; ratio {ratio:.2f}")


def now() -> npt.NDArray[np.float64]:
    """Seconds by the clock, and of processor time with that of ended children."""
    times = os.times()
    used = times.user + times.system + times.children_user + times.children_system
    return np.array([time.perf_counter(), used])


def show(seconds: npt.NDArray[np.float64]) -> str:
    """Both of them."""
    return f"{seconds[0]:.2f} s, {seconds[1]:.2f} s of processor"


def run_suite(arguments: argparse.Namespace) -> tuple[float, int]:
    """Mean KL divergence and number of windows of the suite."""
    file = HeldOutFile("text", "text", arguments.text.name, "text", arguments.text.read_text())
    held_out = HeldOut("text", None, (file,), lambda name: [])
    suite, options = QuantizationSuite(), SuiteOptions()
    problems = suite.prepare(Preparation(Path(), options, lambda: held_out, Console(quiet=True))).problems
    with tempfile.TemporaryDirectory() as scratch:
        machinery = Machinery(
            options=options,
            model=_unused,
            gguf=arguments.model,
            adapter=None,
            reference=arguments.reference,
            threads=arguments.threads,
            sandbox=_unused,
            scratch=Path(scratch),
            check=lambda: None,
            advance=no_progress,
        )
        measured = suite.measure(problems, machinery)
    return measured.figures[0].value, measured.settings["outcomes"]["windows"]


def run_tool(arguments: argparse.Namespace) -> str:
    """Runs both passes of the tool. Returns the mean KL divergence that it prints."""
    with tempfile.TemporaryDirectory() as scratch:
        shared = ["-c", "512", "-t", str(arguments.threads), "--kl-divergence-base", f"{scratch}/base.dat"]
        tool = arguments.llama_perplexity
        subprocess.run(
            [tool, "-m", arguments.reference, "-f", arguments.text, *shared], check=True, capture_output=True
        )
        output = subprocess.run(
            [tool, "-m", arguments.model, *shared, "--kl-divergence"],
            check=True, capture_output=True, text=True,
        ).stdout  # fmt: skip
    found = re.search(r"Mean\s+KLD:\s*([\d.]+)", output)
    return found.group(1) if found else "not printed, as its log is cut at times"


def _unused(*_: object) -> object:
    raise AssertionError("the suite runs without a server and a sandbox")


if __name__ == "__main__":
    main()
