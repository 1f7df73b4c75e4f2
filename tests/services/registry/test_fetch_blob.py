"""Downloads of blobs: in ranges, with every kind of broken answer, after a kill; never a wrong byte."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from starfreight.errors import GateError, InputError, ServiceError
from starfreight.files import sha256_bytes
from starfreight.package import Descriptor
from starfreight.registry import DigestReference
from starfreight.registry.client import RegistryClient
from starfreight.registry.fetch_blob import fetch_blob
from starfreight.registry.partial_file import open_partial

SEGMENT = 64 << 10
DATA = hashlib.shake_256(b"fetch").digest(10 * SEGMENT + 123)
BLOB = Descriptor(media_type="text/plain", digest=sha256_bytes(DATA), size=len(DATA))

pytestmark = pytest.mark.usefixtures("impatient")


class Storage(http.server.ThreadingHTTPServer):
    """Sends one blob, in ranges. A test changes an answer's status, headers and body in ``change``."""

    daemon_threads = True

    def __init__(self, data: bytes = DATA) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.data = data
        self.asked: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.change: Callable[[Answer], None] = lambda answer: None
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass

    @property
    def client(self) -> RegistryClient:
        return RegistryClient(DigestReference(self.host, "team/data", BLOB.digest), insecure=True)


class Answer:
    """An answer before it is sent."""

    def __init__(self, number: int, range_asked: str, data: bytes) -> None:
        self.number = number
        self.range = range_asked
        match = re.fullmatch(r"bytes=(\d+)-(\d+)", range_asked)
        self.status = 206 if match else 200
        self.start, self.end = (int(match[1]), int(match[2]) + 1) if match else (0, len(data))
        self.body = data[self.start : self.end]
        self.headers = {"ETag": f'"{BLOB.digest}"', "Content-Length": str(len(self.body))}
        if match:
            self.headers["Content-Range"] = f"bytes {self.start}-{self.end - 1}/{len(data)}"
        self.cut: int | None = None

    def whole(self, data: bytes = DATA) -> None:
        """Ignore the range."""
        self.status, self.body = 200, data
        self.headers = {"Content-Length": str(len(data))}


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Storage
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        asked = self.headers.get("Range", "")
        self.server.asked.append(asked)
        self.server.headers.append(dict(self.headers))
        answer = Answer(len(self.server.asked), asked, self.server.data)
        self.server.change(answer)
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer.body[: answer.cut])
        if answer.cut is not None:
            self.close_connection = True


@pytest.fixture
def storage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Storage]:
    monkeypatch.setattr("starfreight.registry.partial_file.SEGMENT", SEGMENT)
    with Storage() as server:
        yield server
        server.shutdown()


class Count:
    total = 0.0

    def __call__(self, amount: float, what: str | None = None) -> None:
        self.total += amount


def fetched(storage: Storage, folder: Path, **options: Any) -> bytes:
    count = Count()
    fetch_blob(storage.client, BLOB, folder / "blob", count, **options)
    assert count.total == len(DATA)
    assert [each.name for each in folder.iterdir()] == ["blob"]
    return (folder / "blob").read_bytes()


def test_a_large_blob_arrives_in_ranges(storage: Storage, tmp_path: Path) -> None:
    assert fetched(storage, tmp_path) == DATA
    assert len(storage.asked) == len(set(storage.asked)) == 11
    assert all(storage.asked)
    assert (tmp_path / "blob").stat().st_mode & 0o777 == 0o644 & ~_umask()


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def test_ranges_are_received_in_parallel(storage: Storage, tmp_path: Path) -> None:
    barrier = threading.Barrier(3)
    met: list[int] = []

    def wait(answer: Answer) -> None:
        if 2 <= answer.number <= 4:
            met.append(barrier.wait(10))

    storage.change = wait
    assert fetched(storage, tmp_path, parts=4) == DATA
    assert len(met) == 3


def test_a_small_blob_is_requested_whole(storage: Storage, tmp_path: Path) -> None:
    data = b"small"
    storage.data = data
    small = Descriptor(media_type="text/plain", digest=sha256_bytes(data), size=len(data))
    fetch_blob(storage.client, small, tmp_path / "blob", Count())
    assert (tmp_path / "blob").read_bytes() == data
    assert storage.asked == [""]


@pytest.mark.parametrize("data", [b"", b"x"])
def test_an_empty_blob_must_be_empty(data: bytes, storage: Storage, tmp_path: Path) -> None:
    storage.data = data
    empty = Descriptor(media_type="text/plain", digest=sha256_bytes(b""), size=0)
    if data:
        with pytest.raises(GateError):
            fetch_blob(storage.client, empty, tmp_path / "blob", Count())
        assert not list(tmp_path.iterdir())
    else:
        fetch_blob(storage.client, empty, tmp_path / "blob", Count())
        assert (tmp_path / "blob").read_bytes() == b""


def _header(name: str, value: str) -> Callable[[Answer], None]:
    def change(answer: Answer) -> None:
        if answer.range:
            answer.headers[name] = value

    return change


def _without_content_range(answer: Answer) -> None:
    answer.headers.pop("Content-Range", None)


def _shifted(answer: Answer) -> None:
    if answer.start:
        answer.headers["Content-Range"] = f"bytes {answer.start - 1}-{answer.end - 2}/{len(DATA)}"


def _longer(answer: Answer) -> None:
    if answer.range:
        answer.body += b"more"
        answer.headers["Content-Length"] = str(len(answer.body))


def _other_bytes(answer: Answer) -> None:
    if answer.range:
        answer.body = b"\0" * len(answer.body)


def _unsatisfiable(answer: Answer) -> None:
    if answer.range:
        answer.status, answer.body, answer.headers = 416, b"", {"Content-Length": "0"}


def _changed_etag(answer: Answer) -> None:
    if answer.number == 5:
        answer.headers["ETag"] = '"another"'


LIES: dict[str, Callable[[Answer], None]] = {
    "ignored": lambda answer: answer.whole(),
    "ignored later": lambda answer: answer.whole() if answer.number > 3 else None,
    "no Content-Range": _without_content_range,
    "invalid Content-Range": _header("Content-Range", "bytes */*"),
    "negative Content-Range": _header("Content-Range", "bytes -5--1/5"),
    "huge Content-Range": _header("Content-Range", "bytes 0-99999999999999999999999/5"),
    "another size": _header("Content-Range", f"bytes 0-{SEGMENT - 1}/5"),
    "shifted": _shifted,
    "longer": _longer,
    "other bytes": _other_bytes,
    "unsatisfiable": _unsatisfiable,
    "another entity": _changed_etag,
}


@pytest.mark.parametrize("lie", LIES)
def test_a_registry_that_answers_ranges_wrongly_is_read_in_one_stream(
    lie: str, storage: Storage, tmp_path: Path
) -> None:
    storage.change = LIES[lie]
    assert fetched(storage, tmp_path) == DATA
    assert storage.asked[-1] == ""


def test_a_range_may_be_shorter_than_requested(storage: Storage, tmp_path: Path) -> None:
    def halve(answer: Answer) -> None:
        if len(answer.body) == SEGMENT:
            half = len(answer.body) // 2
            answer.body = answer.body[:half]
            answer.headers["Content-Length"] = str(half)
            answer.headers["Content-Range"] = f"bytes {answer.start}-{answer.start + half - 1}/{len(DATA)}"

    storage.change = halve
    assert fetched(storage, tmp_path) == DATA
    assert all(storage.asked)


def test_broken_connections_continue_where_they_broke(storage: Storage, tmp_path: Path) -> None:
    def cut(answer: Answer) -> None:
        if len(answer.body) > SEGMENT // 8:
            answer.cut = len(answer.body) // 2

    storage.change = cut
    assert fetched(storage, tmp_path) == DATA
    requested = [re.findall(r"\d+", each) for each in storage.asked]
    assert sum(int(end) + 1 - int(start) for start, end in requested) < 2.5 * len(DATA)


def test_a_connection_that_always_breaks_is_given_up_and_the_bytes_are_kept(
    storage: Storage, tmp_path: Path
) -> None:
    def cut(answer: Answer) -> None:
        if answer.start >= 5 * SEGMENT:
            answer.cut = 0

    storage.change = cut
    with pytest.raises(ServiceError, match="cannot be reached") as caught:
        fetch_blob(storage.client, BLOB, tmp_path / "blob", Count())
    assert caught.value.exit_code == 4
    assert not (tmp_path / "blob").exists()
    storage.change = lambda answer: None
    storage.asked.clear()
    assert fetched(storage, tmp_path) == DATA
    assert min(int(re.findall(r"\d+", each)[0]) for each in storage.asked) == 5 * SEGMENT
    assert all(each.get("If-Range") == f'"{BLOB.digest}"' for each in storage.headers[-len(storage.asked) :])


@pytest.mark.parametrize("position", [0, SEGMENT - 1, SEGMENT, len(DATA) - 1])
def test_a_corrupt_byte_is_requested_once_more_and_then_refused(
    position: int, storage: Storage, tmp_path: Path
) -> None:
    storage.data = DATA[:position] + bytes([DATA[position] ^ 1]) + DATA[position + 1 :]
    count = Count()
    with pytest.raises(GateError, match="another digest") as caught:
        fetch_blob(storage.client, BLOB, tmp_path / "blob", count)
    assert caught.value.exit_code == 3
    assert storage.asked.count("") == 1
    assert count.total == 0
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("damage", ["bytes", "journal", "digest", "claims all", "long journal", "no journal"])
def test_a_damaged_partial_file_never_ends_in_the_blob(damage: str, storage: Storage, tmp_path: Path) -> None:
    with open_partial(tmp_path / "blob", BLOB) as partial:
        os.pwrite(partial.handle, DATA[: 4 * SEGMENT], 0)
        for segment in partial.segments[:4]:
            segment.received = SEGMENT
        if damage == "claims all":
            for segment in partial.segments:
                segment.received = segment.end - segment.start
        partial.save()
        size = os.fstat(partial.handle).st_size
        journal = os.pread(partial.handle, 1 << 20, len(DATA))
        other = {
            "bytes": (b"\xff" * 100, SEGMENT),
            "journal": (journal.replace(b"[", b"{"), len(DATA)),
            "digest": (journal.replace(b"sha256:", b"sha256:f"), len(DATA)),
            "long journal": (b"[" * 100_000, len(DATA)),
        }
        if damage in other:
            os.pwrite(partial.handle, *other[damage])
        if damage == "no journal":
            os.ftruncate(partial.handle, size - len(journal))
    assert fetched(storage, tmp_path) == DATA


def test_a_link_or_pipe_in_the_place_of_the_partial_file_is_not_written_to(
    storage: Storage, tmp_path: Path
) -> None:
    with open_partial(tmp_path / "blob", BLOB):
        (partial,) = tmp_path.iterdir()
    partial.unlink()
    victim = tmp_path / "victim"
    victim.write_bytes(b"mine")
    for place in (lambda: partial.hardlink_to(victim), lambda: os.mkfifo(partial), lambda: partial.mkdir()):
        place()
        fetch_blob(storage.client, BLOB, tmp_path / "blob", Count())
        assert (tmp_path / "blob").read_bytes() == DATA
        assert victim.read_bytes() == b"mine"
        (tmp_path / "blob").unlink()
        partial.rmdir() if partial.is_dir() else partial.unlink()
    partial.symlink_to(victim)
    with pytest.raises(InputError):
        fetch_blob(storage.client, BLOB, tmp_path / "blob", Count())
    assert victim.read_bytes() == b"mine"


def test_two_downloads_of_one_blob_do_not_mix(storage: Storage, tmp_path: Path) -> None:
    failures: list[BaseException] = []

    def fetch() -> None:
        try:
            fetch_blob(storage.client, BLOB, tmp_path / "blob", Count())
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=fetch) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert (tmp_path / "blob").read_bytes() == DATA
    assert [each.name for each in tmp_path.iterdir()] == ["blob"]


@pytest.mark.parametrize("status", [401, 403, 404, 500])
def test_a_refusal_leaves_nothing(status: int, storage: Storage, tmp_path: Path) -> None:
    def refuse(answer: Answer) -> None:
        answer.status, answer.body, answer.headers = status, b"", {"Content-Length": "0"}

    storage.change = refuse
    with pytest.raises(ServiceError) as caught:
        fetch_blob(storage.client, BLOB, tmp_path / "blob", Count())
    assert caught.value.exit_code == 4
    assert not list(tmp_path.iterdir())


def test_a_directory_in_the_place_of_the_file_is_refused(storage: Storage, tmp_path: Path) -> None:
    (tmp_path / "blob").mkdir()
    with pytest.raises(InputError):
        fetch_blob(storage.client, BLOB, tmp_path / "blob", Count())
    assert not storage.asked


def test_a_full_disk_is_noticed_before_the_download(
    storage: Storage, small_disk: Path, tmp_path: Path
) -> None:
    huge = BLOB.model_copy(update={"size": 1 << 62})
    with pytest.raises(ServiceError, match="free") as caught:
        fetch_blob(storage.client, huge, small_disk / "blob", Count())
    assert caught.value.exit_code == 4
    assert not storage.asked


def test_a_disk_that_fills_up_on_the_way_keeps_the_bytes_and_the_same_download_continues(
    storage: Storage, small_disk: Path
) -> None:
    ballast = small_disk / "ballast"
    (small_disk / "to").mkdir()

    def fill(answer: Answer) -> None:
        if answer.start >= 3 * SEGMENT and not ballast.exists():
            with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as stream:
                while True:
                    stream.write(b"x" * 1000)

    storage.change = fill
    with pytest.raises(ServiceError, match="No space left") as caught:
        fetch_blob(storage.client, BLOB, small_disk / "to/blob", Count())
    assert caught.value.exit_code == 4
    assert not (small_disk / "to/blob").exists()
    ballast.unlink()
    storage.change = lambda answer: None
    storage.asked.clear()
    assert fetched(storage, small_disk / "to") == DATA
    assert len(storage.asked) < 11


def test_killed_in_the_middle_the_same_download_continues(storage: Storage, tmp_path: Path) -> None:
    held, released = threading.Event(), threading.Event()

    def hold(answer: Answer) -> None:
        if answer.start >= 6 * SEGMENT:
            held.set()
            released.wait(30)

    storage.change = hold
    program = (
        "import sys, starfreight.registry.partial_file as partial\n"
        f"partial.SEGMENT = {SEGMENT}\n"
        "from pathlib import Path\n"
        "import starfreight.registry.blob_transfer as transfer\n"
        "transfer._JOURNAL_INTERVAL = 0.01\n"
        "from starfreight.package import Descriptor\n"
        "from starfreight.registry import DigestReference\n"
        "from starfreight.registry.client import RegistryClient\n"
        "from starfreight.registry.fetch_blob import fetch_blob\n"
        f"blob = Descriptor(media_type='text/plain', digest={BLOB.digest!r}, size={BLOB.size})\n"
        f"reference = DigestReference({storage.host!r}, 'team/data', blob.digest)\n"
        "client = RegistryClient(reference, insecure=True)\n"
        f"path = Path({str(tmp_path / 'blob')!r})\n"
        "fetch_blob(client, blob, path, lambda amount, what=None: None, parts=1)\n"
    )
    root = Path(__file__).parents[3]
    process = subprocess.Popen(
        [sys.executable, "-c", program], cwd=root, env={**os.environ, "PYTHONPATH": str(root)}
    )
    try:
        assert held.wait(30)
        (partial,) = tmp_path.iterdir()
        for _ in range(500):
            if partial.stat().st_size > len(DATA) and b"65536, 65536, 65536" in partial.read_bytes()[-500:]:
                break
            threading.Event().wait(0.01)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    storage.change = lambda answer: None
    released.set()
    assert not (tmp_path / "blob").exists()
    storage.asked.clear()
    assert fetched(storage, tmp_path) == DATA
    assert min(int(re.findall(r"\d+", each)[0]) for each in storage.asked) >= 3 * SEGMENT
