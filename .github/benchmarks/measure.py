"""Runs the benchmarks that need no other program than a runner has: ``measure.py FILE``.

FILE gets ``{name: {ratio: number}}``. A benchmark that fails, takes too long, or prints no ratio is an error,
after the others have run.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

_SECONDS = 1500
# Command, and the pattern of a ratio. Speeds depend on the runner; ratios to a peer that ran beside ours do
# so much less.
BENCHMARKS: dict[str, tuple[list[str], str]] = {
    "startup": (["benchmarks/startup.py"], r"^(?P<name>ratio) +(?P<value>[\d.]+)$"),
    "kernels": (["benchmarks/kernels.py"], r"^(?P<name>\w+): .* median ratio (?P<value>[\d.]+)$"),
    "press": (["benchmarks/press.py"], r"^  (?P<name>time|CPU time|memory|bytes moved) +(?P<value>[\d.]+)$"),
    "verify": (
        ["benchmarks/verify.py", "--size", "0.5"],
        r"^(?P<name>starfreight.*?)  +[\d.]+ s +(?P<value>[\d.]+) x",
    ),
    "install_size": (["benchmarks/install_size.py"], r"^ +(?P<value>[\d.]+)% of the (?P<name>limit)"),
}


def read_ratios(output: str, pattern: str) -> dict[str, float]:
    """The ratios in the output of a benchmark."""
    matches = re.finditer(pattern, output, re.M)
    return {match["name"].strip(): float(match["value"]) for match in matches}


def main() -> int:
    """Measures everything, and returns 1 if a benchmark gave no ratio."""
    results: dict[str, dict[str, float]] = {}
    for name, (command, pattern) in BENCHMARKS.items():
        print(f"::group::{name}", flush=True)
        try:
            done = subprocess.run(
                [sys.executable, *command], stdout=subprocess.PIPE, text=True, timeout=_SECONDS
            )
            print(done.stdout, flush=True)
            results[name] = read_ratios(done.stdout, pattern) if done.returncode == 0 else {}
        except subprocess.TimeoutExpired:
            results[name] = {}
        print("::endgroup::", flush=True)
        if not results[name]:
            print(f"::error title=Benchmark::{name} gave no ratio.", flush=True)
    Path(sys.argv[1]).write_text(json.dumps(results, indent=1) + "\n")
    return 0 if all(results.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
