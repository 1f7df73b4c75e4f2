"""Runs command lines in many processes at the same time: ``crowd.py CLIENTS.json DIRECTORY``.

The file holds a list of clients, and each of them a list of command lines to run one after another. Every
command is a process of its own, forked from this one, which has imported what they need: starting fifty
interpreters takes two processors a minute, in which hardly two commands ever meet. Prints a list of clients,
each a list of ``{"returncode", "stderr", "seconds"}``, and the largest resident memory, in bytes.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from starfreight.cli import main

MODULES = (
    "starfreight.packager.cli.install",
    "starfreight.packager.cli.publish",
    "starfreight.packager.cli.pull",
    "starfreight.packager.install.folder",
    "starfreight.packager.registry.pull_package",
    "starfreight.packager.registry.push",
    "starfreight.registry.client",
)


def run_client(commands: list[list[str]], out: Path, gate: int) -> None:
    """Waits until the gate is closed, and runs the commands. Leaves the process."""
    os.read(gate, 1)
    done = []
    for number, words in enumerate(commands):
        began = time.monotonic()
        said = out.with_suffix(f".{number}")
        process = os.fork()
        if process == 0:
            _run(words, said)
        _, status = os.waitpid(process, 0)
        done.append({
            "returncode": os.waitstatus_to_exitcode(status), "stderr": said.read_text(),
            "seconds": time.monotonic() - began,
        })  # fmt: skip
    out.write_text(json.dumps([done, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024]))
    os._exit(0)


def _run(words: list[str], said: Path) -> None:
    code = 70
    try:
        os.dup2(os.open(said, os.O_WRONLY | os.O_CREAT, 0o600), 2)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        code = main(words)
    except BaseException:
        traceback.print_exc()
    sys.stderr.flush()
    os._exit(code)


def run_crowd(clients: list[list[list[str]]], folder: Path) -> dict[str, Any]:
    """Runs the clients, all at once."""
    for name in MODULES:
        importlib.import_module(name)
    gate, closes = os.pipe()
    files = [folder / f"client-{number}" for number in range(len(clients))]
    processes = []
    for commands, out in zip(clients, files, strict=True):
        process = os.fork()
        if process == 0:
            os.close(closes)
            run_client(commands, out, gate)
        processes.append(process)
    os.close(closes)
    for process in processes:
        os.waitpid(process, 0)
    done = [json.loads(each.read_text()) for each in files]
    return {"clients": [each for each, _ in done], "memory": max(memory for _, memory in done)}


if __name__ == "__main__":
    given = json.loads(Path(sys.argv[1]).read_text())
    print(json.dumps(run_crowd(given, Path(sys.argv[2]))))
