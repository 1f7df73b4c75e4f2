"""An HTTP server that imitates the Kubernetes API, with failures on request."""

from __future__ import annotations

import email.utils
import itertools
import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from kubernetes_controllers import Controllers

from starfreight.console import Console
from starfreight.jobs.backends.kubernetes.client.cluster import Cluster
from starfreight.jobs.backends.kubernetes.client.connect import connect

NAMESPACE = "research"
TOKEN = "eyJhbGciOi-a-token-that-nobody-may-see"
JOBS = f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs"
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
NAMED = {
    "app.kubernetes.io/name": "starfreight",
    "app.kubernetes.io/component": "training",
}


@dataclass(frozen=True)
class Asked:
    """A received request."""

    method: str
    path: str
    query: dict[str, str]
    body: Any


@dataclass(frozen=True)
class Reply:
    """An answer of a test instead of the server's."""

    status: int = 200
    body: Any = None
    pieces: Iterable[bytes] | None = None
    """Pieces of a stream, each sent at once."""
    cut: bool = False
    """True to cut the connection after the pieces."""
    headers: dict[str, str] = field(default_factory=dict)


def status(code: int, reason: str, message: str, **more: Any) -> dict[str, Any]:
    """An error in the format of the API."""
    return {"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message, **more}


class Api:
    """The server: its objects by path, and the received requests."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        self.asked: list[Asked] = []
        self.before: Callable[[Asked], Reply | None] = lambda asked: None
        """Returns an answer instead of the server's, or ``None``."""
        self.version = "v1.34.2"
        self.date: str | None = None
        self.port = 0
        self.loaded = 0.0
        """Time until which all requests are refused."""
        self.controllers: Controllers | None = None
        """Act after each write; without them, objects stay as they were written."""
        self.history: list[tuple[str, str, dict[str, Any]]] = []
        """All changes: the kind of change, the path, and the object after it."""
        self._versions = itertools.count(1)
        self._server: ThreadingHTTPServer | None = None
        self.lock = threading.Lock()

    def restart(self, seconds: float) -> None:
        """Answers like a server that has just started: 403, until it has loaded the rules for access."""
        self.loaded = time.monotonic() + seconds

    def start(self) -> None:
        """Starts listening; a restarted server keeps its port."""
        api = self

        class Handler(_Handler):
            served = api

        class Server(ThreadingHTTPServer):
            allow_reuse_address = True
            daemon_threads = True

            def handle_error(self, request: Any, client_address: Any) -> None:
                """Silent: clients leave in the middle of an answer."""

        self._server = Server(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        """Stops listening: connections are refused."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def put(self, path: str, **body: Any) -> dict[str, Any]:
        """Creates or replaces an object."""
        metadata = body.pop("metadata", {})
        made = {
            **body,
            "metadata": {
                "name": path.rpartition("/")[2],
                "namespace": NAMESPACE,
                "uid": f"uid-{path.rpartition('/')[2]}",
                "creationTimestamp": "2026-01-01T00:00:00Z",
                **metadata,
                "resourceVersion": str(next(self._versions)),
            },
        }
        kind = "MODIFIED" if path in self.objects else "ADDED"
        self.objects[path] = made
        self._note(kind, path, made)
        return made

    def change(self, path: str, change: dict[str, Any], manager: str) -> dict[str, Any]:
        """Changes an object by a merge patch, and records who changed which keys of its ``spec``."""
        there = self.objects[path]
        merge(there, json.loads(json.dumps(change)))
        fields = {f"f:{key}": {} for key in change.get("spec") or {}}
        if fields and self.controllers is not None:
            entry = {"manager": manager, "time": "2026-01-01T12:00:00Z", "fieldsV1": {"f:spec": fields}}
            kept = [
                one for one in there["metadata"].get("managedFields", ())
                if not fields.keys() & one["fieldsV1"]["f:spec"].keys()
            ]  # fmt: skip
            there["metadata"]["managedFields"] = [*kept, entry]
        there["metadata"]["resourceVersion"] = str(next(self._versions))
        self._note("MODIFIED", path, there)
        return there

    def remove(self, path: str) -> None:
        """Deletes an object."""
        gone = self.objects.pop(path)
        gone["metadata"]["resourceVersion"] = str(next(self._versions))
        self._note("DELETED", path, gone)

    def _note(self, kind: str, path: str, one: dict[str, Any]) -> None:
        self.history.append((kind, path, json.loads(json.dumps(one))))

    def job(self, name: str, **body: Any) -> dict[str, Any]:
        """Creates a submitted Job."""
        metadata = {"labels": {**NAMED, "dev.starfreight/run": name}, **body.pop("metadata", {})}
        spec = {"parallelism": 1, "completions": 1, "backoffLimit": 0, **body.pop("spec", {})}
        return self.put(
            f"{JOBS}/{name}", metadata=metadata, spec=spec, status=body.pop("status", {"active": 1})
        )

    def pod(self, name: str, job: str, state: dict[str, Any], phase: str = "Running", **more: Any) -> None:
        """Creates a pod with one container for a job."""
        metadata = {"labels": {"job-name": job}, **more.pop("metadata", {})}
        spec = {"containers": [{"name": "train", "image": "trainer"}], "nodeName": "node1"}
        found = {"phase": phase, "containerStatuses": [{"name": "train", "state": state}], **more}
        self.put(f"{PODS}/{name}", metadata=metadata, spec=spec, status=found)

    def written(self, method: str) -> list[Asked]:
        """The requests with a method, without dry runs."""
        return [one for one in self.asked if one.method == method and "dryRun" not in one.query]

    def answer(self, asked: Asked) -> Reply:
        """The answer of a working server."""
        if time.monotonic() < self.loaded:
            said = 'User "eve" cannot get resource "jobs" in API group "batch" in the namespace "research"'
            return Reply(403, status(403, "Forbidden", said))
        with self.lock:
            if asked.path == "/version":
                return Reply(body={"gitVersion": self.version})
            if asked.method == "GET":
                return self._read(asked)
            if asked.method == "POST":
                made = self._create(asked)
                if self.controllers is not None and "dryRun" not in asked.query:
                    self.controllers.act()
                return made
            there = self.objects.get(asked.path)
            if there is None:
                return Reply(404, status(404, "NotFound", "not found"))
            if asked.method == "DELETE":
                self.remove(asked.path)
                if self.controllers is not None:
                    self.controllers.deleted(there)
                    self.controllers.act()
                return Reply(body=status(200, "", "deleted"))
            self.change(asked.path, asked.body, "OpenAPI-Generator")
            if self.controllers is not None:
                self.controllers.act()
            return Reply(body=there)

    def _create(self, asked: Asked) -> Reply:
        body = json.loads(json.dumps(asked.body))
        metadata = body["metadata"]
        if "generateName" in metadata:
            metadata["name"] = f"{metadata['generateName']}{next(self._versions)}"
        path = f"{asked.path}/{metadata['name']}"
        if path in self.objects:
            return Reply(409, status(409, "AlreadyExists", f"{path} already exists"))
        if "dryRun" in asked.query:
            return Reply(201, asked.body)
        if self.controllers is not None:
            metadata["uid"] = f"uid-of-{metadata['name']}-{next(self._versions)}"
        return Reply(201, self.put(path, **body))

    def _read(self, asked: Asked) -> Reply:
        if self.controllers is not None and asked.path.endswith("/log"):
            pod = asked.path.split("/")[-2]
            if f"{PODS}/{pod}" not in self.objects:
                return Reply(404, status(404, "NotFound", f"{pod} not found"))
            pieces, cut = self.controllers.log(pod, "follow" in asked.query, asked.query.get("sinceTime", ""))
            return Reply(pieces=pieces, cut=cut)
        if asked.path in self.objects:
            return Reply(body=self.objects[asked.path])
        custom = re.search(r"/(jobsets|trainjobs)$", asked.path) and any(
            asked.path in path for path in self.objects
        )
        if not custom and not re.search(r"/(jobs|pods|events|configmaps|workloads)$", asked.path):
            return Reply(404, status(404, "NotFound", f"{asked.path} not found"))
        if "watch" in asked.query:
            return Reply(pieces=self._watch(asked))
        found = [one for path, one in self.objects.items() if path.rpartition("/")[0] == asked.path]
        found = [one for one in found if _selected(one, asked.query)]
        begin, limit = int(asked.query.get("continue", 0)), int(asked.query.get("limit", len(found) or 1))
        more = {"continue": str(begin + limit)} if begin + limit < len(found) else {}
        version = "1000" if self.controllers is None else str(next(self._versions))
        metadata = {"resourceVersion": version, **more}
        return Reply(body={"metadata": metadata, "items": found[begin : begin + limit]})

    def _watch(self, asked: Asked) -> Iterator[bytes]:
        """The changes after a version. Without controllers, none."""
        time.sleep(min(int(asked.query.get("timeoutSeconds", "1")), 0.2))
        seen = int(asked.query["resourceVersion"]) if self.controllers is not None else 1 << 60
        for kind, path, one in list(self.history):
            newer = int(one["metadata"]["resourceVersion"]) > seen
            if newer and path.rpartition("/")[0] == asked.path and _selected(one, asked.query):
                yield json.dumps({"type": kind, "object": one}).encode() + b"\n"
        yield b""


def merge(target: dict[str, Any], change: dict[str, Any]) -> None:
    """RFC 7386."""
    for key, value in change.items():
        if value is None:
            target.pop(key, None)
        elif isinstance(value, dict):
            merge(target.setdefault(key, {}), value)
        else:
            target[key] = value


def _selected(one: dict[str, Any], query: dict[str, str]) -> bool:
    labels = one["metadata"].get("labels", {})
    for part in filter(None, query.get("labelSelector", "").split(",")):
        key, equals, value = part.partition("=")
        if key not in labels or (equals and labels[key] != value):
            return False
    key, _, value = query.get("fieldSelector", "").partition("=")
    if (
        key == "involvedObject.uid"
    ):  # Events of tests that do not say what they are about are about everything.
        return one.get("involvedObject", {"uid": value})["uid"] == value
    return key != "metadata.name" or one["metadata"]["name"] == value


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    served: Api

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        asked = Asked(self.command, parts.path, dict(parse_qsl(parts.query)), body)
        self.served.asked.append(asked)
        reply = self.served.before(asked) or self.served.answer(asked)
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if reply.pieces is None:
            data = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)
            return
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for piece in reply.pieces:
            if piece:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                self.wfile.flush()
        if reply.cut:
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
        else:
            self.wfile.write(b"0\r\n\r\n")

    do_GET = do_POST = do_PATCH = do_DELETE = _serve

    def date_time_string(self, timestamp: float | None = None) -> str:
        return self.served.date or email.utils.formatdate(usegmt=True)

    def log_message(self, format: str, *arguments: Any) -> None:
        """Silent."""


@pytest.fixture
def reply() -> type[Reply]:
    """An answer of a test instead of the server's."""
    return Reply


@pytest.fixture
def failure() -> Callable[..., dict[str, Any]]:
    """An error in the format of the API."""
    return status


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    """A running server, named by KUBECONFIG."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    made = Api()
    made.start()
    made.put(f"/api/v1/namespaces/{NAMESPACE}")
    path = tmp_path / "kubeconfig"
    path.write_text(json.dumps({
        "apiVersion": "v1", "kind": "Config", "current-context": "test",
        "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{made.port}"}}],
        "users": [{"name": "u", "user": {"token": TOKEN}}],
        "contexts": [{"name": "test", "context": {"cluster": "c", "user": "u", "namespace": NAMESPACE}}],
    }))  # fmt: skip
    # The client reads the variable when it is imported, so both are set.
    monkeypatch.setenv("KUBECONFIG", str(path))
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(path))
    yield made
    made.stop()


class Said(Console):
    """Records its notes."""

    def __init__(self) -> None:
        super().__init__()
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        """Records the note."""
        self.notes.append(text)

    @property
    def all(self) -> str:
        """All notes."""
        return "\n".join(self.notes)


@pytest.fixture
def said() -> Said:
    """A console that records its notes."""
    return Said()


@pytest.fixture
def controllers(api: Api) -> Controllers:
    """The controllers of Jobs, JobSet, Trainer and Kueue, which act after each write."""
    api.controllers = Controllers(api)
    for group in ("jobset.x-k8s.io/v1alpha2", "trainer.kubeflow.org/v1alpha1"):
        api.objects[f"/apis/{group}"] = {"metadata": {}}
    return api.controllers


@pytest.fixture
def cluster(api: Api, said: Said) -> Cluster:
    """A client of the server."""
    return connect(said, patience=1)
