"""Tests each layer of a sandbox by itself: an attack that one layer stops does not test the others."""

from __future__ import annotations

import json
import platform
import time
from pathlib import Path

import pytest

from starfreight.jobs.evaluate.sandbox.interface import BoxEndedError, Sandbox

NAMESPACES = ("ipc", "mnt", "net", "pid", "uts")
LISTS_NAMESPACES = f"""
import json, os

def main():
    found = {{name: os.readlink(f"/proc/self/ns/{{name}}") for name in {NAMESPACES!r}}}
    send_message(json.dumps(found).encode())
"""
CALLS_BY_ANOTHER_NUMBER = """
import ctypes

def main():
    libc = ctypes.CDLL(None)
    libc.syscall(ctypes.c_long(39))  # getpid
    send_message(b"called")
    libc.syscall(ctypes.c_long(0x40000000 | 39))
    send_message(b"called as x32")
"""
SECONDS = 60.0


def test_a_box_of_bubblewrap_shares_no_namespace_with_the_machine(sandbox: Sandbox) -> None:
    """Without its own network namespace, the seccomp filter alone would stand before the network."""
    if not sandbox.name.startswith("bubblewrap"):
        pytest.skip("Landlock does without namespaces")
    boxes = sandbox.boxes(LISTS_NAMESPACES)
    try:
        with boxes.start() as box:
            inside = json.loads(box.receive(time.monotonic() + SECONDS))
    finally:
        boxes.close()
    outside = {name: str(Path(f"/proc/self/ns/{name}").readlink()) for name in NAMESPACES}
    assert [name for name in NAMESPACES if inside[name] == outside[name]] == []


@pytest.mark.skipif(platform.machine() != "x86_64", reason="only x86_64 has x32's numbers")
def test_a_system_call_by_its_number_of_x32_ends_the_box(sandbox: Sandbox) -> None:
    """The numbers of x32 pass by a filter that compares those of x86_64."""
    boxes = sandbox.boxes(CALLS_BY_ANOTHER_NUMBER)
    try:
        with boxes.start() as box:
            assert box.receive(time.monotonic() + SECONDS) == b"called"
            with pytest.raises(BoxEndedError):
                box.receive(time.monotonic() + SECONDS)
    finally:
        boxes.close()
