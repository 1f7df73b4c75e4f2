"""Runs git without prompts, without hooks, and with a limit on stalls."""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from starfreight.console import printable
from starfreight.errors import RecipeError, ServiceError

STALLED_SECONDS = 300
"""Seconds without output after which git is killed; it reports progress every second."""

_HARDENED = {
    "core.hooksPath": os.devnull,
    "core.fsmonitor": "false",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "protocol.version": "2",
    # "user": only for the address in the recipe or in the user's configuration, never for a redirect.
    "protocol.allow": "never",
    "protocol.https.allow": "always",
    "protocol.http.allow": "user",
    "protocol.ssh.allow": "user",
    "protocol.file.allow": "user",
    "http.lowSpeedLimit": "1000",
    "http.lowSpeedTime": "60",
    "transfer.bundleURI": "false",
    "fetch.fsckObjects": "true",
    # Found in intact old repositories; none of them affects the contents of files.
    "fetch.fsck.badTimezone": "ignore",
    "fetch.fsck.missingSpaceBeforeDate": "ignore",
    "fetch.fsck.zeroPaddedFilemode": "ignore",
    "fetch.recurseSubmodules": "false",
    "fetch.writeCommitGraph": "false",
}
_FROM_ANOTHER_REPOSITORY = (
    "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_COMMON_DIR", "GIT_DIR", "GIT_GRAFT_FILE", "GIT_INDEX_FILE",
    "GIT_NAMESPACE", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX", "GIT_PROTOCOL_FROM_USER", "GIT_REPLACE_REF_BASE",
    "GIT_SHALLOW_FILE", "GIT_TEMPLATE_DIR", "GIT_WORK_TREE",
)  # fmt: skip
_OUTPUT_BYTES = 64 << 10


def git_arguments(repository: Path, *arguments: str) -> list[str]:
    """Return the whole command line of git in a bare repository."""
    settings = [part for key, value in _HARDENED.items() for part in ("-c", f"{key}={value}")]
    return ["git", "--no-pager", f"--git-dir={repository}", *settings, *arguments]


def git_environment() -> dict[str, str]:
    """Return the user's environment, which credential helpers and proxies need, without what misleads git."""
    environment = {
        key: value
        for key, value in os.environ.items()
        # A trace could show a password.
        if key not in _FROM_ANOTHER_REPOSITORY and not key.startswith(("GIT_TRACE", "GIT_CURL_VERBOSE"))
    }
    environment |= {"GIT_TERMINAL_PROMPT": "0", "GIT_NO_REPLACE_OBJECTS": "1", "LC_ALL": "C"}
    environment.setdefault("SSH_ASKPASS_REQUIRE", "never")
    return environment


def run_git(repository: Path, *arguments: str) -> tuple[int, str]:
    """Run git until it exits.

    Returns:
        its exit code and its output: both streams, at most the last 64 kB.

    Raises:
        RecipeError: git is not installed.
        ServiceError: it stalled.
    """
    with started_git(repository, *arguments, stderr=subprocess.STDOUT) as process:
        assert process.stdout is not None
        output, heard = b"", time.monotonic()
        while True:
            if select.select([process.stdout], [], [], 1.0)[0]:
                piece = os.read(process.stdout.fileno(), _OUTPUT_BYTES)
                if not piece:
                    return process.wait(), output.decode("utf-8", errors="replace")
                output, heard = (output + piece)[-_OUTPUT_BYTES:], time.monotonic()
            elif time.monotonic() - heard > STALLED_SECONDS:
                raise ServiceError(
                    f"git made no progress for {STALLED_SECONDS} seconds.",
                    where="git " + arguments[0],
                    fix="check the network, then run the same command again",
                )


@contextlib.contextmanager
def started_git(
    repository: Path, *arguments: str, stdin: int = subprocess.DEVNULL, stderr: int = subprocess.DEVNULL
) -> Iterator[subprocess.Popen[bytes]]:
    """Start git; it is killed at the end of the block, with all processes that it started.

    Raises:
        RecipeError: git is not installed.
    """
    try:
        process = subprocess.Popen(
            git_arguments(repository, *arguments),
            env=git_environment(),
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=stderr,
            start_new_session=True,  # Without a terminal it cannot prompt for a password.
        )
    except FileNotFoundError:
        raise RecipeError(
            "The program git is not installed.",
            where="key data.source",
            fix="install git, or name a directory with the code",
        ) from None
    try:
        yield process
    finally:
        if process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()
        process.wait()


def last_error(output: str) -> str:
    """Return git's last error on one printable line, without passwords in URLs."""
    lines = [line.strip() for line in re.split(r"[\r\n]", output) if line.strip()]
    errors = [line for line in lines if line.startswith(("fatal:", "error:", "ERROR:"))] or lines[-1:]
    text = printable("; ".join(errors[-2:]))
    return re.sub(r"//[^/@\s]+@", "//", text)[:300] or "no output"
