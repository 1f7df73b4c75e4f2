"""The program that a sandbox starts: it forks a fresh process for each box, and leaves none behind.

It has imported what programs often need, so a box costs a fork and not the start of an interpreter. The
parent sends it the two pipes of each box; a box has these and nothing of the server's. Boxes cannot send it
signals: it is the first process of its namespace, or Landlock keeps them apart. Children of theirs that
outlive them become its own. It cannot be read or traced (it is not dumpable), nor given other limits (the
seccomp filter). A server that does not answer is thrown away with its sandbox; so is a sandbox whose
directory a box has used.
"""

from __future__ import annotations

from dataclasses import dataclass

from starfreight.jobs.evaluate.sandbox.interface import Limits

BEGIN, END = b"b", b"e"
"""Requests: ``BEGIN`` brings two descriptors, from which to read and to which to write, and is followed by
the most processes of the user (32 bits), 0 for no other limit than the server's; ``END``."""
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


def _confine(libc):
    pass


def _confine_box(libc):
    pass


def _kill_all():
    os.kill(-1, 9)


{more}


def _end_all():
    # Until nobody is left: processes whose parents have ended are children of this one.
    while True:
        try:
            _kill_all()
        except ProcessLookupError:
            pass
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            break


def _serve():
    import _socket, array, ctypes, gc, struct
    # Imported once for all boxes.
    import bisect, collections, copy, dataclasses, datetime, decimal, enum, fractions, functools, heapq
    import itertools, json, math, operator, random, re, statistics, string, time, typing
    random.seed(0)
    libc = ctypes.CDLL(None, use_errno=True)
    control = _socket.socket(fileno={control})
    _limit()
    # Undone by a change of the user: let no process of this user look inside.
    libc.prctl(4, 0, 0, 0, 0)
    _confine(libc)
    namespace = {{"__name__": "box"}}
    exec(compile(sys.stdin.read(), "box.py", "exec", dont_inherit=True), namespace)
    gc.freeze()  # Forked pages stay shared.
    control.send({ready!r})
    while True:
        request, parts, flags, address = control.recvmsg(8, 64)
        if not request:
            _end_all()
            os._exit(0)
        if request[:1] == {begin!r}:
            pipes = array.array("i")
            pipes.frombytes(parts[0][2])
            process = os.fork()
            if process == 0:
                control.close()
                (most,) = struct.unpack("=I", request[1:])
                if most:
                    resource.setrlimit(resource.RLIMIT_NPROC, (most, most))
                resource.setrlimit(resource.RLIMIT_CPU, ({cpu}, {cpu}))
                _confine_box(libc)
                try:
                    _run(namespace, *pipes)
                finally:
                    os._exit(0)
            for pipe in pipes:
                os.close(pipe)
            control.send({ready!r})
        else:
            _end_all()
            control.send({used!r} if os.listdir({directory!r}) else {clean!r})


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

DIE_WITH_PARENT = """
def _confine(libc):
    # Undone by a change of the user: end with bwrap.
    libc.prctl(1, 9, 0, 0, 0)
"""
"""For a server whose end is that of its process namespace."""


@dataclass(frozen=True)
class ServerOptions:
    """Options of a server.

    Attributes:
        user: the user and group id to take on; ``None`` if the sandbox has one of its own.
        control: descriptor of its socket.
        directory: where boxes may write.
        processes: most processes of the user; ``None`` if each box gets its own limit.
        more: source text: ``_confine(libc)`` before the first box, ``_confine_box(libc)`` in each box, and
            ``_kill_all()``, to replace those above.
    """

    user: int | None
    control: int
    directory: str
    processes: int | None
    more: str


def fork_server_source(limits: Limits, options: ServerOptions) -> str:
    """Source text of the server; the boxes' program is its standard input.

    Args:
        limits: of the boxes.
        options: of the server.
    """
    values = [
        ("RLIMIT_DATA" if limits.reserves else "RLIMIT_AS", limits.memory),
        ("RLIMIT_FSIZE", limits.disk),
        ("RLIMIT_NOFILE", 64),
        ("RLIMIT_CORE", 0),
        ("RLIMIT_STACK", 8 << 20),
        ("RLIMIT_MSGQUEUE", 0),
    ]
    if options.processes is not None:
        # Set inside: outside, other sandboxes of the same user would count.
        values.append(("RLIMIT_NPROC", options.processes))
    return _SOURCE.format(
        user=options.user or 0,
        limits=values,
        control=options.control,
        directory=options.directory,
        more=options.more,
        cpu=limits.cpu,
        ready=READY,
        begin=BEGIN,
        clean=CLEAN,
        used=USED,
    )
