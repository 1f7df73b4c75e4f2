"""Hash the models of a release in a registry while they arrive, without storing them.

    with open_package(reference, console) as opened:
        problems = read_models(opened, console)

Each byte is read once; a connection that breaks continues where it broke. Only the header of each model is
kept: in the opened layout, for the checks that compare it with the record.
"""

from __future__ import annotations

import hashlib
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import IO, cast

from starfreight.console import Advance, Console
from starfreight.errors import GateError
from starfreight.files import disk_errors
from starfreight.gguf.keys import read_keys
from starfreight.image_layout.reader import ImageLayout
from starfreight.package import Descriptor
from starfreight.packager.layout.gguf_header import LONGEST_HEADER
from starfreight.packager.layout.report import Problem
from starfreight.packager.registry.open_package import Opened
from starfreight.packager.registry.remote_blobs import RemoteBlobs

_STREAMS = 4
"""Models at a time."""
_CHUNK = 1 << 20


def read_models(opened: Opened, console: Console) -> tuple[Problem, ...]:
    """Read every model of an opened release to its end.

    Args:
        opened: a release in a registry.
        console: shows progress.

    Returns:
        The models whose bytes are not those of their digest.

    Raises:
        ServiceError: the registry cannot be reached, refuses or keeps failing, or the disk is full.
    """
    if opened.client is None:
        return ()
    models = [each for each in opened.package.descriptors() if each.digest in opened.placeholders]
    total = sum(each.size for each in models)
    with console.progress("Reading the models", total=total, unit="B") as advance:
        reader = _Reader(RemoteBlobs(opened.client, opened.where), ImageLayout(opened.folder), advance)
        pool = ThreadPoolExecutor(_STREAMS, thread_name_prefix="model")
        try:
            found = list(pool.map(reader.read, sorted(models, key=lambda each: -each.size)))
        finally:
            reader.stopped = True
            pool.shutdown(cancel_futures=True)
    return tuple(each for each in found if each is not None)


class _StoppedError(Exception):
    """Nobody waits for the digest any more."""


class _Reader:
    def __init__(self, blobs: RemoteBlobs, layout: ImageLayout, advance: Advance) -> None:
        self._blobs, self._layout, self._advance = blobs, layout, advance
        self._lock = threading.Lock()
        self.stopped = False

    def read(self, model: Descriptor) -> Problem | None:
        path = self._layout.blob_path(model.digest)
        digest, header = hashlib.sha256(), _Header()
        try:
            with self._blobs.open(model) as source, disk_errors(path), path.open("r+b") as place:
                while piece := source.read(_CHUNK):
                    digest.update(piece)
                    header.keep(place, piece)
                    self._count(len(piece))
        except GateError:  # Another size or digest.
            return self._wrong(model)
        return None if "sha256:" + digest.hexdigest() == model.digest else self._wrong(model)

    def _wrong(self, model: Descriptor) -> Problem:
        path = self._layout.blob_path(model.digest).relative_to(self._layout.folder)
        return Problem(path.as_posix(), f"the registry sends other bytes than the blob {model.digest}")

    def _count(self, amount: int) -> None:
        if self.stopped:
            raise _StoppedError
        with self._lock:
            self._advance(amount)


class _Header:
    """Keeps the first bytes of a model until its header is complete."""

    def __init__(self) -> None:
        self._kept, self._next, self._complete = 0, 1, False

    def keep(self, place: IO[bytes], piece: bytes) -> None:
        if self._complete or self._kept >= LONGEST_HEADER:
            return
        place.write(piece)
        self._kept += len(piece)
        if self._kept >= self._next:  # Doubling: each byte is parsed twice at most.
            self._next = 2 * self._kept
            place.seek(0)
            self._complete = _is_complete(place, self._kept)
            place.seek(self._kept)


def _is_complete(stream: IO[bytes], size: int) -> bool:
    try:
        read_keys(cast(IO[bytes], _FirstBytes(stream, size)))
    except ValueError:
        return False
    return True


class _FirstBytes:
    def __init__(self, stream: IO[bytes], size: int) -> None:
        self._stream, self._left = stream, size

    def read(self, size: int) -> bytes:
        data = self._stream.read(min(size, self._left))
        self._left -= len(data)
        return data
