"""Servers that answer a byte at a time, or without end, are given up; slow ones are not."""

from __future__ import annotations

import contextlib
import gzip
import io
import itertools
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Any

import pytest

from starfreight.errors import ServiceError
from starfreight.files import sha256_bytes
from starfreight.package import Descriptor
from starfreight.registry import DigestReference, TagReference
from starfreight.registry.client import RegistryClient
from starfreight.registry.fetch_blob import fetch_blob
from starfreight.registry.pace import LEAST_PACE, MAX_ANSWER_BYTES, PATIENCE, Pace
from starfreight.registry.publishing import PublishingClient
from starfreight.registry.session import READ_TIMEOUT

Pieces = Iterable[bytes]
DATA = b"0123456789" * 3000
DESCRIPTOR = Descriptor(media_type="text/plain", digest=sha256_bytes(DATA), size=len(DATA))
OK = b"HTTP/1.1 200 OK\r\n"
EMPTY = gzip.compress(b"")


class Drip:
    """A server that sends the pieces that a test gives it for a path, and waits before each but the first."""

    def __init__(self, pause: float) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.host = f"127.0.0.1:{self.listener.getsockname()[1]}"
        self.pause = pause
        self.asked: list[str] = []
        self.answer: Callable[[str], Pieces] = lambda path: []
        self.sent = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            asked = client.recv(65536).split(b"\r\n")[0].decode()
            self.asked.append(asked)
            for piece in self.answer(asked):
                client.sendall(piece)
                self.sent += len(piece)
                if self.pause:
                    time.sleep(self.pause)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Drip]:
    """A server that sends twenty pieces a second; the client's patience is a second instead of a minute."""
    monkeypatch.setattr("starfreight.registry.pace.PATIENCE", 0.3)
    drip = Drip(0.05)
    with drip.listener:
        yield drip
        # Wakes accept: a signal would restart it later, with a number that another socket may have by then.
        drip.listener.shutdown(socket.SHUT_RDWR)


def one_by_one(data: bytes) -> Pieces:
    return (data[each : each + 1] for each in range(len(data)))


def endless(*pieces: bytes) -> Pieces:
    return itertools.cycle(pieces)


def after(start: bytes, rest: Pieces) -> Pieces:
    return itertools.chain([start], rest)


def reader(server: Drip) -> RegistryClient:
    return RegistryClient(DigestReference(server.host, "team/data", DESCRIPTOR.digest), insecure=True)


def pull(server: Drip, to: Path) -> None:
    fetch_blob(reader(server), DESCRIPTOR, to / "blob", lambda amount, what=None: None, keep_partial=False)


BYTE_AT_A_TIME: dict[str, Callable[[], Pieces]] = {
    "status": lambda: endless(b"H"),
    "headers": lambda: after(OK, one_by_one(b"X-Header: " + b"x" * 60_000)),
    "interim answers": lambda: after(b"", one_by_one(b"HTTP/1.1 100 Continue\r\n\r\n" * 10_000)),
    "body": lambda: after(OK + b"Content-Length: 30000\r\n\r\n", one_by_one(DATA)),
    "chunks": lambda: after(OK + b"Transfer-Encoding: chunked\r\n\r\n", endless(b"1\r\n1\r\n")),
    "refusal": lambda: after(b"HTTP/1.1 404 Not\r\nContent-Length: 30000\r\n\r\n", one_by_one(DATA)),
    "failure": lambda: after(b"HTTP/1.1 503 No\r\nContent-Length: 30000\r\n\r\n", one_by_one(DATA)),
    "redirection": lambda: after(
        b"HTTP/1.1 302 No\r\nLocation: /x\r\nContent-Length: 30000\r\n\r\n", one_by_one(DATA)
    ),
}


@pytest.mark.parametrize("part", BYTE_AT_A_TIME)
@pytest.mark.parametrize("request_for", ["manifest", "blob", "token", "upload"])
def test_a_byte_at_a_time_is_given_up_at_once(
    request_for: str, part: str, server: Drip, tmp_path: Path
) -> None:
    slow = BYTE_AT_A_TIME[part]
    client: RegistryClient = reader(server)
    if request_for == "manifest":
        server.answer = lambda asked: slow()
        ask: Callable[[], Any] = lambda: client.get_manifest("1.0", "text/plain")  # noqa: E731
    elif request_for == "blob":
        server.answer = lambda asked: slow()
        ask = lambda: pull(server, tmp_path)  # noqa: E731
    elif request_for == "token":
        challenge = f'HTTP/1.1 401 No\r\nWWW-Authenticate: Bearer realm="http://{server.host}/token"\r\n'
        refused = challenge.encode() + b"Content-Length: 0\r\nConnection: close\r\n\r\n"
        server.answer = lambda asked: slow() if "/token" in asked else [refused]
        ask = client.connect
    else:
        writer = PublishingClient(TagReference(server.host, "team/data", "1"), insecure=True)
        server.answer = _accepting_uploads(slow)
        ask = lambda: writer.upload(_Memory(), DESCRIPTOR, lambda amount, what=None: None)  # noqa: E731
    start = time.monotonic()
    with pytest.raises(ServiceError, match=r"answers at less than 1,000 bytes a second") as caught:
        ask()
    assert time.monotonic() - start < 30  # Without the limit, minutes.
    assert caught.value.exit_code == 4
    assert "127.0.0.1" in str(caught.value.where)
    assert not list(tmp_path.iterdir())


def _accepting_uploads(slow: Callable[[], Pieces]) -> Callable[[str], Pieces]:
    def answer(asked: str) -> Pieces:
        if asked.startswith("HEAD"):
            return [b"HTTP/1.1 404 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"]
        if asked.startswith("POST"):
            return [b"HTTP/1.1 202 Yes\r\nLocation: /put\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"]
        return slow()

    return answer


class _Memory:
    def open(self, descriptor: Descriptor) -> contextlib.closing[IO[bytes]]:
        return contextlib.closing(io.BytesIO(DATA))

    def where(self, descriptor: Descriptor) -> str:
        return "memory"


def test_a_slow_transfer_is_completed(server: Drip, tmp_path: Path) -> None:
    """20 kB a second, for longer than the patience."""
    pieces = [DATA[start : start + 1000] for start in range(0, len(DATA), 1000)]
    server.answer = lambda asked: after(OK + b"Content-Length: 30000\r\n\r\n", pieces)
    start = time.monotonic()
    pull(server, tmp_path)
    assert time.monotonic() - start > 1.4
    assert (tmp_path / "blob").read_bytes() == DATA


def test_a_pause_before_the_answer_is_the_timeouts_business(server: Drip) -> None:
    def thinking(asked: str) -> Pieces:
        time.sleep(1.5)  # A registry hashes an upload before it answers.
        return [OK + b"Content-Length: 2\r\n\r\n{}"]

    server.answer = thinking
    assert reader(server).get_manifest("1.0", "text/plain") == b"{}"


def test_a_pause_that_the_timeout_allows_is_no_lag() -> None:
    assert PATIENCE >= READ_TIMEOUT
    pace = Pace("registry")
    for _ in range(100):
        pace.count(1_000_000, READ_TIMEOUT - 0.001)


def test_a_byte_every_two_seconds_ends_within_a_minute() -> None:
    pace = Pace("registry")
    pace.count(500, 0.1)
    with pytest.raises(ServiceError):
        for _ in range(31):
            pace.count(1, 2.0)


def test_the_least_pace_goes_on_for_ever() -> None:
    pace = Pace("registry")
    for _ in range(10_000):
        pace.count(LEAST_PACE, 1.0)


FLOODS: dict[str, Callable[[], Pieces]] = {
    "interim answers": lambda: endless(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000),
    "refusal": lambda: after(b"HTTP/1.1 404 No\r\n\r\n", endless(b"x" * 100_000)),
    "failure": lambda: after(b"HTTP/1.1 503 No\r\n\r\n", endless(b"x" * 100_000)),
    "empty gzip members": lambda: after(OK + b"Content-Encoding: gzip\r\n\r\n", endless(EMPTY * 1000)),
    "gzip bomb": lambda: [OK + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(b"x" * 50_000_000, 1)],
    "trailers": lambda: after(
        OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", endless(b"X-Header: x\r\n" * 1000)
    ),
}


@pytest.mark.parametrize("flood", FLOODS)
def test_a_flood_is_not_read_to_its_end(flood: str, server: Drip) -> None:
    server.pause = 0
    server.answer = lambda asked: FLOODS[flood]()
    start = time.monotonic()
    with pytest.raises(ServiceError, match="larger than"):
        reader(server).get_manifest("1.0", "text/plain")
    assert time.monotonic() - start < 60  # Without the bound, without end.
    assert len(server.asked) == 1


def test_a_compressed_answer_is_read_even_if_nobody_asked_for_it(server: Drip) -> None:
    server.pause = 0
    packed = gzip.compress(b'{"name": 1}')
    head = OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(packed)
    server.answer = lambda asked: [head + packed]
    assert reader(server).get_manifest("1.0", "text/plain") == b'{"name": 1}'


def test_a_blob_with_an_endless_end_is_not_read_to_it(server: Drip, tmp_path: Path) -> None:
    server.pause = 0
    body = OK + b"Transfer-Encoding: chunked\r\n\r\n7530\r\n" + DATA + b"\r\n0\r\n"
    server.answer = lambda asked: after(body, endless(b"X-Header: x\r\n" * 1000))
    with pytest.raises(ServiceError, match="larger than"):
        pull(server, tmp_path)
    assert server.sent < 4 * MAX_ANSWER_BYTES
    assert not list(tmp_path.iterdir())
