"""Renders nginx's configuration from the settings.

    rendered = render(settings, Path("out"))
    check_with_nginx(rendered)

The directory gets ``nginx.conf``, ``credential.conf`` with mode 0600 if the registry needs a credential, and
``gateway.js`` if it uses bearer tokens. ``run/`` is nginx's place for temporary files.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from starfreight.errors import InputError, ServiceError
from starfreight.files import PARTIAL_PREFIX, disk_errors, write_bytes
from starfreight.packager.gateway.load import read_secret
from starfreight.packager.gateway.nginx_values import nginx_values
from starfreight.packager.gateway.programs import find_nginx
from starfreight.packager.gateway.settings import Settings

CONFIGURATION = "nginx.conf"
CREDENTIAL = "credential.conf"
SCRIPT = "gateway.js"

_CHECK_SECONDS = 60


@dataclass(frozen=True)
class Rendered:
    """The files of a configuration."""

    folder: Path
    files: tuple[str, ...]

    @property
    def configuration(self) -> Path:
        """Nginx's main file."""
        return self.folder / CONFIGURATION


def render(settings: Settings, folder: Path) -> Rendered:
    """Write the configuration to a directory, which is created if it is missing.

    Raises:
        InputError: a file of the settings or the credential is missing, or nginx lacks a module.
        ServiceError: the disk is full or not writable.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    folder = folder.absolute()
    if re.search(r"[\x00-\x1f\x7f\"\\$;{}]", str(folder)) or len(str(folder)) > 1000:
        raise InputError(
            "nginx would read a character of this path as its own.",
            where=str(folder),
            fix="choose another directory",
        )
    _check_files(settings)
    credential = _credential(settings)
    values = nginx_values(settings, folder)
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, keep_trailing_newline=True, autoescape=False,
    )  # fmt: skip
    text = environment.get_template("nginx.conf.jinja").render(values)
    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        # Workers of nginx under root run as another user, who has to pass through to the socket.
        (folder / "run").mkdir(mode=0o711, exist_ok=True)
    files = [CONFIGURATION]
    if credential is not None:
        _write_private(folder / CREDENTIAL, credential)
        files.append(CREDENTIAL)
    if values["bearer"]:
        script = (Path(__file__).parent / "gateway.js.tmpl").read_text()
        script = script.replace("@SERVICE@", values["service"]).replace(
            "@USERS@", json.dumps(bool(settings.users))
        )
        write_bytes(folder / SCRIPT, script.encode())
        files.append(SCRIPT)
    write_bytes(folder / CONFIGURATION, text.encode())
    return Rendered(folder, tuple(files))


def check_with_nginx(rendered: Rendered) -> bool:
    """Have nginx test the configuration; false if there is no nginx on this machine.

    Raises:
        InputError: nginx refuses it, for instance for a certificate that does not fit its key.
        ServiceError: a host name in it cannot be resolved.
    """
    program = find_nginx()
    if program is None:
        return False
    command = [program, "-t", "-q", "-p", str(rendered.folder), "-c", str(rendered.configuration)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=_CHECK_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ServiceError(f"nginx cannot be run: {error}.", where=program, fix="install it again") from error
    if done.returncode == 0:
        return True
    lines = [line for line in done.stderr.splitlines() if "[emerg]" in line or "[error]" in line] or [
        done.stderr
    ]
    said = re.sub(r"^.*?\[(?:emerg|error)\] (?:\d+#\d+: )?", "", lines[0]).strip()[:500]
    if "host not found" in said:
        raise ServiceError(
            f"A host name cannot be resolved: {said}.",
            where=str(rendered.configuration),
            fix="check registry.url and this machine's DNS, or render for another machine with --no-check",
        )
    raise InputError(
        f"nginx refuses the configuration: {said}.", where=str(rendered.configuration),
        fix="correct the gateway file, then render it again",
    )  # fmt: skip


def _check_files(settings: Settings) -> None:
    registry = settings.registry
    server = registry.credential.token_server if registry.credential else None
    for key, name in (
        ("tls.certificate", settings.tls and settings.tls.certificate),
        ("tls.key", settings.tls and settings.tls.key),
        ("registry.ca", registry.ca),
        ("registry.credential.token_server.ca", server and server.ca),
        ("users.authorized_keys", settings.users and settings.users.authorized_keys),
    ):
        if name and not Path(name).is_file():
            raise InputError(
                "The file does not exist.", where=f"{key}: {name}", fix="check the path in the gateway file"
            )


def _credential(settings: Settings) -> bytes | None:
    credential = settings.registry.credential
    if credential is None:
        return None
    pair = f"{credential.username}:".encode() + read_secret(credential.password)
    encoded = base64.b64encode(pair).decode()
    note = "# The registry's credential. Keep it private."
    return f'{note}\nproxy_set_header Authorization "Basic {encoded}";\n'.encode()


def _write_private(path: Path, data: bytes) -> None:
    """Write a file that only its owner can read, at no moment anybody else."""
    partial = path.with_name(PARTIAL_PREFIX + os.urandom(6).hex())
    with disk_errors(path):
        handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            partial.replace(path)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                partial.unlink()
            raise
