"""Pressing StarCoder2-15B on a GitHub runner: 14 GB of disk, and 8 or 16 GB of memory.

    python benchmarks/runner_limits.py                                   # as root, 10 GB free
    python benchmarks/runner_limits.py --memory 8 --disk 14 -q Q4_K_M --work /some/disk
    python benchmarks/runner_limits.py --streamed --memory 8             # the base stays at a hub

The base is 32 GB in bfloat16, so it fits no such disk and is read from a mounted one, or with --streamed from
a hub, a process on this machine outside of the limits. A sparse file with the true shapes of all 40 layers
stands for it, which takes no disk. Its weights are zero and the adapter's are random, so all linear layers
are merged and quantised from numbers of their own. The runner's disk is an ext4 file system of its size, its
memory a control group (version 1 or 2), which counts the page cache, too.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import press_steps
from press_memory import LAYERS, look

ROOT = Path(__file__).resolve().parents[1]
GROUPS = Path("/sys/fs/cgroup")


def make(work: Path, model: str, vocabulary: int, layers: int) -> int:
    """Makes the sparse base and the adapter; returns the number of weights."""

    def write(path: Path, tensors: dict[str, tuple[str, tuple[int, ...]]], weights: Any) -> None:
        if path.parent.name == "adapter":
            whole(path, tensors, weights)
            return
        header, position = {"__metadata__": {"format": "pt"}}, 0
        for name, (kind, shape) in tensors.items():
            size = 2
            for length in shape:
                size *= length
            header[name] = {"dtype": kind, "shape": shape, "data_offsets": [position, position + size]}  # type: ignore[assignment]
            position += size
        raw = json.dumps(header).encode()
        with path.open("wb") as stream:
            stream.write(len(raw).to_bytes(8, "little") + raw)
            stream.truncate(8 + len(raw) + position)

    whole, press_steps.write = press_steps.write, write
    return int(press_steps.make(str(work), model, str(layers), str(vocabulary), "16")["parameters"])


@contextmanager
def small_disk(work: Path, gigabytes: float) -> Iterator[Path]:
    """A file system of the runner's size."""
    image, folder = work / "disk.img", work / "runner"
    folder.mkdir()
    with image.open("wb") as stream:
        stream.truncate(int(gigabytes * 1e9))
    subprocess.run(["mkfs.ext4", "-q", "-m", "0", image], check=True)
    subprocess.run(["mount", "-o", "loop", image, folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)
        image.unlink()


@contextmanager
def small_memory(gigabytes: float) -> Iterator[Path]:
    """A control group with a limit; the page cache counts."""
    unified = (GROUPS / "cgroup.controllers").exists()
    group = (GROUPS if unified else GROUPS / "memory") / f"starfreight-press-{os.getpid()}"
    group.mkdir()
    names = ("memory.max", "memory.swap.max") if unified else ("memory.limit_in_bytes",)
    for name in names:
        if (group / name).exists():
            (group / name).write_text("0" if "swap" in name else str(int(gigabytes * 1e9)))
    try:
        yield group
    finally:
        for _ in range(100):  # A process that has just ended still counts for a moment.
            try:
                group.rmdir()
                break
            except OSError:
                time.sleep(0.1)


def peak_of(group: Path) -> int:
    """The most memory that a group has used, page cache included, in bytes."""
    for name in ("memory.peak", "memory.max_usage_in_bytes"):
        if (group / name).exists():
            return int((group / name).read_text())
    return 0


def main() -> None:
    """Makes the model, presses it within the limits, and prints the measurements."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--model", choices=list(LAYERS), default="15b")
    parser.add_argument("--layers", type=int, help="fewer than the model has, for a quick look")
    parser.add_argument("-q", "--quantize", action="append", help="default: Q4_K_M")
    parser.add_argument("--disk", type=float, default=14, help="GB (default: 14)")
    parser.add_argument("--memory", type=float, action="append", help="GB; repeatable (default: 16 and 8)")
    parser.add_argument("--streamed", action="store_true", help="the base stays at a hub, served from here")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--vocabulary", type=int, default=49152)
    parser.add_argument("--work", type=Path, help="a directory for the models (default: a temporary one)")
    options = parser.parse_args()
    if os.geteuid() != 0:
        raise SystemExit("Mounting a disk and limiting memory need root.")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # The disk is unmounted all the same.
    work = Path(tempfile.mkdtemp(prefix="runner-", dir=options.work))
    try:
        weights = make(work, options.model, options.vocabulary, options.layers or LAYERS[options.model])
        size = sum(path.stat().st_size for path in (work / "base").iterdir())
        source = "a hub" if options.streamed else "a mounted disk"
        print(f"{options.model}: {weights:,} weights, {size / 1e9:.1f} GB in bfloat16, read from {source}")
        with ExitStack() as stack:
            base, settings = str(work / "base"), dict[str, str]()
            if options.streamed:
                base, settings = stack.enter_context(hub(work / "base"))
            for memory in options.memory or [16, 8]:
                with small_disk(work, options.disk) as disk, small_memory(memory) as group:
                    press(work, base, settings, disk, group, options, memory)
                (work / "runner").rmdir()
    finally:
        shutil.rmtree(work, ignore_errors=True)


@contextmanager
def hub(folder: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """A hub with the base, in a process of its own: the base's name, and the environment that leads to it."""
    server = subprocess.Popen(
        [sys.executable, "-c", _HUB, str(ROOT / "tests" / "plugins"), str(folder)],
        stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert server.stdout is not None
        address, token, commit = server.stdout.readline().split()
        settings = {"HF_ENDPOINT": address, "HF_TOKEN": token, "NO_PROXY": "*", "no_proxy": "*"}
        yield f"acme/base@{commit}", settings
    finally:
        server.kill()
        server.wait()


_HUB = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from hub_server import COMMIT, TOKEN, HubServer
with HubServer() as hub:
    folder = hub.models["acme/base"] = Path(sys.argv[2])
    for path in folder.iterdir():
        hub.digest(path)
    print(hub.address, TOKEN, COMMIT, flush=True)
    sys.stdin.read()
"""


def press(
    work: Path,
    base: str,
    settings: dict[str, str],
    disk: Path,
    group: Path,
    options: argparse.Namespace,
    memory: float,
) -> None:
    """Runs the command in the group, with its directories on the small disk."""
    from press_memory import Figures

    out = disk / "out"
    command = [
        sys.executable, "-m", "starfreight", "package", "press", base, "--adapter",
        str(work / "adapter"), "--out", str(out), "--name", "m", "--json", "--threads", str(options.threads),
        *(word for kind in options.quantize or ["Q4_K_M"] for word in ("--quantize", kind)),
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(disk), "HOME": str(disk)}
    if options.streamed:
        command.append("--stream-base")  # A few layers would have room on the disk.
    environment |= settings | {"HF_HOME": str(disk / "hf"), "XDG_CACHE_HOME": str(disk / "cache")}
    entered = f'echo $$ > {group}/cgroup.procs && exec "$@"'
    began = time.perf_counter()
    process = subprocess.Popen(
        ["sh", "-c", entered, "sh", *command], env=environment, stdout=subprocess.DEVNULL, cwd=disk
    )
    figures, full = Figures(), [0]

    def watch() -> None:
        while process.poll() is None:
            look(Path("/proc", str(process.pid)), out, figures, closely=False)
            usage = os.statvfs(disk)
            full[0] = max(full[0], (usage.f_blocks - usage.f_bfree) * usage.f_frsize)
            time.sleep(0.02)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        code = process.wait()
    finally:
        process.kill()
        watcher.join()
    seconds = time.perf_counter() - began
    made = sum(path.stat().st_size for path in out.glob("*.gguf")) if out.exists() else 0
    ended = "pressed" if code == 0 else f"failed ({code})"
    print(
        f"{memory:g} GB of memory, {options.disk:g} GB of disk: {ended}\n"
        f"  anonymous memory  {figures.anonymous / 1e6:9.0f} MB at most\n"
        f"  with page cache   {peak_of(group) / 1e6:9.0f} MB at most, of {memory * 1e3:.0f}\n"
        f"  disk in use       {full[0] / 1e6:9.0f} MB at most, for {made / 1e6:.0f} MB of files\n"
        f"  time              {seconds:9.0f} s with {options.threads} threads, {figures.cpu:.0f} s of CPU",
        flush=True,
    )


if __name__ == "__main__":
    main()
