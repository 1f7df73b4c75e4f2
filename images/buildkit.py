"""Runs BuildKit through a ``docker`` command. No other module chooses that command.

The docker SDK speaks only the old builder's protocol, so a command does the building. Clients before version
23 have BuildKit built in, newer ones need the buildx plugin. The first client on the PATH may have neither.
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
"""More directories with clients, behind another client or off the PATH."""

_SECONDS = 30
_LONGEST_LINE = 1 << 20
_PATIENCE = 15
"""Seconds until a build that does not stop is killed."""

_PROXIES = tuple(
    spelt for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY") for spelt in (name, name.lower())
)
"""Build arguments predefined in every Dockerfile; neither the image nor the cache's keys contain them."""


@cache
def build_command() -> tuple[str, ...]:
    """The first words of a BuildKit build's command line.

    Raises:
        ServiceError: no client supports BuildKit.
    """
    clients = _clients()
    for client in clients:
        # Podman answers, too, under another name.
        if "buildx" in (_run(client, "buildx", "version") or ""):
            # The engine's own builder: others do not see the engine's images.
            return (client, "buildx", "build", "--builder", "default", "--load")
    for client in clients:
        version = re.match(r"Docker version (\d+)\.(\d+)", _run(client, "--version") or "")
        if version and (18, 9) <= (int(version[1]), int(version[2])) < (23, 0):
            return (client, "build")
    raise ServiceError(
        "No docker command on this machine can build with BuildKit.",
        where=", ".join(clients) or "PATH",
        fix="install the buildx plugin (package docker-buildx or docker-buildx-plugin)",
    )


def run_build(arguments: Sequence[str], context: Path, heard: Callable[[str], None]) -> int:
    """Builds and returns the command's exit code.

    An interruption stops the build, too.

    Args:
        arguments: arguments of ``docker build`` without the context.
        context: the directory to build from.
        heard: called with each line of BuildKit's plain progress.
    """
    proxies = [word for name in _PROXIES if name in os.environ for word in ("--build-arg", name)]
    environment = {name: value for name, value in os.environ.items() if name != "DOCKER_CONTEXT"}
    environment |= {
        "DOCKER_HOST": engine_address(),
        "DOCKER_BUILDKIT": "1",
        # Attestations would turn the image into an index and record the time of the build.
        "BUILDX_NO_DEFAULT_ATTESTATIONS": "1",
    }
    with subprocess.Popen(
        [*build_command(), "--progress=plain", *proxies, *arguments, str(context)],
        env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, errors="replace", start_new_session=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        try:
            while line := process.stdout.readline(_LONGEST_LINE):
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
    """Every ``docker`` on the PATH and in the usual directories, in order, without duplicates."""
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
