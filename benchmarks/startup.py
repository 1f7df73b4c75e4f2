"""Time of ``starfreight --help`` as a ratio to ``pip --help`` in the same environment.

    python benchmarks/startup.py

The two run in turn, so that a busy machine slows both.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from pathlib import Path

RUNS = 15


def seconds(command: list[str]) -> float:
    """Wall time of one run."""
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def main() -> None:
    """Prints both medians and their ratio."""
    folder = Path(sys.executable).parent
    ours, peer = [str(folder / "starfreight"), "--help"], [sys.executable, "-m", "pip", "--help"]
    for command in (ours, peer):
        seconds(command)
    pairs = [(seconds(ours), seconds(peer)) for _ in range(RUNS)]
    mine, theirs = (statistics.median(column) for column in zip(*pairs, strict=True))
    print(f"starfreight --help  {mine:.3f} s (median of {RUNS})")
    print(f"pip --help          {theirs:.3f} s")
    print(f"ratio               {mine / theirs:.2f}")


if __name__ == "__main__":
    main()
