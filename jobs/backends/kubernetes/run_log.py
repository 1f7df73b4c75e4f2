"""Keeps the output of a pod's job in its run: ``job.log``. The logs of pods vanish with the pods.

    with keep_output(run):
        print("both in the pod's log and in job.log")

The copy is made by ``tee``, a process of its own, because output must not wait for this one: a library may
hold the interpreter for minutes, and print meanwhile.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from starfreight.errors import InputError
from starfreight.jobs.protocol.log import open_log

_PATIENCE = 10
"""Seconds to wait for the last lines. A process that outlives the job may hold its output open."""


@contextlib.contextmanager
def keep_output(run: Path) -> Iterator[None]:
    """Appends everything that this process and those it starts print to the run's ``job.log``, too.

    Without ``tee`` in the image, or if the log cannot be opened, nothing is kept, and the job runs all the
    same.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    with contextlib.ExitStack() as stack:
        try:
            log = stack.enter_context(open_log(run, write=True))
            copier = subprocess.Popen(
                # The open file, not its name: the job can write to the directory.
                ["tee", "-a", f"/dev/fd/{log.fileno()}"],
                stdin=subprocess.PIPE,
                pass_fds=(log.fileno(),),
                start_new_session=True,
            )
        except (OSError, InputError):
            yield
            return
        assert copier.stdin is not None
        originals = [(number, os.dup(number)) for number in (1, 2)]
        for number, _ in originals:
            os.dup2(copier.stdin.fileno(), number)
        copier.stdin.close()
        try:
            yield
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for number, original in originals:
                os.dup2(original, number)
                os.close(original)
            with contextlib.suppress(subprocess.TimeoutExpired):
                copier.wait(_PATIENCE)
