"""A changed credential reaches the registry without a restart, and a faulty one leaves the old one in use."""

from __future__ import annotations

import base64
import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests

from starfreight.console import Console
from starfreight.errors import ServiceError
from starfreight.packager.gateway import run_local
from starfreight.packager.gateway.load import parse_settings


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = self.headers.get("Authorization", "").encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Nothing."""


def stop(children: list[int]) -> None:
    for each in children:
        with contextlib.suppress(ProcessLookupError):
            os.kill(each, signal.SIGTERM)


@pytest.fixture
def echo() -> Iterator[int]:
    """The port of a registry that answers with the credential that it gets."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def test_a_new_password_is_used_and_an_empty_one_is_not(
    echo: int,
    free_port: Callable[[], int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    require_service: Callable[[str], str],
    eventually: Callable[..., None],
    request: pytest.FixtureRequest,
) -> None:
    require_service("nginx")
    port = free_port()
    password = tmp_path / "password"
    password.write_text("first\n")
    text = (
        f"host: 127.0.0.1:{port}\nlisten: 127.0.0.1:{port}\nrepositories: [team/*]\nregistry:\n"
        f"  url: http://127.0.0.1:{echo}\n  credential: {{username: u, password: {{file: password}}}}\n"
    )
    settings = parse_settings(text.encode(), "gateway.yaml", tmp_path)
    monkeypatch.setattr(run_local, "_LOOK_EVERY", 0.3)
    children: list[int] = []
    popen = run_local.subprocess.Popen

    def remember(*arguments: Any, **options: Any) -> Any:
        process = popen(*arguments, **options)
        if "-t" not in arguments[0]:  # Not a test of the configuration.
            children.append(process.pid)
        return process

    monkeypatch.setattr(run_local.subprocess, "Popen", remember)
    request.addfinalizer(lambda: stop(children))
    started, ended = threading.Event(), []

    def run() -> None:
        try:
            run_local.run_local(settings, Console(quiet=True), started=started.set)
        except ServiceError as error:
            ended.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert started.wait(20)

    def used() -> str:
        answer = requests.get(f"http://127.0.0.1:{port}/v2/team/a/manifests/1", timeout=10)
        return base64.b64decode(answer.text.removeprefix("Basic ")).decode()

    assert used() == "u:first"
    password.write_text("")
    password.write_text("second\n")
    eventually(lambda: used() == "u:second")
    password.write_text("")
    assert used() == "u:second"
    os.kill(children[0], signal.SIGTERM)
    thread.join(20)
    assert len(ended) == 1 and "nginx has ended" in ended[0].what
