"""Hostile headers of tar archives: refused in bounded memory and time, also in a stream without end."""

from __future__ import annotations

import io
import tarfile
import time
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest

from starfreight.jobs.bounded_tar import TAR_ERRORS, UnsafeArchiveError, open_archive


class Endless(io.RawIOBase):
    """A first part, then copies of a second one; at most 1 GiB, so that a failing test ends."""

    def __init__(self, first: bytes, more: bytes) -> None:
        self._rest = first
        self._more = more * (1 + (1 << 16) // len(more))
        self.sent = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._rest:
            self._rest = self._more
        piece = self._rest[: len(buffer)] if self.sent < 1 << 30 else b""
        self._rest = self._rest[len(piece) :]
        buffer[: len(piece)] = piece
        self.sent += len(piece)
        return len(piece)


def header(kind: bytes, size: int, name: str = "x") -> bytes:
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, size
    return info.tobuf(tarfile.GNU_FORMAT)


def padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 512)


def pax(kind: bytes, records: dict[str, str]) -> bytes:
    return tarfile.TarInfo._create_pax_generic_header(records, kind, "utf-8")  # type: ignore[attr-defined]


SPARSE = header(b"S", 0)[:482] + b"\1" + header(b"S", 0)[483:]  # Its list of parts goes on in the next block.
STREAMS = {
    "a pax header": (header(tarfile.XHDTYPE, 1 << 33), b"30 path=aaaaaaaaaaaaaaaaaaaaa\n"),
    "pax headers": (b"", pax(tarfile.XHDTYPE, {"path": "a"})),
    "a global pax header": (header(tarfile.XGLTYPE, 1 << 33), b"30 path=aaaaaaaaaaaaaaaaaaaaa\n"),
    "global pax headers": (b"", pax(tarfile.XGLTYPE, {"comment": "c" * 60_000})),
    "a long name": (header(tarfile.GNUTYPE_LONGNAME, 1 << 33), b"n" * 512),
    "long names": (b"", header(tarfile.GNUTYPE_LONGNAME, 512) + b"n" * 512),
    "parts of a sparse file": (SPARSE, b"1" * 504 + b"\1" + b"\0" * 7),
    "numbers of a sparse file": (
        pax(tarfile.XHDTYPE, {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "a"})
        + header(tarfile.REGTYPE, 1 << 30) + b"9" * 8 + b"\n",
        b"1" * 512,
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", STREAMS)
def test_headers_without_end_are_refused(kind: str) -> None:
    stream = Endless(*STREAMS[kind])
    tracemalloc.start()
    begin = time.monotonic()
    try:
        with pytest.raises((UnsafeArchiveError, *TAR_ERRORS)):
            list(members(stream))
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()
    assert stream.sent < 4 << 20
    assert time.monotonic() - begin < 20


def members(stream: Any) -> Iterator[tarfile.TarInfo]:
    with open_archive(stream) as archive:
        while (member := archive.next()) is not None:
            yield member


def test_global_headers_that_add_up_are_refused() -> None:
    parts = [
        pax(tarfile.XGLTYPE, {f"comment{number}": "c" * 30_000}) + header(tarfile.REGTYPE, 0, f"f{number}")
        for number in range(10)
    ]
    with pytest.raises(UnsafeArchiveError, match="global headers"):
        list(members(io.BytesIO(b"".join(parts) + b"\0" * 1024)))


def test_a_long_row_of_digits_takes_no_quadratic_time() -> None:
    data = b"1" * 60_000
    archive = b"".join(header(tarfile.XHDTYPE, len(data)) + padded(data) for _ in range(4)) + header(b"0", 0)
    begin = time.monotonic()
    with pytest.raises(UnsafeArchiveError, match="very long number"):
        list(members(io.BytesIO(archive + b"\0" * 1024)))
    assert time.monotonic() - begin < 30  # Without the bound, more than a minute.


def test_long_names_and_records_of_every_format_are_read() -> None:
    name = "d" * 150 + "/" + "\u00fc" * 60
    for form in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        buffer = io.BytesIO()
        with tarfile.open(
            fileobj=buffer, mode="w", format=form, pax_headers={"comment": "1" * 40}
        ) as archive:
            for number in range(20):
                archive.addfile(tarfile.TarInfo(f"{name}{number}"))
        buffer.seek(0)
        assert [each.name for each in members(buffer)] == [f"{name}{number}" for number in range(20)]
