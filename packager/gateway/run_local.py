"""Runs the gateway with this machine's nginx, until it is stopped.

nginx is reloaded, without an end to running downloads, when the credential, a certificate or the registry's
addresses change: credentials of clouds last for hours, certificates for weeks.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

from starfreight.console import Console
from starfreight.errors import InputError, ServiceError, StarfreightError
from starfreight.files import sha256_bytes
from starfreight.packager.gateway.load import read_secret
from starfreight.packager.gateway.nginx_values import socket_path
from starfreight.packager.gateway.programs import find_nginx, find_worker
from starfreight.packager.gateway.render import check_with_nginx, render
from starfreight.packager.gateway.settings import Settings
from starfreight.packager.gateway.token_service import TokenService

_SECRET_IN_ADDRESS = re.compile(r"\b(sig=|nonce=)[^ &\"]+")
_PATIENCE = 15
_LOOK_EVERY = 30.0
_TICK = 0.2


def run_local(
    settings: Settings,
    console: Console,
    *,
    with_tokens: bool = True,
    started: Callable[[], object] = lambda: None,
) -> None:
    """Run nginx, and the token service if there are users; returns when interrupted.

    Args:
        settings: the gateway's.
        console: shows the state.
        with_tokens: start the token service; otherwise it is expected at ``users.socket``.
        started: called when the gateway answers.

    Raises:
        InputError: nginx is missing or refuses the configuration, or a file is missing.
        ServiceError: nginx ended by itself.
    """
    program = find_nginx()
    if program is None:
        raise InputError(
            "nginx is not installed on this machine.", where="PATH",
            fix="install it (apt install nginx-light), or use the image: --on docker",
        )  # fmt: skip
    _check_port(settings)
    with _folder() as folder, _token_service(settings, folder, with_tokens):
        rendered = render(settings, folder)
        check_with_nginx(rendered)
        process = subprocess.Popen(
            [program, "-p", str(folder), "-c", str(rendered.configuration)],
            stdin=subprocess.DEVNULL,
            # Of our own: nginx opens /dev/stderr again, and may not if that is another user's or a socket.
            stderr=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C at a terminal reaches us alone; we end nginx in good order.
        )
        log = threading.Thread(target=_copy_log, args=(process,), name="log", daemon=True)
        log.start()
        try:
            _wait_until_up(settings, process)
            started()
            _watch(settings, folder, process, console)
        finally:
            _stop(process)
            log.join(_PATIENCE)


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    # Short, for the socket: paths of sockets have at most 107 bytes.
    with tempfile.TemporaryDirectory(prefix="starfreight-gateway-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        if os.geteuid() == 0:
            folder.chmod(0o711)
        yield folder


@contextlib.contextmanager
def _token_service(settings: Settings, folder: Path, wanted: bool) -> Iterator[None]:
    if settings.users is None or not wanted:
        yield
        return
    (folder / "run").mkdir(mode=0o711, exist_ok=True)
    worker = find_worker()
    owner = worker.uid if worker is not None and worker.uid != 0 else None
    service = TokenService(settings, socket_path(settings, folder), owner)
    thread = threading.Thread(target=service.serve, name="token-service", daemon=True)
    thread.start()
    try:
        yield
    finally:
        service.stop()
        thread.join(_PATIENCE)


def _check_port(settings: Settings) -> None:
    """Refuse a port in use. nginx would try for seconds, in which the other program answers for it."""
    address, _, port = settings.listen.rpartition(":")
    host = address.strip("[]")
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, int(port)))
        except OSError as error:
            raise ServiceError(
                f"The gateway cannot listen there: {error.strerror}.",
                where=settings.listen,
                fix="choose another address or port as listen in the gateway file",
            ) from error


def _copy_log(process: subprocess.Popen[bytes]) -> None:
    """Copy nginx's log to standard error, without the secrets in the addresses of its error messages."""
    assert process.stderr is not None
    for line in process.stderr:
        text = _SECRET_IN_ADDRESS.sub(r"\1...", line.decode(errors="replace"))
        with contextlib.suppress(OSError, ValueError):
            sys.stderr.write(text)
            sys.stderr.flush()


def _wait_until_up(settings: Settings, process: subprocess.Popen[bytes]) -> None:
    address, _, port = settings.listen.rpartition(":")
    host = address.strip("[]")
    target = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    for _ in range(int(_PATIENCE / _TICK)):
        if process.poll() is not None:
            break
        with contextlib.suppress(OSError), socket.create_connection((target, int(port)), 1):
            return
        time.sleep(_TICK)
    raise ServiceError(
        "nginx does not start.", where=settings.listen,
        fix="see its message above; if the port is in use, choose another one as listen",
    )  # fmt: skip


def _watch(settings: Settings, folder: Path, process: subprocess.Popen[bytes], console: Console) -> None:
    before = _fingerprint(settings)
    look = time.monotonic() + _LOOK_EVERY
    while process.poll() is None:
        time.sleep(_TICK)
        if time.monotonic() < look:
            continue
        look = time.monotonic() + _LOOK_EVERY
        now = _fingerprint(settings)
        if now is None or now == before:
            continue
        try:
            check_with_nginx(render(settings, folder))
        except StarfreightError as error:
            console.note(f"Not reloaded: {error}")
            continue
        before = now
        process.send_signal(signal.SIGHUP)
        console.note("Reloaded: the credential, a certificate or the registry's address has changed.")
    raise ServiceError(
        f"nginx has ended with exit code {process.returncode}.",
        where=settings.listen,
        fix="see its messages above",
    )


def _fingerprint(settings: Settings) -> str | None:
    """Changes when nginx has to be reloaded; ``None`` if something cannot be read at this moment."""
    registry, tls = settings.registry, settings.tls
    server = registry.credential.token_server if registry.credential else None
    parts: list[bytes] = []
    try:
        if registry.credential:
            parts.append(read_secret(registry.credential.password))
        for name in (tls and tls.certificate, tls and tls.key, registry.ca, server and server.ca):
            parts.append(Path(name).read_bytes() if name else b"")
        for url in (registry.url, server.url if server else None):
            found = urlsplit(url) if url else None
            if found is not None and found.hostname:
                addresses = socket.getaddrinfo(found.hostname, None, type=socket.SOCK_STREAM)
                parts.append(repr(sorted({str(each[4][0]) for each in addresses})).encode())
    except (OSError, StarfreightError):
        return None
    return sha256_bytes(b"\0".join(parts))


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End nginx: at once, since downloads resume."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
