"""The program that a sandbox starts: it forks a fresh process for each box, and leaves none behind.

It has imported what programs often need, so a box costs a fork and not the start of an interpreter. The
parent sends it the two pipes of each box; a box has these and nothing of the server's. As the first process
of its namespace the server gets no signals from boxes, and the children of theirs that outlive them. It
cannot be read or traced (it is not dumpable), nor given other limits (the seccomp filter). A server that does
not answer is thrown away with its sandbox; so is a sandbox whose ``/tmp`` a box has used.
"""

from __future__ import annotations

from starfreight.jobs.evaluate.sandbox.interface import Limits

BEGIN, END = b"b", b"e"
"""Requests: ``BEGIN`` brings two descriptors, from which to read and to which to write."""
READY, CLEAN, USED = b"r", b"c", b"u"
"""Answers: to the start and to ``BEGIN``; to ``END``."""

_SOURCE = """
import os, resource, sys

def _limit():
    if {user!r}:
        os.setgroups([])
        os.setresgid({user!r}, {user!r}, {user!r})
        os.setresuid({user!r}, {user!r}, {user!r})
    for name, most in {limits!r}:
        resource.setrlimit(getattr(resource, name), (most, most))


def _serve():
    import _socket, array, ctypes, gc
    # Imported once for all boxes.
    import bisect, collections, copy, dataclasses, datetime, decimal, enum, fractions, functools, heapq
    import itertools, json, math, operator, random, re, statistics, string, time, typing
    random.seed(0)
    libc = ctypes.CDLL(None)
    control = _socket.socket(fileno={control})
    _limit()
    # Both are undone by a change of the user: end with bwrap, and let no process of this user look inside.
    libc.prctl(1, 9, 0, 0, 0)
    libc.prctl(4, 0, 0, 0, 0)
    namespace = {{"__name__": "box"}}
    exec(compile(sys.stdin.read(), "box.py", "exec", dont_inherit=True), namespace)
    gc.freeze()  # Forked pages stay shared.
    control.send({ready!r})
    while True:
        request, parts, flags, address = control.recvmsg(1, 64)
        if not request:
            os._exit(0)
        if request == {begin!r}:
            pipes = array.array("i")
            pipes.frombytes(parts[0][2])
            process = os.fork()
            if process == 0:
                control.close()
                resource.setrlimit(resource.RLIMIT_CPU, ({cpu}, {cpu}))
                try:
                    _run(namespace, *pipes)
                finally:
                    os._exit(0)
            for pipe in pipes:
                os.close(pipe)
            control.send({ready!r})
        else:
            # Until nobody is left: processes whose parents have ended are children of this one.
            while True:
                try:
                    os.kill(-1, 9)
                except ProcessLookupError:
                    pass
                try:
                    os.waitpid(-1, 0)
                except ChildProcessError:
                    break
            control.send({used!r} if os.listdir("/tmp") else {clean!r})


def _run(namespace, read, write):
    import struct

    def take(count):
        parts = []
        while count:
            part = os.read(read, min(count, 1 << 20))
            if not part:
                os._exit(0)
            parts.append(part)
            count -= len(part)
        return b"".join(parts)

    def send_message(message):
        message = struct.pack("=I", len(message)) + message
        while message:
            message = message[os.write(write, message):]

    namespace["receive_message"] = lambda: take(struct.unpack("=I", take(4))[0])
    namespace["send_message"] = send_message
    namespace["main"]()


_serve()
"""


def fork_server_source(limits: Limits, user: int | None, control: int) -> str:
    """Source text of the server; the boxes' program is its standard input.

    Args:
        limits: of the boxes.
        user: the user and group id to take on; ``None`` if the sandbox has one of its own.
        control: descriptor of its socket.
    """
    values = (
        # Set inside: outside, other sandboxes of the same user would count. Two are the server and bwrap.
        ("RLIMIT_NPROC", limits.processes + 2),
        ("RLIMIT_AS", limits.memory),
        ("RLIMIT_FSIZE", limits.disk),
        ("RLIMIT_NOFILE", 64),
        ("RLIMIT_CORE", 0),
        ("RLIMIT_STACK", 8 << 20),
        ("RLIMIT_MSGQUEUE", 0),
    )
    return _SOURCE.format(
        user=user or 0,
        limits=values,
        control=control,
        cpu=limits.cpu,
        ready=READY,
        begin=BEGIN,
        clean=CLEAN,
        used=USED,
    )
