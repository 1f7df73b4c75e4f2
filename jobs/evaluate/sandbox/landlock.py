"""Boxes by Landlock and seccomp, where nobody may make namespaces: in Docker containers, in restricted pods.

A box runs with no new privileges, no capabilities and limits of resources. Landlock keeps it from all files
but the interpreter's and those in a new directory, from signals to any process but its own, from TCP and
abstract sockets, and from tracing. A seccomp filter keeps it from all sockets, and from everything that
Landlock leaves open and could touch other processes or their files. As root, each sandbox has a user id of
its own.

Weaker than bubblewrap, and how that is met:

- Processes and files of the machine keep their names: a box can learn that a process with some number, or a
  file with some path, exists (``stat``), and who owns it. It cannot open either, nor list a directory.
- The directory that a box writes to is bounded by its parent, which looks every 0.02 to 0.1 s. In between, a
  box can write as much as the file system takes. Containers bound that: the directory is in ``/dev/shm`` if
  that is at most 1 GiB large. ``/tmp`` is closed; ``TMPDIR`` names the directory.
- As an ordinary user, boxes have that user's id. The number of processes is then limited above those that
  the user has already, and calls that change modes, owners, times and attributes of files are denied, since
  Landlock does not cover them. As root without CAP_SETUID the number cannot be limited: new processes are
  denied, threads are not.
- When the server of a sandbox is killed from outside (the machine is out of memory), a process that a box
  has detached lives on, confined as before, until its container ends.

Needs Linux 6.12 (ABI 6: signals). Source: https://docs.kernel.org/userspace-api/landlock.html.
"""

from __future__ import annotations

import ctypes
import os
import platform
import stat
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

from starfreight.errors import ServiceError
from starfreight.jobs.evaluate.sandbox.box_directory import BoxDirectory
from starfreight.jobs.evaluate.sandbox.fork_server import ForkServer, Launched
from starfreight.jobs.evaluate.sandbox.fork_server_source import ServerOptions, fork_server_source
from starfreight.jobs.evaluate.sandbox.interface import Limits
from starfreight.jobs.evaluate.sandbox.landlock_source import (
    READ,
    READ_FILE,
    WRITE,
    WRITE_FILE,
    Rule,
    landlock_source,
)
from starfreight.jobs.evaluate.sandbox.resource_use import threads_of_user
from starfreight.jobs.evaluate.sandbox.seccomp_filter import no_processes_filter, seccomp_filter
from starfreight.jobs.evaluate.sandbox.user_ids import box_user

_ABI = 6
_CREATE_RULESET, _GET_ABI = 444, 1
_OWN = 1
"""Processes of a sandbox: the server."""
_COUNT_AGAIN = 1.0
"""Seconds for which a number of processes is good enough."""
_DEVICES = {"null": READ_FILE | WRITE_FILE, "zero": READ_FILE, "random": READ_FILE, "urandom": READ_FILE}


class Landlock:
    """Sandbox of Landlock.

    Args:
        limits: of each box.

    Raises:
        ServiceError: the kernel's Landlock is missing or too old, or other users cannot read the interpreter.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        abi = landlock_abi()
        if abi < _ABI:
            old = f"has ABI {abi} and ABI {_ABI} is needed" if abi else "is disabled or missing"
            raise ServiceError(
                f"Landlock {old} in this machine's kernel.",
                fix="use Linux 6.12 or newer, with Landlock among the kernel's security modules (lsm=)",
            )
        if seccomp_filter(platform.machine(), around="user") is None:
            raise ServiceError(
                f"The sandbox has no seccomp filter for {platform.machine()} machines.",
                fix="evaluate on an x86_64 or aarch64 machine",
            )
        self._python = _find_python(os.geteuid() == 0 and box_user() is not None)
        self._count = _ProcessCount()
        self.name = f"landlock ABI {abi}"

    def boxes(
        self, source: str, *, limits: Limits | None = None, visible: tuple[Path, ...] = ()
    ) -> ForkServer:
        """Boxes for a program; see :class:`Sandbox`. Directories that only root can read stay closed."""
        bounds = limits or self._limits
        return ForkServer(partial(self._launch, bounds, visible), source, bounds)

    def _launch(self, limits: Limits, visible: tuple[Path, ...], control: int) -> Launched:
        user = box_user()
        shown = [path for path in visible if user is None or _open_to_all(path)]
        directory = None
        try:
            directory = BoxDirectory(user)
            source = self._source(limits, shown, user, control, str(directory.path))
            process = subprocess.Popen(
                [self._python, "-s", "-S", "-P", "-c", source],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(control,),
                start_new_session=True,
                cwd=directory.path,
                env={
                    "PATH": "/usr/bin",
                    "HOME": str(directory.path),
                    "TMPDIR": str(directory.path),
                    "LANG": "C.UTF-8",
                    "PYTHONHASHSEED": "0",
                },
            )
        except OSError as error:
            if directory is not None:
                directory.remove()
            raise ServiceError(
                f"The sandbox cannot start a process: {error.strerror or error}.",
                where=error.filename or self._python,
                fix="free memory and space for temporary files, or lower the number of processes",
            ) from error
        shared = user is None and os.geteuid() != 0
        count = (lambda: self._count() + limits.processes) if shared else None
        return Launched(process, directory, count, counts=user is None, ends_together=False)

    def _source(
        self, limits: Limits, shown: list[Path], user: int | None, control: int, directory: str
    ) -> str:
        machine = platform.machine()
        filter = seccomp_filter(machine, around="user" if user is not None else "shared user")
        assert filter is not None
        unlimited = user is None and os.geteuid() == 0
        more = landlock_source(
            (*_readable(self._python, shown), *_devices(), Rule(directory, WRITE)),
            filter,
            no_processes_filter(machine) if unlimited else None,
            x86_64=machine == "x86_64",
        )
        processes = limits.processes + _OWN if user is not None else None
        return fork_server_source(limits, ServerOptions(user, control, directory, processes, more))


def landlock_abi() -> int:
    """ABI of the kernel's Landlock; 0 without it."""
    libc = ctypes.CDLL(None, use_errno=True)
    return max(0, int(libc.syscall(ctypes.c_long(_CREATE_RULESET), None, ctypes.c_size_t(0), _GET_ABI)))


class _ProcessCount:
    """Threads of this user, counted once in a while."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counted, self._count = 0.0, 0

    def __call__(self) -> int:
        with self._lock:
            now = time.monotonic()
            if not self._counted or now - self._counted > _COUNT_AGAIN:
                self._counted, self._count = now, threads_of_user(os.getuid())
            return self._count


def _find_python(other_user: bool) -> str:
    """This interpreter without its virtual environment, or the system's of the same version."""
    python = Path(getattr(sys, "_base_executable", sys.executable)).resolve()
    if not other_user or _open_to_all(Path(sys.base_prefix)):
        return str(python)
    system = Path("/usr/bin/python{}.{}".format(*sys.version_info[:2]))
    if system.exists():
        return str(system)
    raise ServiceError(
        "The sandbox cannot use this interpreter: only root may read its directory.",
        where=sys.base_prefix,
        fix=f"install {system}, use an interpreter that all users can read, or evaluate as an ordinary user",
    )


def _open_to_all(directory: Path) -> bool:
    closed = [each for each in (directory, *directory.parents) if not each.stat().st_mode & stat.S_IXOTH]
    return not closed


def _readable(python: str, shown: list[Path]) -> list[Rule]:
    """Programs and libraries, as bubblewrap shows them."""
    places = ["/usr", "/lib", "/lib64", "/bin", *map(str, shown)]
    if not Path(python).is_relative_to("/usr"):
        places.append(sys.base_prefix)
    rules = [Rule(place, READ) for place in places if Path(place).is_dir()]
    cache = "/etc/ld.so.cache"
    return [*rules, Rule(cache, READ_FILE)] if Path(cache).exists() else rules


def _devices() -> list[Rule]:
    return [Rule(f"/dev/{name}", rights) for name, rights in _DEVICES.items() if Path("/dev", name).exists()]
