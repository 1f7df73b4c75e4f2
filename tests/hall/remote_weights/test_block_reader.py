"""Weights read in ranges: exact, with flat memory, and nothing from a server that misbehaves."""

from __future__ import annotations

import hashlib
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from hub_server import COMMIT, TOKEN, HubServer

from starfreight.console import Advance
from starfreight.errors import GateError, InputError, ServiceError, StarfreightError
from starfreight.registry import session
from starfreight.remote_weights import block_reader
from starfreight.remote_weights.block_reader import AHEAD, HELD, BlockReader
from starfreight.remote_weights.hub_source import HubSource

NAME = "model.safetensors"
BLOCK = 1 << 16
DATA = random.Random(1).randbytes(40 * BLOCK + 77)
Spoil = Callable[[BaseHTTPRequestHandler, Path, int, int], bool]


def quiet(amount: float, what: str | None = None) -> None:
    """An :class:`Advance` that shows nothing."""


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    """A hub with one file of weights, whose blocks are small."""
    monkeypatch.setattr(block_reader, "BLOCK", BLOCK)
    monkeypatch.setattr(session, "BACKOFF_FACTOR", 0.01)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / NAME).write_bytes(DATA)
    with HubServer() as server:
        server.models["acme/base"] = tmp_path / "base"
        yield server


@pytest.fixture
def reader(hub: HubServer) -> BlockReader:
    """The file of the hub, not verified yet."""
    return reader_of(hub, len(DATA))


def reader_of(hub: HubServer, size: int) -> BlockReader:
    url = f"{hub.address}/acme/base/resolve/{COMMIT}/{NAME}"
    return BlockReader("acme/base", {NAME: HubSource(url, f"acme/base/{NAME}", size, "sha256:unknown")})


def read(reader: BlockReader, position: int, count: int) -> bytes:
    buffer = bytearray(count)
    reader.read(NAME, position, memoryview(buffer))
    return bytes(buffer)


def answer(handler: BaseHTTPRequestHandler, status: int, body: bytes, **headers: object) -> bool:
    """Answers with a body that may be shorter or longer than its length says, and closes the connection."""
    handler.send_response(status)
    handler.send_header("Content-Length", str(headers.pop("length", len(body))))
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), str(value))
    handler.send_header("Connection", "close")
    handler.end_headers()
    handler.wfile.write(body)
    handler.close_connection = True
    return True


def content_range(start: int, stop: int, total: object = len(DATA)) -> str:
    return f"bytes {start}-{stop - 1}/{total}"


def test_a_read_gives_the_bytes_of_the_file_and_the_token_stays_at_the_hub(
    hub: HubServer, reader: BlockReader
) -> None:
    counted: list[float] = []
    advance: Advance = lambda amount, what=None: counted.append(amount)  # noqa: E731
    assert reader.verify(NAME, advance) == "sha256:" + hashlib.sha256(DATA).hexdigest()
    assert sum(counted) == len(DATA)
    reader.expect([(NAME, 100, 5 * BLOCK), (NAME, 20 * BLOCK + 1, 3 * BLOCK)])
    for position, count in [
        (100, 5),
        (BLOCK - 1, 2 * BLOCK + 2),
        (20 * BLOCK + 1, 3 * BLOCK),
        (0, len(DATA)),
    ]:
        assert read(reader, position, count) == DATA[position : position + count]
    assert len(hub.ranges) >= 41
    assert {authorization for _, authorization in hub.ranges} == {None}


def test_threads_read_at_once(hub: HubServer, reader: BlockReader) -> None:
    reader.verify(NAME, quiet)
    reader.expect([(NAME, 0, len(DATA))])
    wrong = []

    def work(number: int) -> None:
        for position in range(number * 5_000, len(DATA) - 5_000, 40_000):
            if read(reader, position, 5_000) != DATA[position : position + 5_000]:
                wrong.append(position)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_blocks_are_requested_ahead_and_once(hub: HubServer, reader: BlockReader) -> None:
    reader.verify(NAME, quiet)
    del hub.ranges[:]
    # A linear layer of two blocks that NF4 reads twice, and a norm in the middle of a block.
    reader.expect([(NAME, 3 * BLOCK, 2 * BLOCK), (NAME, 3 * BLOCK, 2 * BLOCK), (NAME, 9 * BLOCK + 5, 9)])
    read(reader, 3 * BLOCK, 10)
    end = time.monotonic() + 10
    while len(hub.ranges) < 3 and time.monotonic() < end:
        time.sleep(0.01)
    assert read(reader, 9 * BLOCK + 5, 9) == DATA[9 * BLOCK + 5 : 9 * BLOCK + 14]
    asked = sorted(int(asked.partition("=")[2].partition("-")[0]) // BLOCK for asked, _ in hub.ranges)
    assert asked == [3, 4, 9]


def test_memory_is_flat(hub: HubServer, tmp_path: Path) -> None:
    size = 96 << 20
    with (tmp_path / "base" / NAME).open("r+b") as stream:
        stream.truncate(size)
    url = f"{hub.address}/acme/base/resolve/{COMMIT}/{NAME}"
    program = [sys.executable, "-c", _READ_ALL, url, str(size)]
    done = subprocess.run(program, capture_output=True, text=True, check=True, timeout=120)
    # The blocks that are held, those on their way, and the pieces that they arrive in.
    assert int(done.stdout) < (HELD + 2 * AHEAD) << 20


_READ_ALL = """
import re, sys
from pathlib import Path
from starfreight.remote_weights import block_reader
from starfreight.remote_weights.hub_source import HubSource

def memory():
    return int(re.search(r"RssAnon:\\s*([0-9]+) kB", Path("/proc/self/status").read_text())[1]) << 10

block_reader.BLOCK, size = 1 << 20, int(sys.argv[2])
reader = block_reader.BlockReader("base", {"m": HubSource(sys.argv[1], "m", size, "")})
before, peak = memory(), 0
reader.verify("m", lambda amount: None)
reader.expect([("m", 0, size)])
buffer = memoryview(bytearray(1 << 19))
for position in range(0, size, len(buffer)):
    reader.read("m", position, buffer)
    peak = max(peak, memory())
print(peak - before)
"""


def test_a_broken_connection_is_replaced_where_it_broke(hub: HubServer, reader: BlockReader) -> None:
    broken: list[int] = []

    def break_once(handler: BaseHTTPRequestHandler, path: Path, start: int, stop: int) -> bool:
        if start % BLOCK or start in broken:
            return False
        broken.append(start)
        where = content_range(start, stop)
        return answer(handler, 206, DATA[start:stop][:1000], length=stop - start, Content_Range=where)

    hub.spoil = break_once
    assert reader.verify(NAME, quiet) == "sha256:" + hashlib.sha256(DATA).hexdigest()
    assert f"bytes={BLOCK + 1000}-{2 * BLOCK - 1}" in [asked for asked, _ in hub.ranges]


def no_ranges(handler: BaseHTTPRequestHandler, path: Path, start: int, stop: int) -> bool:
    return answer(handler, 200, DATA)


def cut_off(handler: BaseHTTPRequestHandler, path: Path, start: int, stop: int) -> bool:
    return answer(handler, 206, b"", length=stop - start, Content_Range=content_range(start, stop))


def too_long(handler: BaseHTTPRequestHandler, path: Path, start: int, stop: int) -> bool:
    return answer(handler, 206, DATA, Content_Range=content_range(start, stop))


def other_range(handler: BaseHTTPRequestHandler, path: Path, start: int, stop: int) -> bool:
    body = DATA[start + 1 : stop + 1]
    return answer(handler, 206, body, Content_Range=content_range(start + 1, stop + 1))


def other_size(handler: BaseHTTPRequestHandler, path: Path, start: int, stop: int) -> bool:
    return answer(handler, 206, DATA[start:stop], Content_Range=content_range(start, stop, len(DATA) + 1))


def no_range_named(handler: BaseHTTPRequestHandler, path: Path, start: int, stop: int) -> bool:
    return answer(handler, 206, DATA[start:stop])


def busy(handler: BaseHTTPRequestHandler, path: Path, start: int, stop: int) -> bool:
    return answer(handler, 503, b"later", Retry_After="0.01")


def denied(handler: BaseHTTPRequestHandler, path: Path, start: int, stop: int) -> bool:
    return answer(handler, 403, b"no")


def in_circles(handler: BaseHTTPRequestHandler, path: Path, start: int, stop: int) -> bool:
    return answer(handler, 302, b"", Location=handler.path)


@pytest.mark.parametrize(
    ("spoil", "kind", "message"),
    [
        (no_ranges, ServiceError, "ignores byte ranges"),
        (cut_off, ServiceError, "cannot be read: the connection"),
        (too_long, ServiceError, "more bytes than requested"),
        (other_range, ServiceError, "another byte range"),
        (other_size, ServiceError, "as its size"),
        (no_range_named, ServiceError, "does not answer a request for a byte range"),
        (busy, ServiceError, "status 503"),
        (denied, InputError, "status 403"),
        (in_circles, ServiceError, "TooManyRedirects"),
    ],
)
def test_a_server_that_misbehaves_gives_one_clear_error(
    hub: HubServer, reader: BlockReader, spoil: Spoil, kind: type[StarfreightError], message: str
) -> None:
    hub.spoil = spoil
    with pytest.raises(kind, match=message) as caught:
        reader.verify(NAME, quiet)
    assert caught.value.where == f"acme/base/{NAME}"
    assert TOKEN not in str(caught.value)
    with pytest.raises(RuntimeError, match="before it is verified"):
        read(reader, 0, 1)


def test_other_bytes_the_second_time_are_found(hub: HubServer, reader: BlockReader) -> None:
    reader.verify(NAME, quiet)
    with (hub.models["acme/base"] / NAME).open("r+b") as stream:
        stream.seek(3 * BLOCK + 9)
        stream.write(bytes([DATA[3 * BLOCK + 9] ^ 1]))
    assert read(reader, 5 * BLOCK, BLOCK) == DATA[5 * BLOCK : 6 * BLOCK]
    with pytest.raises(GateError, match="other bytes than before"):
        read(reader, 3 * BLOCK, 1)


def test_a_read_ends_at_once_when_it_is_stopped(hub: HubServer, reader: BlockReader) -> None:
    reader.verify(NAME, quiet)
    leave = threading.Event()
    hub.spoil = lambda *_: leave.wait(20)
    threading.Timer(0.3, reader.stop).start()
    began = time.monotonic()
    try:
        with pytest.raises(ServiceError, match="was stopped"):
            read(reader, 0, 1)
        assert time.monotonic() - began < 5
    finally:
        leave.set()
