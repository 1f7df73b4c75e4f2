"""A pod that was killed for lack of memory is told from one that the cluster stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from starfreight.errors import RecipeError
from starfreight.files import write_json
from starfreight.jobs.backends.kubernetes.memory_notes import MemoryUse, VolumeNotes
from starfreight.jobs.backends.kubernetes.memory_record import (
    memory_use,
    refuse_repeated_shortage,
    watch_memory,
)

GIB = 1 << 30
Container = Callable[..., Path]


@pytest.fixture(params=[1, 2], ids=["cgroup v1", "cgroup v2"])
def container(request: pytest.FixtureRequest, tmp_path: Path) -> Container:
    """Writes the files of a container's control group."""

    def write(limit: int | None, used: int, files: int = 0) -> Path:
        folder = tmp_path / "cgroup"
        if request.param == 1:
            group = folder / "memory"
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        else:
            group = folder
            names = ("memory.max", "memory.current", "inactive_file")
        group.mkdir(parents=True, exist_ok=True)
        (group / names[0]).write_text("max\n" if limit is None else f"{limit}\n")
        (group / names[1]).write_text(f"{used}\n")
        (group / "memory.stat").write_text(f"anon 1\n{names[2]} {files}\n")
        return folder

    return write


def test_cached_files_do_not_count(container: Container) -> None:
    assert memory_use(container(8 * GIB, 7 * GIB, files=2 * GIB)) == MemoryUse(8 * GIB, 5 * GIB)
    assert memory_use(container(None, GIB)) is None


def test_a_pod_after_one_that_was_killed_near_its_limit_does_not_try_again(
    container: Container, tmp_path: Path
) -> None:
    record = tmp_path / "record.json"
    write_json(record, {"limit": 8 * GIB, "used": int(7.9 * GIB)})
    with pytest.raises(RecipeError, match=r"ran out of memory: .* used 8.* GB of 8.* GB") as caught:
        refuse_repeated_shortage(VolumeNotes(record), container(8 * GIB, GIB))
    assert caught.value.where == "key run.memory"
    refuse_repeated_shortage(VolumeNotes(record), container(8 * GIB, GIB))  # On request it is tried again.


@pytest.mark.parametrize(
    ("limit", "used", "now"),
    [(8, 4, 8), (8, 7.9, 16)],
    ids=["the node was lost", "it has more memory now"],
)
def test_other_pods_go_on(limit: float, used: float, now: int, container: Container, tmp_path: Path) -> None:
    record = tmp_path / "record.json"
    write_json(record, {"limit": int(limit * GIB), "used": int(used * GIB)})
    refuse_repeated_shortage(VolumeNotes(record), container(now * GIB, GIB))
    assert not record.exists()


@pytest.mark.parametrize("text", ["", "[]", '{"limit": 1}', '{"limit": "x", "used": []}'])
def test_a_damaged_record_is_ignored(text: str, container: Container, tmp_path: Path) -> None:
    record = tmp_path / "record.json"
    record.write_text(text)
    refuse_repeated_shortage(VolumeNotes(record), container(8 * GIB, GIB))


PROGRAM = """
import signal, sys, time
from pathlib import Path
from starfreight.jobs.backends.kubernetes.memory_notes import VolumeNotes
from starfreight.jobs.backends.kubernetes.memory_record import watch_memory
with watch_memory(VolumeNotes(Path(sys.argv[1])), Path(sys.argv[2]), interval=0.02):
    signal.signal(signal.SIGTERM, lambda number, frame: None)
    end = time.monotonic() + 30
    while time.monotonic() < end:
        time.sleep(0.1)
"""


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_the_record_stays_after_sigkill_and_goes_after_a_request_to_stop(
    container: Container, tmp_path: Path
) -> None:
    group, record = container(8 * GIB, 3 * GIB), tmp_path / "record.json"
    command = [sys.executable, "-c", PROGRAM, str(record), str(group)]
    with subprocess.Popen(command) as killed:
        wait_until(record.exists)
        container(8 * GIB, 7 * GIB)
        wait_until(lambda: str(7 * GIB) in record.read_text())
        killed.kill()
    assert record.exists()
    record.unlink()
    with subprocess.Popen(command) as stopped:
        wait_until(record.exists)
        os.kill(stopped.pid, signal.SIGTERM)
        wait_until(lambda: not record.exists())
        assert stopped.poll() is None, "it is writing its checkpoint"
        stopped.kill()
    assert not record.exists()


def test_the_record_goes_with_the_end_of_the_job(container: Container, tmp_path: Path) -> None:
    record = tmp_path / "record.json"
    with watch_memory(VolumeNotes(record), container(8 * GIB, GIB), interval=0.01):
        wait_until(record.exists)
    assert not record.exists()
