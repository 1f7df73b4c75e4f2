"""A base model from the hub: fetched at a commit, with a token that is stored nowhere."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

COMMIT = "0123456789abcdef0123456789abcdef01234567"
TOKEN = "hf_this_is_a_secret"


@dataclass
class Hub:
    """A hub with one model, which can be told to fail."""

    files: Mapping[str, bytes]
    fails_with: int = 0
    breaks_off: bool = False
    asked: list[tuple[str, str]] = field(default_factory=list)
    address: str = ""

    def answer(self, path: str) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body for the path of a request."""
        if self.fails_with:
            return self.fails_with, {}, b"{}"
        prefix = f"/acme/base/resolve/{COMMIT}/"
        if path.startswith(f"/api/models/acme/base/revision/{COMMIT}"):
            siblings = [{"rfilename": name} for name in self.files]
            body = json.dumps(
                {"id": "acme/base", "modelId": "acme/base", "sha": COMMIT, "siblings": siblings}
            )
            return 200, {"Content-Type": "application/json"}, body.encode()
        if path.startswith(f"/api/models/acme/base/tree/{COMMIT}"):
            entries = [
                {"type": "file", "path": name, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
                for name, data in self.files.items()
            ]
            return 200, {"Content-Type": "application/json"}, json.dumps(entries).encode()
        if path.startswith("/api/models/acme/base"):
            return 404, {"X-Error-Code": "RevisionNotFound"}, b"{}"
        if path.startswith(prefix) and path.removeprefix(prefix) in self.files:
            data = self.files[path.removeprefix(prefix)]
            return 200, {"X-Repo-Commit": COMMIT, "ETag": f'"{hashlib.sha256(data).hexdigest()}"'}, data
        return 404, {"X-Error-Code": "RepoNotFound"}, b"{}"


@pytest.fixture
def hub(bases: Mapping[str, Path]) -> Iterator[Hub]:
    files = {path.name: path.read_bytes() for path in bases["starcoder2"].iterdir()}
    found = Hub(files | {"README.md": b"# Base", "pytorch_model.bin": b"a pickle"})

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            found.asked.append((self.path.split("?")[0], self.headers.get("Authorization", "")))
            status, headers, body = found.answer(self.path.split("?")[0])
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                broken = found.breaks_off and self.path.endswith(".safetensors")
                self.wfile.write(body[: len(body) // 2] if broken else body)
                self.close_connection = broken

        do_HEAD = do_GET

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found.address = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield found
    server.shutdown()
    server.server_close()


@pytest.fixture
def prepare_only(
    hub: Hub, tmp_path: Path, make_job: Callable[..., Path]
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Prepares a run of the hub's model in a process of its own, as ``jobs run`` does before it trains."""
    program = """
import sys
from pathlib import Path
from unittest import mock
from starfreight import cli
from starfreight.jobs.backends.local.backend import LocalBackend
class PrepareOnly(LocalBackend):
    def check(self, kind, options): pass
    def run(self, directory, console): print("prepared", directory)
backend = "starfreight.jobs.backends.local.backend.LocalBackend"
with mock.patch("time.sleep"), mock.patch(backend, PrepareOnly):
    sys.exit(cli.main(["jobs", "run", sys.argv[1], "--runs", sys.argv[2]]))
"""

    def prepare(model: str = "acme/base", revision: str | None = COMMIT) -> subprocess.CompletedProcess[str]:
        base = {"model": model, "license": "MIT"} | ({"revision": revision} if revision else {})
        recipe = make_job(tmp_path, base=base)
        environment = {
            key: value for key, value in os.environ.items() if not key.startswith(("HF_", "HUGGING"))
        }
        environment |= {"HF_ENDPOINT": hub.address, "HF_HOME": str(tmp_path / "hf"), "HF_TOKEN": TOKEN}
        return subprocess.run(
            [sys.executable, "-P", "-c", program, str(recipe), str(tmp_path / "runs")],
            env=environment | {"NO_PROXY": "127.0.0.1"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return prepare


Prepare = Callable[..., subprocess.CompletedProcess[str]]


def test_a_model_is_fetched_once_with_the_token_of_the_environment_which_is_stored_nowhere(
    hub: Hub, prepare_only: Prepare, tmp_path: Path
) -> None:
    done = prepare_only()
    assert done.returncode == 0, done.stderr
    fetched = {path.rsplit("/", 1)[-1] for path, _ in hub.asked if "/resolve/" in path}
    assert fetched == set(hub.files) - {"pytorch_model.bin"}
    assert not [path for path, token in hub.asked if "acme" in path and token != f"Bearer {TOKEN}"]
    written = [path for folder in ("hf", "runs") for path in (tmp_path / folder).rglob("*") if path.is_file()]
    assert len(written) > len(fetched)
    assert not [path for path in written if TOKEN.encode() in path.read_bytes()]
    assert TOKEN not in done.stdout + done.stderr
    (run,) = (tmp_path / "runs").iterdir()
    base = json.loads((run / "run.json").read_text())["base"]
    assert (base["model"], base["revision"]) == ("acme/base", COMMIT)
    assert str(tmp_path) not in json.dumps(base)

    # What is there already is used when the hub is gone.
    hub.fails_with = 503
    assert prepare_only().returncode == 0


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (401, 2, "no such model"),
        (403, 2, "no such model"),
        (404, 2, "no such model"),
        (500, 4, "could not be fetched"),
    ],
)
def test_a_hub_that_refuses_is_told_apart_from_one_that_fails(
    hub: Hub, prepare_only: Prepare, tmp_path: Path, status: int, code: int, words: str
) -> None:
    hub.fails_with = status
    done = prepare_only()
    assert done.returncode == code, done.stderr
    assert words in done.stderr
    assert f"acme/base at {COMMIT}" in done.stderr
    assert "Traceback" not in done.stderr
    assert TOKEN not in done.stderr
    assert not (tmp_path / "runs").exists()


def test_a_hub_that_is_not_there_is_exit_code_4(hub: Hub, prepare_only: Prepare) -> None:
    hub.address = "http://127.0.0.1:9"
    done = prepare_only()
    assert done.returncode == 4, done.stderr
    assert "could not be fetched" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_download_that_breaks_off_is_exit_code_4_and_is_gone_on_with(
    hub: Hub, prepare_only: Prepare, tmp_path: Path
) -> None:
    hub.breaks_off = True
    done = prepare_only()
    assert done.returncode == 4, done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "runs").exists()
    hub.breaks_off = False
    done = prepare_only()
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("model", "revision", "words"),
    [
        ("acme/base", None, "no revision"),
        ("acme/base", "f" * 40, "no such model"),
        ("acme/other", COMMIT, "no such model"),
        ("acme--x/base", COMMIT, "no such model"),
        ("base", COMMIT, "is not a directory"),
        ("./base", COMMIT, "is not a directory"),
        ("a/b/c", COMMIT, "is not a directory"),
        ("builtin:other", None, "no built-in model"),
    ],
)
def test_a_model_that_is_not_there_is_exit_code_2(
    prepare_only: Prepare, model: str, revision: str | None, words: str
) -> None:
    done = prepare_only(model, revision)
    assert done.returncode == 2, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr
