"""The audit log: a JSON line for every sign-in and every request, granted or refused.

    {"time": "2026-11-28T20:15:00.123Z", "event": "manifest", "granted": true, "who": "alice",
     "key": "SHA256:...", "repository": "team/coder", "reference": "1.0", "method": "GET", "range": "",
     "from": "10.0.0.7", "reason": ""}

``event`` is ``token``, ``manifest``, ``blob`` (asks for an address) or ``part`` (downloads through one).
"""

from __future__ import annotations

import json
import os
import sys
import threading
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from starfreight.errors import ServiceError
from starfreight.files import disk_errors

_LONGEST = 300


@dataclass(frozen=True)
class AuditEntry:
    """One decision."""

    event: str
    granted: bool
    who: str = ""
    """Name of the key."""
    key: str = ""
    """Fingerprint of the key."""
    repository: str = ""
    reference: str = ""
    """Tag or digest."""
    method: str = ""
    range: str = ""
    address: str = ""
    reason: str = ""
    """Why it was refused."""

    def as_json(self, time: datetime) -> str:
        """The line."""
        values = {
            name: value[:_LONGEST] if isinstance(value, str) else value
            for name, value in asdict(self).items()
        }
        values["from"] = values.pop("address")
        stamp = time.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return json.dumps({"time": stamp, **values})


class AuditLog:
    """Appends to a file, which may be moved away at any time (logrotate), or to standard error.

    Args:
        path: the file, created with mode 0600; ``None`` for standard error.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._lock = threading.Lock()
        if path is not None:
            with disk_errors(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                os.close(self._open(path))

    def write(self, entry: AuditEntry) -> None:
        """Append a line.

        Raises:
            ServiceError: it cannot be written; the caller then refuses, so that nothing is pulled unseen.
        """
        line = entry.as_json(datetime.now(UTC)) + "\n"
        with self._lock:
            if self._path is None:
                print(line, end="", file=sys.stderr, flush=True)
                return
            try:
                handle = self._open(self._path)
                try:
                    os.write(handle, line.encode())
                finally:
                    os.close(handle)
            except OSError as error:
                raise ServiceError(
                    f"The audit log cannot be written: {error.strerror}.", where=str(self._path),
                    fix="free some space; until then nothing can be pulled",
                ) from error  # fmt: skip

    @staticmethod
    def _open(path: Path) -> int:
        return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
