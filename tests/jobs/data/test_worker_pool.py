"""Results are in order, and failures of processes are reported."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from starfreight.errors import InputError, ServiceError
from starfreight.jobs.data.worker_pool import Batching, ordered_map


@pytest.fixture(autouse=True)
def _in_every_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes this module importable in the started processes."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[3]))


SMALL = Batching(cost=4, start_after=8, most=4)


def make_square(offset: int) -> Callable[[int], tuple[int, int]]:
    """A worker that is slow with every seventh item."""

    def work(item: int) -> tuple[int, int]:
        if item % 7 == 0:
            time.sleep(0.01)
        return item * item + offset, os.getpid()

    return work


def make_picky() -> Callable[[int], int]:
    """A worker that raises for items from 20 on."""

    def work(item: int) -> int:
        if item >= 20:
            raise InputError(f"{item} is too much.", where="here", fix="take less")
        return item

    return work


def make_victim() -> Callable[[int], int]:
    """A worker that is killed as when memory runs out."""

    def work(item: int) -> int:
        if item == 30:
            os.kill(os.getpid(), signal.SIGKILL)
        return item

    return work


def make_torch_watcher() -> Callable[[int], bool]:
    """A worker that returns true if torch is imported."""
    return lambda item: "torch" in sys.modules


def one(item: int) -> int:
    """Every item costs the same."""
    return 1


def test_results_come_in_the_order_of_the_items_from_any_number_of_processes() -> None:
    expected = [number * number + 5 for number in range(100)]
    for processes in (1, 2, 3):
        found = list(
            ordered_map(make_square, (5,), range(100), cost=one, processes=processes, batching=SMALL)
        )
        assert [value for value, _ in found] == expected
        workers = {process for _, process in found}
        assert (os.getpid() in workers) == (processes == 1)
        assert len(workers) == processes


def test_little_work_is_done_without_processes() -> None:
    found = list(ordered_map(make_square, (0,), range(8), cost=one, processes=2, batching=SMALL))
    assert {process for _, process in found} == {os.getpid()}


def test_items_are_read_only_as_far_as_they_are_needed() -> None:
    read = 0

    def items() -> Iterator[int]:
        nonlocal read
        for number in range(100_000):
            read += 1
            yield number

    results = ordered_map(make_square, (0,), items(), cost=one, processes=2, batching=SMALL)
    for _ in range(10):
        next(results)
    assert read < 100
    results.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize("processes", [1, 2])
def test_an_error_in_a_worker_arrives_as_itself_after_the_results_before_it(processes: int) -> None:
    results = ordered_map(make_picky, (), range(100), cost=one, processes=processes, batching=SMALL)
    seen = []
    with pytest.raises(InputError, match=r"^20 is too much") as caught:
        for result in results:
            seen.append(result)
    assert seen == list(range(20))
    assert (caught.value.where, caught.value.fix) == ("here", "take less")


def test_an_error_in_the_items_arrives_and_leaves_no_process() -> None:
    def items() -> Iterator[int]:
        yield from range(50)
        raise InputError("The file ends in the middle.")

    with pytest.raises(InputError, match="in the middle"):
        list(ordered_map(make_square, (0,), items(), cost=one, processes=2, batching=SMALL))
    assert not _children()


def test_a_process_that_the_system_ends_gives_one_clear_error() -> None:
    with pytest.raises(ServiceError, match=r"exit code -9.*memory") as caught:
        list(ordered_map(make_victim, (), range(100), cost=one, processes=2, batching=SMALL))
    assert "run.threads" in str(caught.value.fix)
    assert not _children()


def test_processes_do_not_import_torch() -> None:
    pytest.importorskip("torch")
    assert not any(ordered_map(make_torch_watcher, (), range(50), cost=one, processes=2, batching=SMALL))


PROGRAM = """
import sys, time
from starfreight.jobs.data.worker_pool import Batching, ordered_map

def make():
    return work

def work(item):
    time.sleep(0.2)
    return item

if __name__ == "__main__":
    import starfreight.cli, signal
    signal.signal(signal.SIGTERM, starfreight.cli._as_interrupt)
    try:
        for item in ordered_map(make, (), iter(range(10**6)), cost=lambda item: 1, processes=2,
                                batching=Batching(4, 8, 4)):
            print(item, flush=True)
    except KeyboardInterrupt:
        sys.exit(130)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_when_the_command_is_ended_all_its_processes_end(number: signal.Signals, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    process = subprocess.Popen(
        [sys.executable, "program.py"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}, start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == b"0\n"
    assert len(_session(process.pid)) >= 3
    if number == signal.SIGINT:
        os.killpg(process.pid, number)  # As a terminal does.
    else:
        process.send_signal(number)
    process.wait(20)
    _, errors = process.communicate(timeout=20)
    if number != signal.SIGKILL:
        assert process.returncode == 130
        assert b"Traceback" not in errors
    end = time.monotonic() + 20
    while _session(process.pid):
        assert time.monotonic() < end, "processes are left"
        time.sleep(0.05)


def _children() -> list[int]:
    """The child processes started by multiprocessing, without its resource tracker."""
    import multiprocessing

    return [child.pid for child in multiprocessing.active_children() if child.pid]


def _session(session: int) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rsplit(") ", 1)[1].split()
        except (OSError, IndexError):
            continue
        if int(fields[3]) == session and fields[0] != "Z":
            found.append(int(path.parent.name))
    return found
