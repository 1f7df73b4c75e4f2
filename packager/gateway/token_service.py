"""The token service: answers nginx's question whether a request may pass, and Ollama's sign-in.

It listens on a Unix socket beside nginx and never carries a blob. Two paths:

``/check``
    A subrequest of nginx, with the captured parts of the request in ``X-`` headers. 204 with ``X-Signed``,
    the query of a blob's address; or 401 with ``X-Challenge``, or 403.
``/token``
    Ollama's sign-in: 200 ``{"token": ...}``, 401 or 403.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import socketserver
import stat
import sys
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from starfreight.errors import InputError, ServiceError, StarfreightError
from starfreight.files import disk_errors
from starfreight.packager.gateway.audit_log import AuditEntry, AuditLog
from starfreight.packager.gateway.load import read_secret
from starfreight.packager.gateway.settings import Settings
from starfreight.packager.ollama_access import (
    AccessRefused,
    AuthorizedKeysFile,
    Exchange,
    Key,
    SignedAddresses,
    Signer,
    is_repository,
)

_IDLE = 90
"""Seconds that a connection of nginx may be idle; nginx closes it after 60."""


class AccessDesk:
    """Decides, and writes each decision to the audit log.

    Args:
        settings: of a gateway with users.

    Raises:
        InputError: the file of keys or the signing secret is missing or faulty.
    """

    def __init__(self, settings: Settings) -> None:
        users = settings.users
        if users is None:
            raise InputError(
                "The gateway file has no users, so that there is nobody to issue tokens to.", where="users",
                fix="add users with authorized_keys, or run the gateway without the token service",
            )  # fmt: skip
        secret = read_secret(users.signing_secret) if users.signing_secret else secrets.token_bytes(48)
        self._keys = AuthorizedKeysFile(Path(users.authorized_keys))
        signer = Signer(secret)
        self._realm = settings.realm
        self._exchange = Exchange(self._keys.read, signer, token_lifetime=users.token_lifetime)
        self._addresses = SignedAddresses(self._keys.read, signer, lifetime=users.address_lifetime)
        self._audit = AuditLog(Path(users.audit_log) if users.audit_log else None)
        self._known_faults: tuple[str, ...] = ()

    def sign_in(self, query: str, authorization: str | None, address: str) -> bytes:
        """The body of a token.

        Raises:
            AccessRefused: no token for this request.
            ServiceError: the audit log cannot be written.
        """
        self._report_faults()
        try:
            issued = self._exchange.answer(f"{self._realm}?{query}", authorization)
        except AccessRefused as refused:
            self._refuse(refused, AuditEntry("token", False, address=address, method="GET"))
            raise
        self._grant(
            issued.key, AuditEntry("token", True, repository=issued.repository, address=address, method="GET")
        )
        return issued.as_json()

    def check(self, kind: str, repository: str, reference: str, query: str, authorization: str | None,
              method: str, byte_range: str, address: str) -> str:  # fmt: skip
        """Let a request pass, and give the query of the blob's signed address; empty for a manifest.

        Raises:
            AccessRefused: it may not pass.
            ServiceError: the audit log cannot be written.
        """
        self._report_faults()
        event = "manifest" if kind == "manifests" else "part" if query else "blob"
        entry = AuditEntry(event, True, "", "", repository, reference, method, byte_range, address)
        try:
            if kind not in ("manifests", "blobs") or not is_repository(repository):
                raise AccessRefused("the request is not one of the gateway's", status=403)
            if query:
                key = self._addresses.check(repository, reference, query)
            else:
                key = self._exchange.check(authorization, repository)
                query = self._addresses.sign(repository, reference, key) if kind == "blobs" else ""
        except AccessRefused as refused:
            if refused.status == 401 and not authorization:
                raise  # The first half of every sign-in; no news.
            self._refuse(refused, entry)
            raise
        self._grant(key, entry)
        return query

    def challenge(self, repository: str) -> str:
        """The value of ``WWW-Authenticate``."""
        return self._exchange.challenge(self._realm, repository)

    def _grant(self, key: Key, entry: AuditEntry) -> None:
        self._audit.write(replace(entry, who=key.name, key=key.fingerprint))

    def _refuse(self, refused: AccessRefused, entry: AuditEntry) -> None:
        self._audit.write(replace(entry, granted=False, who=refused.who or "", reason=refused.what))

    def _report_faults(self) -> None:
        """Log faults of the file of keys once, when they appear."""
        faults = self._keys.read().faults
        if faults and faults != self._known_faults:
            self._audit.write(AuditEntry("keys", False, reason="; ".join(faults)))
        self._known_faults = faults


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "starfreight"
    sys_version = ""
    timeout = _IDLE
    server: _Server

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        try:
            if path == "/check":
                self._check()
            elif path == "/token":
                body = self.server.desk.sign_in(
                    self._header("X-Query"), self.headers.get("Authorization"), self._header("X-From")
                )
                self._answer(200, body)
            else:
                self._answer(404, b"{}")
        except AccessRefused as refused:
            challenge = {}
            if path == "/check" and refused.status == 401 and is_repository(self._header("X-Repository")):
                challenge["X-Challenge"] = self.server.desk.challenge(self._header("X-Repository"))
            self._answer(refused.status, json.dumps({"error": refused.what}).encode(), challenge)
        except StarfreightError as error:
            print(f"token service: {error}", flush=True, file=sys.stderr)
            self._answer(503, b'{"error":"the token service cannot work"}')

    def _check(self) -> None:
        signed = self.server.desk.check(
            self._header("X-Kind"), self._header("X-Repository"), self._header("X-Reference"),
            self._header("X-Query"), self.headers.get("Authorization"), self._header("X-Method"),
            self._header("X-Range"), self._header("X-From"),
        )  # fmt: skip
        self._answer(204, b"", {"X-Signed": signed} if signed else {})

    def _header(self, name: str) -> str:
        return str(self.headers.get(name, ""))

    def _answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)

    def address_string(self) -> str:
        return "nginx"

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nothing: the audit log has it all."""


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, path: Path, desk: AccessDesk) -> None:
        self.desk = desk
        super().__init__(str(path), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        error = sys.exc_info()[1]
        if not isinstance(error, ConnectionError | TimeoutError):
            print(f"token service: {type(error).__name__}", flush=True, file=sys.stderr)


def _check_free(path: Path) -> None:
    """Refuse a path that holds something else than a socket of the past."""
    if not stat.S_ISSOCK(path.lstat().st_mode):
        raise InputError("This is not a socket.", where=str(path), fix="set users.socket to another path")
    with socket.socket(socket.AF_UNIX) as probe, contextlib.suppress(OSError):
        probe.settimeout(2)
        probe.connect(str(path))
        raise InputError(
            "A token service answers there already.",
            where=str(path),
            fix="stop it first, or set users.socket to another path",
        )


class TokenService:
    """The service on a Unix socket that only nginx's user can open.

    Args:
        settings: of a gateway with users.
        path: the socket; one left by a killed process is replaced.
        owner: user id of nginx's workers, if it is another one than ours.

    Raises:
        InputError: as for :class:`AccessDesk`, or something else is at the path.
        ServiceError: the socket cannot be made.
    """

    def __init__(self, settings: Settings, path: Path, owner: int | None = None) -> None:
        desk = AccessDesk(settings)
        if len(os.fsencode(path)) > 100:
            raise InputError(
                "The path of the socket is too long.",
                where=str(path),
                fix="set users.socket to a shorter one",
            )
        with contextlib.suppress(FileNotFoundError):
            _check_free(path)
            path.unlink()
        with disk_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        earlier = os.umask(0o177)
        try:
            self._server = _Server(path, desk)
        except OSError as error:
            raise ServiceError(
                f"The socket of the token service cannot be made: {error.strerror}.", where=str(path),
                fix="check the directory's permissions, or set users.socket",
            ) from error  # fmt: skip
        finally:
            os.umask(earlier)
        self._path = path
        if owner is not None:
            os.chown(path, owner, -1)

    def serve(self) -> None:
        """Serve until :meth:`stop` is called from another thread."""
        self._server.serve_forever(poll_interval=0.2)

    def stop(self) -> None:
        """End :meth:`serve` and remove the socket."""
        self._server.shutdown()
        self.close()

    def close(self) -> None:
        """Remove the socket."""
        self._server.server_close()
        self._path.unlink(missing_ok=True)
