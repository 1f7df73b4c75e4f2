"""Stopped at any moment, or on a full disk, the press leaves all its files or none."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from starfreight.files import sha256_file

LIMITED = """
import resource, sys
limit = int(sys.argv.pop(1))
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
from starfreight.cli import entry
entry()
"""
KINDS = ("F32", "Q4_K_M")


class Work(NamedTuple):
    """A model, how long a press of it takes in seconds, and the digests of its files by name."""

    base: Path
    seconds: float
    digests: Mapping[str, str]


def start(base: Path, out: Path, *program: str) -> subprocess.Popen[str]:
    """The command in a process of its own, whose temporary folder is ``tmp`` beside ``out``."""
    temporary = out.parent / "tmp"
    temporary.mkdir(exist_ok=True)
    kinds = [word for kind in KINDS for word in ("--quantize", kind)]
    return subprocess.Popen(
        [
            sys.executable, *(program or ("-m", "starfreight")), "package", "press", str(base), *kinds,
            "--out", str(out), "--name", "m", "--threads", "2", "--json", "--quiet",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path.cwd()), "TMPDIR": str(temporary)},
    )  # fmt: skip


def lying(out: Path) -> dict[str, str]:
    """The digests of the files that lie in a folder under final names."""
    return {path.name: sha256_file(path) for path in out.glob("*.gguf")}


@pytest.fixture(scope="module")
def work(make_checkpoint: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Work:
    """A model that takes about a second."""
    folder = tmp_path_factory.mktemp("work")
    base = make_checkpoint(folder / "base", vocab_size=16_000, ffn=2048, layers=4)
    began = time.monotonic()
    process = start(base, folder / "out")
    assert process.wait() == 0
    return Work(base, time.monotonic() - began, lying(folder / "out"))


@pytest.mark.parametrize("stop", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("turn", range(3))
def test_stopped_at_any_moment_it_leaves_all_files_or_none(
    stop: signal.Signals, turn: int, work: Work, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    process = start(work.base, out)
    while process.poll() is None and not out.exists():
        time.sleep(0.001)
    # The greater part of the whole time went into starting Python.
    time.sleep(work.seconds * random.Random(f"{stop} {turn}").uniform(0, 0.6))
    process.send_signal(stop)
    ended = process.wait()
    found = lying(out)
    assert found in ({}, work.digests)  # All of them where it was just done.
    if stop != signal.SIGKILL:
        assert ended in (0, 130)
        assert {path.name for path in out.iterdir()} == found.keys()


def test_a_killed_press_leaves_nothing_elsewhere_and_the_next_one_takes_over(
    work: Work, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    process = start(work.base, out)
    while process.poll() is None and not any(
        path.stat().st_size > 2_000_000 for path in out.glob(".partial-*")
    ):
        time.sleep(0.005)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    left = [path.name for path in out.iterdir() if path.name != ".lock"]
    assert len(left) == len(KINDS)
    assert all(name.startswith(".partial-") for name in left)
    assert list((tmp_path / "tmp").iterdir()) == []
    assert start(work.base, out).wait() == 0
    assert lying(out) == work.digests
    assert [path.name for path in out.glob(".partial-*")] == []


def full(process: subprocess.Popen[str], out: Path) -> None:
    """Checks that a press ends with an error that names the full disk."""
    said = json.loads(process.communicate()[0])["error"]
    assert process.returncode == 4
    assert said["kind"] == "ServiceError"
    assert "No space left to write" in said["what"]
    assert str(out) in said["where"]


@pytest.mark.parametrize("when", ["in the middle", "at the last byte"])
def test_a_file_that_must_not_grow_is_a_clear_error_and_leaves_nothing(
    when: str, work: Work, tmp_path: Path
) -> None:
    # The last bytes leave the process when the other file is whole already; it must not have its name then.
    size = (work.base.parent / "out" / "m-F32.gguf").stat().st_size
    out = tmp_path / "out"
    full(start(work.base, out, "-c", LIMITED, str(600_000 if when == "in the middle" else size - 1)), out)
    assert [path for path in out.iterdir() if path.name != ".lock"] == []


def test_a_full_disk_is_a_clear_error_and_leaves_what_was_there(work: Work, small_disk: Path) -> None:
    old = small_disk / "m-Q4_K_M.gguf"
    old.write_bytes(b"of another press")
    full(start(work.base, small_disk), small_disk)
    assert [path.name for path in small_disk.iterdir() if path.name != ".lock"] == [old.name]
    assert old.read_bytes() == b"of another press"
