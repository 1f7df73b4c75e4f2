"""A model hub that takes uploads: the requests of ``huggingface_hub`` 1.x for a commit, by Git LFS.

It also gives out data sets and models at :data:`COMMIT`. Files of weights are at another origin, in ranges.

    with HubServer() as hub:
        run(env={"HF_ENDPOINT": hub.address, "HF_TOKEN": TOKEN})
        hub.repositories["acme/coder"]["README.md"]

Source: ``huggingface_hub`` (``hf_api.py``, ``_commit_api.py``, ``lfs.py``) and the Git LFS specification.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

TOKEN = "hf_this_is_a_secret"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


class HubServer(ThreadingHTTPServer):
    """A running hub.

    ``asked`` lists the requests; ``refuse`` returns a status to answer a request with, or 0. ``models`` has
    the directory of each. ``ranges`` lists the requests for weights: range and ``Authorization``. ``spoil``
    may answer one in the server's place, given its first byte and the one after its last, and returns true.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.datasets: dict[str, dict[str, bytes]] = {}
        self.private: set[str] = set()
        self.objects: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.refuse: Callable[[str, str], int] = lambda method, path: 0
        self.models: dict[str, Path] = {}
        self.ranges: list[tuple[str, str | None]] = []
        self.spoil: Callable[[BaseHTTPRequestHandler, Path, int, int], bool] = lambda *_: False
        self.digests: dict[Path, str] = {}

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    @property
    def weights_address(self) -> str:
        return f"http://localhost:{self.server_address[1]}/weights"

    def digest(self, path: Path) -> str:
        if path not in self.digests:
            with path.open("rb") as stream:
                self.digests[path] = hashlib.file_digest(stream, "sha256").hexdigest()
        return self.digests[path]

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *arguments: object) -> None:
        self.shutdown()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that was broken on purpose is nothing to report."""


class _Handler(BaseHTTPRequestHandler):
    server: HubServer
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def _serve(self) -> None:
        path = self.path.partition("?")[0]
        self.server.asked.append(f"{self.command} {path}")
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        if status := self.server.refuse(self.command, path):
            self._answer(status, {"error": "refused"})
            return
        if (
            not path.startswith(("/store/", "/weights/"))
            and self.headers.get("Authorization") != f"Bearer {TOKEN}"
        ):
            self._answer(401, {"error": "Invalid username or password."})
            return
        for method, pattern, answer in _ADDRESSES:
            if self.command == method and (found := re.fullmatch(pattern, path)):
                answer(self, found, body)
                return
        self._answer(404, {"error": "not found"})

    def _create(self, found: re.Match[str], body: bytes) -> None:
        asked = json.loads(body)
        name = f"{asked.get('organization') or 'pilot'}/{asked['name']}"
        if name in self.server.repositories:
            self._answer(409, {"error": "exists", "url": f"{self.server.address}/{name}"})
            return
        self.server.repositories[name] = {}
        if asked.get("private") or asked.get("visibility") == "private":
            self.server.private.add(name)
        self._answer(200, {"url": f"{self.server.address}/{name}", "id": name})

    def _preupload(self, found: re.Match[str], body: bytes) -> None:
        files = [
            {
                "path": each["path"],
                "uploadMode": "lfs" if each["path"].endswith(".gguf") else "regular",
                "shouldIgnore": False,
            }
            for each in json.loads(body)["files"]
        ]
        self._answer(200, {"files": files})

    def _batch(self, found: re.Match[str], body: bytes) -> None:
        objects = []
        for each in json.loads(body)["objects"]:
            wanted = {"oid": each["oid"], "size": each["size"]}
            if each["oid"] not in self.server.objects:
                wanted["actions"] = {"upload": {"href": f"{self.server.address}/store/{each['oid']}"}}
            objects.append(wanted)
        self._answer(200, {"transfer": "basic", "objects": objects})

    def _store(self, found: re.Match[str], body: bytes) -> None:
        if hashlib.sha256(body).hexdigest() != found[1]:
            self._answer(400, {"error": "digest"})
            return
        self.server.objects[found[1]] = body
        self._answer(200, {})

    def _commit(self, found: re.Match[str], body: bytes) -> None:
        files = dict(self.server.repositories[found[1]])
        for line in body.splitlines():
            entry = json.loads(line)
            value = entry["value"]
            if entry["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif entry["key"] == "lfsFile":
                files[value["path"]] = self.server.objects[value["oid"]]
        self.server.repositories[found[1]] = files
        url = f"{self.server.address}/{found[1]}/commit/{COMMIT}"
        self._answer(200, {"success": True, "commitOid": COMMIT, "commitUrl": url, "hookOutput": ""})

    def _valid(self, found: re.Match[str], body: bytes) -> None:
        self._answer(200, {"errors": [], "warnings": []})

    def _dataset(self, found: re.Match[str], body: bytes) -> None:
        files = self.server.datasets.get(found[1])
        if files is None or found[2] != COMMIT:
            self._answer(404, {"error": "not found"})
            return
        siblings = [{"rfilename": name} for name in files]
        self._answer(200, {"id": found[1], "sha": COMMIT, "siblings": siblings})

    def _tree(self, found: re.Match[str], body: bytes) -> None:
        files = self.server.datasets.get(found[1], {})
        self._answer(
            200,
            [
                {"type": "file", "path": name, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
                for name, data in files.items()
            ],
        )

    def _file(self, found: re.Match[str], body: bytes) -> None:
        data = self.server.datasets.get(found[1], {}).get(found[3])
        if data is None or found[2] != COMMIT:
            self._answer(404, {"error": "not found"})
            return
        self.send_response(200)
        self.send_header("ETag", f'"{hashlib.sha256(data).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _model_tree(self, found: re.Match[str], body: bytes) -> None:
        entries = []
        for path in sorted(self.server.models[found[1]].iterdir()):
            entry: dict[str, Any] = {"type": "file", "path": path.name, "size": path.stat().st_size}
            entry["oid"] = hashlib.sha1(path.name.encode()).hexdigest()
            if path.suffix == ".safetensors":
                entry["lfs"] = {"oid": self.server.digest(path), "size": entry["size"], "pointerSize": 134}
            entries.append(entry)
        self._answer(200, entries)

    def _model_file(self, found: re.Match[str], body: bytes) -> None:
        folder = self.server.models.get(found[1])
        path = (folder or Path("/nonexistent")) / found[2]
        if not path.is_file():
            self._answer(404, {"error": "not found"})
            return
        digest, size = self.server.digest(path), path.stat().st_size
        if path.suffix != ".safetensors":
            self.send_response(200)
            self.send_header("ETag", f'"{digest}"')
            self.send_header("Content-Length", str(size))
        else:
            self.send_response(302)
            self.send_header("Location", f"{self.server.weights_address}/{found[1]}/{found[2]}")
            self.send_header("X-Linked-ETag", f'"{digest}"')
            self.send_header("X-Linked-Size", str(size))
            self.send_header("Content-Length", "0")
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if self.command != "HEAD" and path.suffix != ".safetensors":
            self.wfile.write(path.read_bytes())

    def _weights(self, found: re.Match[str], body: bytes) -> None:
        path = self.server.models[found[1]] / found[2]
        asked = self.headers.get("Range")
        self.server.ranges.append((asked or "", self.headers.get("Authorization")))
        size = path.stat().st_size
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", asked or "bytes=0-")
        assert match
        start, stop = int(match[1]), min(int(match[2] or size) + 1, size)
        if self.server.spoil(self, path, start, stop):
            return
        self.send_response(206 if asked else 200)
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{size}")
        self.send_header("Content-Length", str(stop - start))
        self.end_headers()
        with path.open("rb") as stream:
            stream.seek(start)
            while self.command != "HEAD" and start < stop:
                start += self.wfile.write(stream.read(min(1 << 20, stop - start)))

    def _answer(self, status: int, data: object) -> None:
        body = json.dumps(data).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_HEAD = do_POST = do_PUT = _serve


_ADDRESSES = (
    ("POST", "/api/repos/create", _Handler._create),
    ("POST", "/api/validate-yaml", _Handler._valid),
    ("POST", "/api/models/([^/]+/[^/]+)/preupload/main", _Handler._preupload),
    ("POST", r"/([^/]+/[^/]+)\.git/info/lfs/objects/batch", _Handler._batch),
    ("PUT", "/store/([0-9a-f]{64})", _Handler._store),
    ("POST", "/api/models/([^/]+/[^/]+)/commit/main", _Handler._commit),
    ("GET", "/api/datasets/([^/]+/[^/]+)/revision/([^/]+)", _Handler._dataset),
    ("GET", f"/api/datasets/([^/]+/[^/]+)/tree/{COMMIT}", _Handler._tree),
    ("HEAD", "/datasets/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", _Handler._file),
    ("GET", "/datasets/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", _Handler._file),
    ("GET", f"/api/models/([^/]+/[^/]+)/tree/{COMMIT}", _Handler._model_tree),
    ("HEAD", f"/([^/]+/[^/]+)/resolve/{COMMIT}/([^/]+)", _Handler._model_file),
    ("GET", f"/([^/]+/[^/]+)/resolve/{COMMIT}/([^/]+)", _Handler._model_file),
    ("HEAD", "/weights/([^/]+/[^/]+)/([^/]+)", _Handler._weights),
    ("GET", "/weights/([^/]+/[^/]+)/([^/]+)", _Handler._weights),
)
