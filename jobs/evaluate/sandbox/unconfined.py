"""No sandbox: plain processes with limits of resources, where the user allows that.

The processes of a box are found as children of its server, and ended. They can do all that the user can.
"""

from __future__ import annotations

import os
import subprocess
import sys
from functools import partial
from pathlib import Path

from starfreight.errors import ServiceError
from starfreight.jobs.evaluate.sandbox.box_directory import BoxDirectory
from starfreight.jobs.evaluate.sandbox.fork_server import ForkServer, Launched
from starfreight.jobs.evaluate.sandbox.fork_server_source import ServerOptions, fork_server_source
from starfreight.jobs.evaluate.sandbox.interface import Limits

_SOURCE = """
def _confine(libc):
    libc.prctl(36, 1, 0, 0, 0)  # Processes whose parents have ended become this one's children.


def _kill_all():
    waiting = [str(os.getpid())]
    while waiting:
        process = waiting.pop()
        try:
            for thread in os.listdir(f"/proc/{process}/task"):
                with open(f"/proc/{process}/task/{thread}/children") as file:
                    waiting += file.read().split()
            if int(process) != os.getpid():
                os.kill(int(process), 9)
        except OSError:
            pass
"""


class Unconfined:
    """Plain processes.

    Args:
        limits: of each box. The number of processes is only watched.
    """

    name = "none"

    def __init__(self, limits: Limits) -> None:
        self._limits = limits

    def boxes(
        self, source: str, *, limits: Limits | None = None, visible: tuple[Path, ...] = ()
    ) -> ForkServer:
        """Boxes for a program; see :class:`Sandbox`."""
        bounds = limits or self._limits
        return ForkServer(partial(self._launch, bounds), source, bounds)

    def _launch(self, limits: Limits, control: int) -> Launched:
        directory = BoxDirectory(None)
        options = ServerOptions(None, control, str(directory.path), None, _SOURCE)
        python = str(getattr(sys, "_base_executable", sys.executable))
        place = str(directory.path)
        try:
            process = subprocess.Popen(
                [python, "-s", "-S", "-P", "-c", fork_server_source(limits, options)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(control,),
                start_new_session=True,
                cwd=place,
                env={
                    "PATH": os.environ.get("PATH", "/usr/bin"),
                    "HOME": place,
                    "TMPDIR": place,
                    "LANG": "C.UTF-8",
                    "PYTHONHASHSEED": "0",
                },
            )
        except OSError as error:
            directory.remove()
            raise ServiceError(
                f"A process for generated code cannot be started: {error.strerror or error}.",
                where=python,
                fix="free memory, or lower the number of processes",
            ) from error
        return Launched(process, directory, counts=True, ends_together=False)
