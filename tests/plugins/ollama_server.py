"""Ollama's API over Ollama's own pull, for tests of what installs models.

    with OllamaServer(tmp_path / "models") as server:
        install(..., OllamaApi(parse_ollama_address(server.host)))

A replay of Ollama 0.33 (``server/routes.go``): the addresses, the reports and the errors of ``/api/pull``,
``/api/copy``, ``/api/delete``, ``/api/tags``, ``/api/version`` and ``/api/blobs``. The store is a real one.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

from ollama_client import OllamaClient, OllamaError


class OllamaServer(ThreadingHTTPServer):
    """A running server. ``asked`` lists the requests; ``before_pull`` is called at the start of a pull."""

    daemon_threads = True

    def __init__(self, models: Path, address: str = "127.0.0.1") -> None:
        super().__init__((address, 0), _Handler)
        self.models = models
        self.asked: list[str] = []
        self.before_pull: Callable[[OllamaClient], None] = lambda client: None
        self.least_part = 100_000_000
        for name in ("blobs", "manifests"):
            (models / name).mkdir(parents=True, exist_ok=True)

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *arguments: object) -> None:
        self.shutdown()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that leaves is nothing to report."""

    def names(self) -> dict[str, str]:
        """Digests of the models' manifests, by name as ``ollama list`` shows it."""
        found = {}
        for path in sorted((self.models / "manifests").rglob("*")):
            if path.is_file():
                host, namespace, model, tag = path.relative_to(self.models / "manifests").parts
                short = f"{model}:{tag}"
                if host != "registry.ollama.ai":
                    short = f"{host}/{namespace}/{short}"
                elif namespace != "library":
                    short = f"{namespace}/{short}"
                found[short] = hashlib.sha256(path.read_bytes()).hexdigest()
        return found

    def manifest(self, name: str) -> Path:
        """Where the store has a model's manifest."""
        path, _, tag = name.rpartition(":")
        if "/" in tag or not path:
            path, tag = name, "latest"
        parts = path.split("/")
        full = [*["registry.ollama.ai", "library"][: max(0, 3 - len(parts))], *parts, tag]
        return self.models.joinpath("manifests", *full)

    def prune(self) -> None:
        """Delete blobs without a manifest, as Ollama does at its start and after a deletion."""
        kept = set()
        for path in (self.models / "manifests").rglob("*"):
            if path.is_file():
                kept |= set(re.findall(r"sha256:[0-9a-f]{64}", path.read_text()))
        for blob in (self.models / "blobs").iterdir():
            if blob.name.replace("-", ":", 1) not in kept:
                blob.unlink()


class _Handler(BaseHTTPRequestHandler):
    server: OllamaServer
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        data = json.loads(body) if body else {}
        self.server.asked.append(f"{self.command} {self.path}")
        match self.command, self.path:
            case "GET", "/api/version":
                self._answer(200, {"version": "0.33.0"})
            case "GET", "/api/tags":
                models = [
                    {"name": name, "model": name, "digest": digest}
                    for name, digest in self.server.names().items()
                ]
                self._answer(200, {"models": models})
            case "HEAD", path if found := re.fullmatch(r"/api/blobs/(sha256:[0-9a-f]{64})", path):
                there = (self.server.models / "blobs" / found[1].replace(":", "-")).exists()
                self._answer(200 if there else 404, None)
            case "POST", "/api/pull":
                self._pull(data["model"], bool(data.get("insecure")))
            case "POST", "/api/copy":
                source = self.server.manifest(data["source"])
                if not source.exists():
                    self._answer(404, {"error": f"model '{data['source']}' not found"})
                    return
                target = self.server.manifest(data["destination"])
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(source.read_bytes())
                self._answer(200, None)
            case "DELETE", "/api/delete":
                path = self.server.manifest(data["model"])
                if not path.exists():
                    self._answer(404, {"error": f"model '{data['model']}' not found"})
                    return
                path.unlink()
                self.server.prune()
                self._answer(200, None)
            case _:
                self._answer(404, None)

    def _pull(self, model: str, insecure: bool) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/x-ndjson")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True

        def report(**values: object) -> None:
            self.wfile.write(json.dumps(values).encode() + b"\n")
            self.wfile.flush()

        host, _, name = model.partition("/")
        client = OllamaClient(host, insecure=insecure, least_part=self.server.least_part)
        report(status="pulling manifest")
        try:
            self.server.before_pull(client)
            manifest = client.pull(name, self.server.models)
        except OllamaError as error:
            report(error=str(error))
            return
        for layer in [*manifest["layers"], manifest["config"]]:
            digest, size = layer["digest"], layer["size"]
            report(status=f"pulling {digest[7:19]}", digest=digest, total=size, completed=size)
        for status in ("verifying sha256 digest", "writing manifest", "success"):
            report(status=status)

    def _answer(self, status: int, data: object) -> None:
        body = b"" if data is None else json.dumps(data).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = do_POST = do_DELETE = _serve
