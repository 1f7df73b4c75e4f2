"""GitHub's REST API, as far as our workflows ask it: the runs of the repository acme/coder."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from listeners import Answer, Listener

TOKEN = "canary-token"
RUN = {
    "id": 17, "event": "workflow_dispatch", "status": "completed", "conclusion": "failure",
    "head_branch": "main", "head_sha": "c" * 40, "path": ".github/workflows/model.yml", "run_attempt": 1,
    "repository": {"full_name": "acme/coder"}, "head_repository": {"full_name": "acme/coder"},
}  # fmt: skip
"""Can be continued by default."""


@contextmanager
def serve_runs(runs: Mapping[str, Any]) -> Iterator[Listener]:
    """Serves runs.

    Args:
        runs: a run by its id; bytes are an answer as it is, a number is a status, an address a redirect.
    """

    def answer(path: str, authorization: str | None) -> Answer:
        start = "/repos/acme/coder/actions/runs/"
        found = runs.get(path.removeprefix(start)) if path.startswith(start) else None
        if authorization != f"Bearer {TOKEN}":  # As GitHub does for a private repository.
            found = None
        match found:
            case None:
                return 404, {}, b"{}"
            case int():
                return found, {}, b"{}"
            case str():
                return 302, {"Location": found}, b""
            case bytes():
                return 200, {}, found
        return 200, {"Content-Type": "application/json"}, json.dumps(found).encode()

    server = Listener("127.0.0.1")
    server.answer = answer
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
