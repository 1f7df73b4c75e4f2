"""A registry that fails on purpose: a proxy in front of the real one, with faults to come."""

from __future__ import annotations

import http.client
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from listeners import BASIC, PASSWORD, USERNAME, Listener, basic
from servers import Server

from starfreight.console import Console
from starfreight.jobs.data.push import push_recipe
from starfreight.packager.layout.write_package import PackageContents, write_package
from starfreight.quantization import Quantization


@dataclass
class Fault:
    """What happens to the next ``times`` requests that fit."""

    method: str
    path: str
    """A regular expression for the path with its query."""
    status: int | None = None
    """Answer with this status, after the body was read."""
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    cut_after: int | None = None
    """Hand on so many bytes of the body, then break both connections."""
    hold_after: int | None = None
    """Hand on so many bytes of the body, then set ``held`` and do nothing more."""
    keep_after: int | None = None
    """Store so many bytes of the body, then break the connection: as registries do that resume uploads."""
    corrupt_at: int | None = None
    """Change this byte of the body, or of the answer if the request has none."""
    cut_answer_after: int | None = None
    """Break the connection after so many bytes of the answer's body."""
    delay: float = 0
    """Seconds to wait before anything else."""
    times: int = 1
    held: threading.Event = field(default_factory=threading.Event)


class FaultyProxy(ThreadingHTTPServer):
    """The proxy.

    ``seen`` lists the requests that arrived as ``METHOD path``, ``ranges`` the values of ``Content-Range``.
    ``chaos`` makes a fault for a request out of nothing, or does not.
    """

    daemon_threads = True

    def __init__(self, upstream: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream = upstream
        self.faults: list[Fault] = []
        self.seen: list[str] = []
        self.ranges: list[str] = []
        self.kept: dict[str, str] = {}
        self.chaos: Callable[[str, str, int], Fault | None] | None = None
        self.released = threading.Event()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that was broken on purpose is nothing to tell of."""

    def count(self, method: str, path: str = "") -> int:
        """How many requests with this method have this in their path."""
        return sum(each.startswith(method + " ") and re.search(path, each) is not None for each in self.seen)

    def next_fault(self, method: str, path: str) -> Fault | None:
        for fault in self.faults:
            if fault.times > 0 and fault.method == method and re.search(fault.path, path):
                fault.times -= 1
                return fault
        return None

    request_queue_size = 128


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16
    server: FaultyProxy

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def _serve(self) -> None:
        self.server.seen.append(f"{self.command} {self.path}")
        fault = self.server.next_fault(self.command, self.path)
        length = int(self.headers.get("Content-Length") or 0)
        if "Content-Range" in self.headers:
            self.server.ranges.append(self.headers["Content-Range"])
        if fault is None and self.server.chaos is not None:
            fault = self.server.chaos(self.command, self.path, length)
        if fault is not None and fault.delay:
            time.sleep(fault.delay)
        upstream = http.client.HTTPConnection(self.server.upstream, timeout=30)
        try:
            if fault is not None and fault.status is not None:
                self.rfile.read(length)
                self._answer(fault.status, list(fault.headers.items()), fault.body)
                return
            stop = (
                None
                if fault is None
                else fault.cut_after
                if fault.cut_after is not None
                else fault.hold_after
            )
            if fault is not None and fault.keep_after is not None:
                self._keep(self.rfile.read(fault.keep_after))
                return
            path = self.server.kept.pop(self.path, self.path) if self.command == "GET" else self.path
            upstream.putrequest(self.command, path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                upstream.putheader(name, value)
            body = bytearray(self.rfile.read(length if stop is None else stop))
            if fault is not None and fault.corrupt_at is not None and body:
                body[fault.corrupt_at % len(body)] ^= 1
            upstream.endheaders(bytes(body))
            if stop is not None:
                assert fault is not None
                if fault.hold_after is not None:
                    fault.held.set()
                    self.server.released.wait(30)
                self.close_connection = True
                self.connection.close()
                return
            response = upstream.getresponse()
            answer = bytearray(response.read())
            if fault is not None and fault.corrupt_at is not None and not body and answer:
                answer[fault.corrupt_at % len(answer)] ^= 1
            cut = None if fault is None else fault.cut_answer_after
            self._answer(response.status, response.getheaders(), bytes(answer), cut)
        except OSError:
            self.close_connection = True
        finally:
            upstream.close()

    def _keep(self, body: bytes) -> None:
        """Store the part in the registry, and break the connection."""
        address = re.sub(r"[?&]digest=[^&]*", "", self.path)
        upstream = http.client.HTTPConnection(self.server.upstream, timeout=30)
        upstream.request("PATCH", address, body, {"Content-Type": "application/octet-stream"})
        response = upstream.getresponse()
        assert response.status == 202, response.read()
        parts = urlsplit(response.headers["Location"])
        self.server.kept[address] = f"{parts.path}?{parts.query}"
        upstream.close()
        self.close_connection = True
        self.connection.close()

    def _answer(
        self, status: int, headers: list[tuple[str, str]], body: bytes, cut: int | None = None
    ) -> None:
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                self.send_header(name, value)
        length = {name.lower(): value for name, value in headers}.get("content-length")
        self.send_header("Content-Length", length if self.command == "HEAD" and length else str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body if cut is None else body[:cut])
        if cut is not None and cut < len(body):
            self.wfile.flush()
            self.close_connection = True
            self.connection.close()

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _serve


@pytest.fixture
def faulty(registry: Any) -> Iterator[FaultyProxy]:
    """A proxy in front of the plain registry. Nothing fails until a test says so."""
    with FaultyProxy(registry.host) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        yield proxy
        proxy.released.set()
        proxy.shutdown()


@pytest.fixture(scope="session")
def deleting_registry(start_registry: Callable[..., Any]) -> Any:
    """A registry that deletes manifests by their digest."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("REGISTRY_STORAGE_DELETE_ENABLED", "true")
        return start_registry()


@pytest.fixture
def fault() -> type[Fault]:
    """:class:`Fault`, for tests to make their own."""
    return Fault


@pytest.fixture
def package_folder(
    tmp_path: Path, make_contents: Callable[..., PackageContents], request: pytest.FixtureRequest
) -> Path:
    """A package of two variants, with bytes of this test's own where the weights belong."""
    name = request.node.name.encode()
    contents = make_contents(
        {Quantization.Q4_K_M: b"GGUF" + name * 10_000, Quantization.Q8_0: b"GGUF" + name * 20_000}
    )
    folder = tmp_path / "package"
    write_package(folder, contents, Console(quiet=True))
    return folder


@pytest.fixture
def repository(request: pytest.FixtureRequest) -> str:
    """A repository of this test's own."""
    name = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-")
    return f"team/{name[:70].strip('-')}"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Repeats at once instead of after seconds."""
    monkeypatch.setattr("starfreight.registry.session.BACKOFF_FACTOR", 0.01)


@pytest.fixture(autouse=True)
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """One client at a time: nobody overwrites a list of referrers."""
    monkeypatch.setattr("starfreight.registry.referrers.SETTLE", 0.001)
    monkeypatch.setattr("starfreight.registry.referrers.SETTLE_FACTOR", 0)


@pytest.fixture
def listen() -> Iterator[Callable[[str], Listener]]:
    """Starts a listener at an address of this machine."""
    running: list[Listener] = []

    def start(address: str) -> Listener:
        server = Listener("127.0.0.1" if address == "localhost" else address)
        server.name = address
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        running.append(server)
        return server

    yield start
    for server in running:
        server.shutdown()
        server.server_close()


@pytest.fixture
def home(listen: Callable[[str], Listener]) -> Listener:
    """The registry; it wants user name and password, and holds the blob."""
    server = listen("127.0.0.1")
    server.answer = basic
    return server


@pytest.fixture(params=["127.0.0.1", "127.0.0.2", "localhost"])
def elsewhere(request: pytest.FixtureRequest, listen: Callable[[str], Listener]) -> Listener:
    """A server of somebody else, which wants user name and password, too."""
    server = listen(request.param)
    server.answer = basic
    return server


@pytest.fixture(params=["environment", "named in the environment", "docker login"])
def entitle(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[[str], None]:
    """Gives the user credentials for one host, in each of the ways there are."""

    def give(host: str) -> None:
        if request.param == "docker login":
            auth = BASIC.removeprefix("Basic ")
            (tmp_path / "config.json").write_text(json.dumps({"auths": {host: {"auth": auth}}}))
            monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
            return
        monkeypatch.setenv("STARFREIGHT_REGISTRY_USERNAME", USERNAME)
        monkeypatch.setenv("STARFREIGHT_REGISTRY_PASSWORD", PASSWORD)
        if request.param == "named in the environment":
            monkeypatch.setenv("STARFREIGHT_REGISTRY_HOST", host)

    return give


@pytest.fixture
def model_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory where base models of registries are kept, empty."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache/starfreight/models"


@pytest.fixture
def pushed_base(
    registry: Server, repository: str, write_job: Callable[..., Path], console: Console, model_cache: Path
) -> str:
    """``oci://...`` of a small base model, whose configuration is in the cache."""
    found = push_recipe(
        write_job(), f"oci://{registry.host}/{repository}", insecure=True, with_secrets=False, write=None,
        console=console,
    )  # fmt: skip
    assert found.base is not None
    return found.base.replacement
