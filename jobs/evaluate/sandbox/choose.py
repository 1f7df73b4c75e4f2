"""The strongest sandbox that works on this machine."""

from __future__ import annotations

import time

from starfreight.errors import ServiceError
from starfreight.jobs.evaluate.sandbox.bubblewrap import Bubblewrap
from starfreight.jobs.evaluate.sandbox.interface import BoxEndedError, Limits, Sandbox
from starfreight.jobs.evaluate.sandbox.landlock import Landlock
from starfreight.jobs.evaluate.sandbox.unconfined import Unconfined

SANDBOXES = (Bubblewrap, Landlock)
"""The strongest first."""
_TRIAL = "def main():\n    send_message(b'ready')\n"
_TRIAL_SECONDS = 30.0


def open_sandbox(limits: Limits, *, allow_unsandboxed: bool = False) -> Sandbox:
    """The first sandbox in which a trial program runs.

    Args:
        limits: of each box.
        allow_unsandboxed: run programs as plain processes where no sandbox works.

    Raises:
        ServiceError: no sandbox works here.
    """
    failures = []
    for kind in SANDBOXES:
        try:
            sandbox = kind(limits)
            _try(sandbox)
        except ServiceError as error:
            failures.append(error.what)
        else:
            return sandbox
    if allow_unsandboxed:
        return Unconfined(limits)
    raise ServiceError(
        "No sandbox for generated code works on this machine. " + " ".join(failures),
        fix="enable user namespaces for bubblewrap (sysctl user.max_user_namespaces; on Ubuntu "
        "kernel.apparmor_restrict_unprivileged_userns=0), use Linux 6.12 or newer for Landlock, or run the "
        "evaluation in a container: --on docker. --allow-unsandboxed runs generated code with all your "
        "rights",
    )


def _try(sandbox: Sandbox) -> None:
    boxes = sandbox.boxes(_TRIAL)
    try:
        with boxes.start() as box:
            box.receive(time.monotonic() + _TRIAL_SECONDS)
    except BoxEndedError as end:
        raise ServiceError(f"A trial program in the sandbox ended early ({end.reason}).") from end
    finally:
        boxes.close()
