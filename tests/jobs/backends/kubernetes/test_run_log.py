"""The output of a pod's job, kept in its run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[4]
PROGRAM = """
import os, subprocess, sys
from pathlib import Path
from starfreight.jobs.backends.kubernetes.run_log import keep_output
print("before")
with keep_output(Path(sys.argv[1])):
    print("an event")
    print("a warning", file=sys.stderr)
    subprocess.run(["sh", "-c", "echo of a process"])
    os.write(1, b"of a library\\n")
    print("x" * 100_000)
    {last}
print("after")
"""
KEPT = ["an event", "a warning", "of a process", "of a library", "x" * 100_000]


def run(folder: Path, last: str = "", **more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-u", "-c", PROGRAM.replace("{last}", last), str(folder)]
    environment = {"PATH": "/usr/bin:/bin", **more}
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False, env=environment
    )


def test_all_output_is_printed_and_kept(tmp_path: Path) -> None:
    for times in (1, 2):  # A second pod of the same job appends.
        done = run(tmp_path)
        assert done.stdout.splitlines() == ["before", *KEPT, "after"]
        assert (tmp_path / "job.log").read_text().splitlines() == KEPT * times


def test_the_end_of_a_job_that_fails_is_kept(tmp_path: Path) -> None:
    done = run(tmp_path, 'print("the reason"); raise SystemExit(3)')
    assert done.returncode == 3
    assert done.stdout.splitlines()[-1] == "the reason"
    assert (tmp_path / "job.log").read_text().splitlines()[-1] == "the reason"


@pytest.mark.parametrize("how", ["a link", "no tee"])
def test_a_log_that_cannot_be_kept_does_not_stop_the_job(tmp_path: Path, how: str) -> None:
    secret = tmp_path / "secret"
    secret.write_text("mine")
    if how == "a link":
        (tmp_path / "job.log").symlink_to(secret)
    done = run(tmp_path, **({"PATH": "/nowhere"} if how == "no tee" else {}))
    if how == "a link":
        assert done.stdout.splitlines() == ["before", "an event", *KEPT[2:], "after"]
    else:
        assert done.stdout.startswith("before\nan event\n")
    assert secret.read_text() == "mine"
