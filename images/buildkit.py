"""BuildKit, through whichever ``docker`` command here can talk to it: the only module that decides that.

The docker SDK speaks the old builder's protocol only, so building is done by a command. A new client needs
the plugin buildx for it; one before version 23 has BuildKit built in. The first on the PATH may have neither.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

from starfreight.docker_engine import engine_address
from starfreight.errors import ServiceError

_ALSO = ("/usr/bin", "/usr/local/bin")
"""Where else a client may be, behind another one or off the PATH."""

_SECONDS = 30
_PATIENCE = 15
"""Seconds that a build has to stop in when it is asked to."""

_PROXIES = tuple(
    spelt for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY") for spelt in (name, name.lower())
)
"""Build arguments that every Dockerfile has, and that are not part of the image or of the cache's keys."""


@cache
def build_command() -> tuple[str, ...]:
    """The words that a BuildKit build begins with.

    Raises:
        ServiceError: no client here can.
    """
    clients = _clients()
    for client in clients:
        # Podman answers too, with a name of its own.
        if "buildx" in (_run(client, "buildx", "version") or ""):
            # The builder that is in the engine itself: others do not see the engine's images.
            return (client, "buildx", "build", "--builder", "default", "--load")
    for client in clients:
        version = re.match(r"Docker version (\d+)\.(\d+)", _run(client, "--version") or "")
        if version and (18, 9) <= (int(version[1]), int(version[2])) < (23, 0):
            return (client, "build")
    raise ServiceError(
        "No docker command here can build with BuildKit.",
        where=", ".join(clients) or "PATH",
        fix="install the plugin buildx (the package docker-buildx or docker-buildx-plugin)",
    )


def run_build(arguments: Sequence[str], context: Path, heard: Callable[[str], None]) -> int:
    """Builds, and returns the exit code of the command.

    An interruption stops the build too.

    Args:
        arguments: what ``docker build`` takes, without the context.
        context: the folder to build from.
        heard: is told each line of BuildKit's plain progress.
    """
    proxies = [word for name in _PROXIES if name in os.environ for word in ("--build-arg", name)]
    environment = {name: value for name, value in os.environ.items() if name != "DOCKER_CONTEXT"}
    environment |= {
        "DOCKER_HOST": engine_address(),
        "DOCKER_BUILDKIT": "1",
        # Attestations would make an index of the image, and name the time of the build.
        "BUILDX_NO_DEFAULT_ATTESTATIONS": "1",
    }
    with subprocess.Popen(
        [*build_command(), "--progress=plain", *proxies, *arguments, str(context)],
        env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, errors="replace", start_new_session=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        try:
            for line in process.stdout:
                heard(line.rstrip("\n"))
            return process.wait()
        except BaseException:
            _stop(process)
            raise


def _stop(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGINT)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_PATIENCE)
        return
    process.kill()


def _clients() -> list[str]:
    """Every ``docker`` on the PATH and where it usually is, in order, each once."""
    folders = [*os.environ.get("PATH", "").split(os.pathsep), *_ALSO]
    found: dict[str, str] = {}
    for folder in folders:
        if path := shutil.which("docker", path=folder or "."):
            found.setdefault(os.path.realpath(path), path)
    return list(found.values())


def _run(*command: str) -> str | None:
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=True)
        return done.stdout
    return None
