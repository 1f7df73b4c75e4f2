"""A process ends with the exit code of what it did, and a stop that comes too late does not change it."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from starfreight import errors
from starfreight.cli import main

DOCS = Path(__file__).resolve().parents[2] / "docs" / "exit-codes.md"

LATE = """
import atexit, os, signal, sys
from starfreight.exit_codes import leave_with

def stop(kill=os.kill, pid=os.getpid(), number=int(sys.argv[1])):
    kill(pid, number)

class Last:
    "Goes when the modules go, which is after Python gave its handlers of signals back."
    __del__ = lambda self, stop=stop: stop()

def main():
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, frame: sys.exit("never"))
    return 75

last = Last()
atexit.register(stop)
leave_with(main)
"""

TWICE = """
from starfreight.exit_codes import leave_with

def main():
    raise KeyboardInterrupt

leave_with(main)
"""

WAITING = """
import signal, threading
from starfreight.exit_codes import leave_with

def main():
    signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Thread(target=threading.Event().wait).start()
    print("waits", flush=True)
    return 0

leave_with(main)
"""

INTERRUPTED = """
import threading
from starfreight.exit_codes import leave_with

def main():
    threading.Thread(target=threading.Event().wait).start()
    print("said", end="")
    return 130

leave_with(main)
"""

ABORTS = """
import atexit, os, signal, sys
from starfreight.exit_codes import leave_at_once

class Group:
    "A process group of torch, whose destructor aborts the process."
    __del__ = lambda self, abort=os.abort: abort()

def main():
    print("done", end="")
    print("said", end="", file=sys.stderr)
    os.kill(os.getpid(), signal.SIGTERM)
    return int(sys.argv[1])

signal.signal(signal.SIGTERM, lambda number, frame: None)
group = Group()
atexit.register(os.abort)
leave_at_once(main)
"""


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_when_all_is_done_does_not_change_what_was_done(stop: signal.Signals) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LATE, str(int(stop))], timeout=60, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (75, "", "")


def test_a_stop_while_another_is_told_is_the_same_stop() -> None:
    done = subprocess.run([sys.executable, "-c", TWICE], timeout=60, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (130, "")


def test_a_process_that_waits_for_a_thread_can_be_stopped() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", WAITING], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as it:
        assert it.stdout is not None
        assert it.stdout.readline() == b"waits\n"
        time.sleep(0.5)  # Until Python waits for its threads.
        it.send_signal(signal.SIGINT)
        it.communicate(timeout=30)


@pytest.mark.parametrize("code", [0, 2, 75])
def test_a_program_that_leaves_at_once_has_its_exit_code_and_output_whatever_its_libraries_do_at_the_end(
    code: int,
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", ABORTS, str(code)], timeout=60, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (code, "done", "said")


def test_an_interrupted_command_waits_for_no_thread() -> None:
    done = subprocess.run([sys.executable, "-c", INTERRUPTED], timeout=60, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (130, "said")


def test_the_help_and_the_documentation_list_every_code(capsys: pytest.CaptureFixture[str]) -> None:
    kinds = [each for each in vars(errors).values() if isinstance(each, type)]
    codes = {each.exit_code for each in kinds if issubclass(each, errors.StarfreightError)}
    assert main(["--help"]) == 0
    listed = " ".join(capsys.readouterr().out.partition("Exit codes:")[2].split())
    for code in codes:
        assert re.search(rf"(^|, ){code} [a-z]", listed), code
        assert re.search(rf"^\| {code} \|", DOCS.read_text(), re.MULTILINE), code
