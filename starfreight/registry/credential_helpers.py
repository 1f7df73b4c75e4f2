"""Docker's credential helpers: programs that keep passwords in the system's store or fetch tokens of a cloud.

Protocol: https://github.com/docker/docker-credential-helpers. ``docker-credential-NAME get`` reads a server's
name and prints ``{"Username": ..., "Secret": ...}``.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import selectors
import subprocess
import time

from starfreight.errors import ServiceError

HELPER_TIMEOUT = 60.0
"""Seconds; a helper may ask for the passphrase of a keyring."""

_MAX_ANSWER_BYTES = 1 << 20
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._-]{0,99}")


def ask_helper(name: str, server: str) -> tuple[str, str] | None:
    """User name and password from a helper; ``<token>`` and an identity token from some.

    Returns:
        ``None`` if it has none, is not installed or fails: Docker goes on without it then.

    Raises:
        ServiceError: it does not answer in time, or answers nonsense.
    """
    if not _NAME.fullmatch(name):
        raise _unusable(f"docker-credential-{name[:100]}", "has an invalid name", server)
    program = f"docker-credential-{name}"
    try:
        code, answer = _run(program, server)
    except OSError:
        return None
    if code != 0:
        return None
    try:
        fields = json.loads(answer)
        username, password = fields["Username"], fields["Secret"]
    except (ValueError, LookupError, TypeError, RecursionError):
        raise _unusable(program, "did not answer in the form that Docker specifies", server) from None
    if not isinstance(username, str) or not isinstance(password, str):
        raise _unusable(program, "did not answer in the form that Docker specifies", server)
    return (username, password) if username and password else None


def _run(program: str, server: str) -> tuple[int, bytes]:
    """Exit code and output. Programs that a helper leaves running are not waited for."""
    deadline = time.monotonic() + HELPER_TIMEOUT
    process = subprocess.Popen(
        [program, "get"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert process.stdin is not None and process.stdout is not None
    answer = b""
    try:
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(server.encode())
            process.stdin.close()
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while True:
                ended = process.poll() is not None
                if selector.select(0 if ended else 0.2):
                    piece = os.read(process.stdout.fileno(), 1 << 16)
                    answer += piece
                    if len(answer) > _MAX_ANSWER_BYTES:
                        raise _unusable(program, f"printed more than {_MAX_ANSWER_BYTES:,} bytes", server)
                    if not piece:
                        break
                elif ended:
                    break
                if time.monotonic() > deadline:
                    raise _unusable(program, f"has not answered in {HELPER_TIMEOUT:.0f} seconds", server)
        try:
            return process.wait(max(0.1, deadline - time.monotonic())), answer
        except subprocess.TimeoutExpired:
            raise _unusable(program, f"has not ended in {HELPER_TIMEOUT:.0f} seconds", server) from None
    finally:
        process.stdout.close()
        with contextlib.suppress(OSError):
            process.stdin.close()
        if process.poll() is None:
            process.kill()
            process.wait()


def _unusable(program: str, what: str, server: str) -> ServiceError:
    return ServiceError(
        f"The credential helper {program} {what}.",
        where=f"credentials for {server}",
        fix=f"run it by hand: echo {server} | {program} get",
    )
