"""Uploads that break off: continued where the registry kept a part, begun again where it did not."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from starfreight.console import Console
from starfreight.errors import GateError, ServiceError
from starfreight.files import sha256_bytes
from starfreight.package import Package
from starfreight.packager.layout.write_package import PackageContents, write_package
from starfreight.packager.registry.push import publish
from starfreight.quantization import Quantization
from starfreight.registry.blob_body import BlobBody

MB = 1 << 20
WEIGHTS = b"GGUF" + os.urandom(5 * MB)
DIGEST = sha256_bytes(WEIGHTS)
PUT = f"digest=sha256.*{DIGEST[7:]}"


@pytest.fixture
def folder(tmp_path: Path, make_contents: Callable[..., PackageContents]) -> Path:
    write_package(tmp_path / "p", make_contents(ggufs={Quantization.Q8_0: WEIGHTS}), Console(quiet=True))
    return tmp_path / "p"


@pytest.fixture(autouse=True)
def forgotten(registry: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The registry does not hold the weights yet, which are small for an upload."""
    monkeypatch.setattr("starfreight.registry.blob_body.CHECKPOINT", 2 * MB)
    registry.blob(DIGEST).unlink(missing_ok=True)


@pytest.mark.parametrize("kept", [1 * MB, 2 * MB + 1, 3 * MB, len(WEIGHTS) - 1])
def test_the_rest_follows_what_the_registry_kept(
    kept: int, faulty: Any, fault: Any, registry: Any, folder: Path, repository: str, console: Console,
    impatient: None,
) -> None:  # fmt: skip
    faulty.faults.append(fault("PUT", PUT, keep_after=kept))
    published = publish(folder, f"{faulty.host}/{repository}:1.0", insecure=True, console=console)
    assert registry.blob(DIGEST).read_bytes() == WEIGHTS
    assert faulty.ranges == [f"{kept}-{len(WEIGHTS) - 1}"]
    assert faulty.count("PUT", PUT) == 2
    assert published.bytes_sent > len(WEIGHTS)


def test_an_upload_is_continued_as_often_as_it_breaks(
    faulty: Any, fault: Any, registry: Any, folder: Path, repository: str, console: Console, impatient: None
) -> None:
    faulty.faults += [fault("PUT", PUT, keep_after=size * MB) for size in (1, 2, 1)]
    publish(folder, f"{faulty.host}/{repository}:1.0", insecure=True, console=console)
    assert registry.blob(DIGEST).read_bytes() == WEIGHTS
    assert [each.partition("-")[0] for each in faulty.ranges] == [str(size * MB) for size in (1, 3, 4)]


@pytest.mark.parametrize("status", [400, 404, 405, 416])
def test_a_registry_that_resumes_nothing_gets_all_of_it_again(
    status: int, faulty: Any, fault: Any, registry: Any, folder: Path, repository: str, console: Console,
    impatient: None,
) -> None:  # fmt: skip
    faulty.faults += [fault("PUT", PUT, keep_after=3 * MB), fault("PUT", PUT, status=status)]
    publish(folder, f"{faulty.host}/{repository}:1.0", insecure=True, console=console)
    assert registry.blob(DIGEST).read_bytes() == WEIGHTS
    assert faulty.count("PUT", PUT) == 3


@pytest.mark.parametrize(
    "answer",
    [
        {"status": 204, "headers": {"Range": "0-999999999"}}, {"status": 204, "headers": {"Range": "0-0"}},
        {"status": 204, "headers": {"Range": "5-9"}}, {"status": 204, "headers": {"Range": "rubbish"}},
        {"status": 204}, {"status": 404}, {"status": 500, "times": 9},
        {"status": 204, "headers": {"Range": "0-1048575", "Location": "file:///etc/passwd"}},
        {"status": 204, "headers": {"Range": "0-99999"}}, {"cut_after": 0, "times": 9},
    ],
)  # fmt: skip
def test_a_false_answer_about_the_part_does_no_harm(
    answer: dict[str, Any], faulty: Any, fault: Any, registry: Any, folder: Path, repository: str,
    console: Console, impatient: None,
) -> None:  # fmt: skip
    faulty.faults += [fault("PUT", PUT, cut_after=3 * MB), fault("GET", "/blobs/uploads/", **answer)]
    publish(folder, f"{faulty.host}/{repository}:1.0", insecure=True, console=console)
    assert registry.blob(DIGEST).read_bytes() == WEIGHTS
    # Retries of the question would only delay the next upload.
    assert faulty.count("GET", "/blobs/uploads/") == faulty.count("PUT", PUT) - 1


def test_a_byte_changed_on_its_way_is_noticed_and_all_is_sent_again(
    faulty: Any, fault: Any, registry: Any, folder: Path, repository: str, console: Console, impatient: None
) -> None:
    faulty.faults.append(fault("PUT", PUT, corrupt_at=2 * MB))
    publish(folder, f"{faulty.host}/{repository}:1.0", insecure=True, console=console)
    assert registry.blob(DIGEST).read_bytes() == WEIGHTS


def body_of(path: Path, size: int | None = None) -> BlobBody:
    gguf = Package.load(path).default_variant.gguf
    stream = (path / "blobs/sha256" / gguf.digest[7:]).open("rb")
    return BlobBody(stream, gguf, lambda amount, what=None: None, where="here")


def test_a_body_can_begin_anywhere_before_its_position(folder: Path) -> None:
    body = body_of(folder)
    pieces = iter(body)
    for offset in (0, 4 * MB, 2 * MB, 3, 0):
        while body.sent < offset:
            next(pieces)
        body.begin_at(min(offset, body.sent))
        pieces = iter(body)
        assert len(body) == len(WEIGHTS) - offset
        assert body.tell() == 0
        assert bytes(next(pieces)) == WEIGHTS[offset : offset + 65536]
    assert body.seek(0) == 0
    assert b"".join(body) == WEIGHTS
    body.close()


@pytest.mark.parametrize("change", ["last byte", "shorter", "longer"])
def test_the_end_of_a_changed_file_is_never_sent(change: str, folder: Path) -> None:
    path = folder / "blobs/sha256" / DIGEST[7:]
    with path.open("r+b") as stream:
        if change == "shorter":
            stream.truncate(len(WEIGHTS) - 1)
        else:
            stream.seek(-1 if change == "last byte" else 0, os.SEEK_END)
            stream.write(bytes([WEIGHTS[-1] ^ 1]))
    body, sent = body_of(folder), 0
    with pytest.raises(GateError, match="has another digest on disk"):
        for piece in body:
            sent += len(piece)
    assert sent < len(WEIGHTS)
    body.close()


@pytest.mark.parametrize("status", [200, 202])
def test_success_without_the_blob_is_none(
    status: int, faulty: Any, fault: Any, folder: Path, repository: str, console: Console
) -> None:
    faulty.faults.append(fault("PUT", PUT, status=status))
    with pytest.raises(ServiceError, match=rf"not that of a registry \({status}\)"):
        publish(folder, f"{faulty.host}/{repository}:1.0", insecure=True, console=console)
