"""Memory, bytes and time of pressing a model of real size, with nothing on the disk but its files.

    python benchmarks/press_memory.py                          # StarCoder2's 3B and 7B, to Q4_K_M
    python benchmarks/press_memory.py --model 3b --quantize Q8_0 --threads 2 --work /some/large/disk

Each model has all layers, the whole vocabulary, random bfloat16 weights and an adapter for every linear
layer: 6 and 14 GB on the disk, and 2 and 5 GB more for each file. The command ``starfreight package press``
is measured from outside through ``/proc`` (Linux only). Anonymous memory is ``RssAnon``, sampled every 5 ms;
the whole resident set (``VmHWM``, kept by the kernel) includes the mapped files of numpy and llvmlite. The
model's files leave the page cache first, so that all are read.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LAYERS = {"tiny": 4, "3b": 30, "7b": 32, "15b": 40}
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT)}


@dataclass
class Figures:
    """Measurements of a process, in bytes and seconds."""

    anonymous: int = 0
    resident: int = 0
    on_disk: int = 0
    read: int = 0
    written: int = 0
    seconds: float = 0.0
    cpu: float = 0.0
    elsewhere: set[str] = field(default_factory=set)


def make(work: Path, model: str, vocabulary: int, rank: int) -> int:
    """Makes the model and its adapter in ``work``; returns its number of weights."""
    command = [
        sys.executable, "-P", str(ROOT / "benchmarks" / "press_steps.py"), "make",
        str(work), model, str(LAYERS[model]), str(vocabulary), str(rank),
    ]  # fmt: skip
    done = subprocess.run(command, env=ENVIRONMENT, stdout=subprocess.PIPE, check=True, text=True)
    return int(json.loads(done.stdout.splitlines()[-1])["parameters"])


def forget(folder: Path) -> None:
    """Drops a directory's files from the page cache."""
    for path in folder.iterdir():
        with path.open("rb") as stream:
            os.fsync(stream.fileno())
            os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def press(work: Path, quantizations: list[str], threads: int | None) -> Figures:
    """Runs the command and samples it."""
    out = work / "out"
    command = [
        sys.executable, "-m", "starfreight", "package", "press", str(work / "base"),
        "--adapter", str(work / "adapter"), "--out", str(out), "--name", "m", "--json",
    ]  # fmt: skip
    command += [word for kind in quantizations for word in ("--quantize", kind)]
    command += ["--threads", str(threads)] if threads else []
    for folder in (work / "base", work / "adapter"):
        forget(folder)
    began = time.perf_counter()
    process = subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.DEVNULL, cwd=work)
    figures = Figures()
    turn = 0
    while process.poll() is None:
        look(Path("/proc", str(process.pid)), out, figures, closely=turn % 20 == 0)
        turn += 1
        time.sleep(0.005)
    figures.seconds = time.perf_counter() - began
    if process.returncode:
        raise SystemExit(f"the press ended with {process.returncode}")
    return figures


def look(process: Path, out: Path, figures: Figures, *, closely: bool) -> None:
    """Samples a process once; ``closely`` includes its files."""
    try:
        status = (process / "status").read_text()
        io = dict(line.split(": ") for line in (process / "io").read_text().splitlines())
        times = (process / "stat").read_text().rsplit(")", 1)[1].split()
        if closely:
            figures.elsewhere |= written_elsewhere(process, out)
            sizes = (path.stat().st_blocks * 512 for path in out.iterdir()) if out.exists() else ()
            figures.on_disk = max(figures.on_disk, sum(sizes))
    except OSError:  # It has just ended.
        return
    found = dict(re.findall(r"(RssAnon|VmHWM):\s+(\d+) kB", status))
    figures.anonymous = max(figures.anonymous, int(found.get("RssAnon", 0)) * 1024)
    figures.resident = max(figures.resident, int(found.get("VmHWM", 0)) * 1024)
    if "read_bytes" in io:
        figures.read, figures.written = int(io["read_bytes"]), int(io["write_bytes"])
    figures.cpu = (int(times[11]) + int(times[12])) / os.sysconf("SC_CLK_TCK")


def written_elsewhere(process: Path, out: Path) -> set[str]:
    """The files outside ``out`` that a process has open for writing."""
    found = set()
    for link in (process / "fd").iterdir():
        words = (process / "fdinfo" / link.name).read_text().split()
        flags = int(words[words.index("flags:") + 1], 8)
        target = str(link.readlink())
        is_file = target.startswith("/") and not target.startswith(("/dev/", "/proc/"))
        if is_file and flags & os.O_ACCMODE != os.O_RDONLY and not Path(target).is_relative_to(out):
            found.add(target)
    return found


def main() -> None:
    """Makes each model, presses it, and prints the measurements."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--model", action="append", choices=list(LAYERS), help="default: 3b and 7b")
    parser.add_argument("--quantize", action="append", help="default: Q4_K_M")
    parser.add_argument("--threads", type=int, help="default: one per core")
    parser.add_argument("--vocabulary", type=int, default=49152)
    parser.add_argument("--rank", type=int, default=16, help="rank of the adapter")
    parser.add_argument(
        "--work", type=Path, help="a directory on the disk to measure (default: a temporary one)"
    )
    parser.add_argument("--keep", action="store_true", help="keep the models in --work for the next run")
    options = parser.parse_args()
    kinds = options.quantize or ["Q4_K_M"]
    top = options.work or Path(tempfile.mkdtemp(prefix="press-"))
    for model in options.model or ["3b", "7b"]:
        work = top / model
        try:
            if not (work / "made").exists():
                work.mkdir(parents=True)
                (work / "made").write_text(str(make(work, model, options.vocabulary, options.rank)))
            parameters = int((work / "made").read_text())
            size = sum(path.stat().st_size for path in (work / "base").iterdir())
            seen = press(work, kinds, options.threads)
            made = sum(path.stat().st_size for path in (work / "out").glob("*.gguf"))
            print(
                f"{model}: {parameters:,} weights, {size / 1e9:.2f} GB, to {' + '.join(kinds)}\n"
                f"  anonymous memory {seen.anonymous / 1e6:9.0f} MB at most\n"
                f"  resident set     {seen.resident / 1e6:9.0f} MB at most, with libraries' mapped files\n"
                f"  read             {seen.read / 1e6:9.0f} MB, {seen.read / size:.2f} of the model\n"
                f"  written          {seen.written / 1e6:9.0f} MB, {seen.written / made:.2f} of the files\n"
                f"  on the disk      {seen.on_disk / 1e6:9.0f} MB at most, of {made / 1e6:.0f} MB of files\n"
                f"  written besides  {', '.join(sorted(seen.elsewhere)) or 'nothing'}\n"
                f"  time             {seen.seconds:9.1f} s, {seen.cpu:.1f} s of the processor\n"
                f"  weights          {parameters / seen.seconds / 1e6:9.1f} million a second, "
                f"{parameters / seen.cpu / 1e6:.1f} a second of the processor",
                flush=True,
            )
        finally:
            shutil.rmtree(work / "out" if options.keep else work, ignore_errors=True)
    if not options.work:
        top.rmdir()


if __name__ == "__main__":
    main()
