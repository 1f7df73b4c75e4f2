"""Files are whole or not there."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from starfreight.directory_lock import only_one
from starfreight.errors import InputError, ServiceError
from starfreight.files import (
    PARTIAL_PREFIX,
    atomic_write,
    canonical_json,
    disk_errors,
    read_json,
    read_limited,
    sha256_bytes,
    sha256_file,
    sweep_partials,
    write_bytes,
    write_json,
)


def test_a_block_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_bytes(path, b"old")
    with pytest.raises(RuntimeError), atomic_write(path) as stream:
        stream.write(b"new")
        raise RuntimeError
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("file", b"old")]


def test_a_killed_writer_leaves_the_old_file_and_a_partial_that_is_swept(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_bytes(path, b"old")
    program = (
        "import os, pathlib, signal, starfreight.files as files\n"
        f"with files.atomic_write(pathlib.Path({str(path)!r})) as stream:\n"
        "    stream.write(b'new'); stream.flush(); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == -signal.SIGKILL
    assert path.read_bytes() == b"old"
    assert [p.name.startswith(PARTIAL_PREFIX) for p in tmp_path.iterdir() if p != path] == [True]
    sweep_partials(tmp_path)
    assert list(tmp_path.iterdir()) == [path]


def test_other_users_can_read_what_is_written_as_far_as_the_umask_lets_them(tmp_path: Path) -> None:
    earlier = os.umask(0o022)
    try:
        write_bytes(tmp_path / "open", b"")
        os.umask(0o077)
        write_bytes(tmp_path / "closed", b"")
    finally:
        os.umask(earlier)
    assert (tmp_path / "open").stat().st_mode & 0o777 == 0o644
    assert (tmp_path / "closed").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", ["folder", "file/below", "x" * 300, "/proc/nothing/x"])
def test_a_place_where_no_file_can_be_is_named_and_nothing_is_left(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(InputError) as error:
        write_bytes(tmp_path / name, b"text")
    assert error.value.where == str(tmp_path / name)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "folder"]


def test_a_full_disk_is_a_service_error_that_names_the_file_and_leaves_nothing(tmp_path: Path) -> None:
    program = (
        "import pathlib, resource, signal, sys, starfreight.files as files\n"
        "from starfreight.errors import ServiceError\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try:\n"
        f"    files.write_bytes(pathlib.Path({str(tmp_path / 'big')!r}), bytes(2000))\n"
        "except ServiceError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "No space left to write" in done.stdout
    assert str(tmp_path / "big") in done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EIO])
def test_a_disk_that_fails_is_a_service_error(tmp_path: Path, number: int) -> None:
    with pytest.raises(ServiceError) as caught, disk_errors(tmp_path):
        raise OSError(number, os.strerror(number))
    assert caught.value.exit_code == 4
    assert caught.value.where == str(tmp_path)


def write_with_sqlite(path: Path) -> None:
    with sqlite3.connect(path) as table:
        table.execute("CREATE TABLE a (b)")
        table.execute("INSERT INTO a VALUES (zeroblob(2000000))")


def write_with_safetensors(path: Path) -> None:
    numpy = pytest.importorskip("safetensors.numpy")
    numpy.save_file({"a": np.zeros(1 << 19, np.float32)}, path)


def write_with_torch(path: Path) -> None:
    torch = pytest.importorskip("torch")
    torch.save(torch.zeros(1 << 19), path)


@pytest.mark.parametrize("write", [write_with_sqlite, write_with_safetensors, write_with_torch])
def test_a_full_disk_is_named_also_when_a_library_writes(
    write: Callable[[Path], None], small_disk: Path
) -> None:
    with pytest.raises(ServiceError, match="No space left") as caught, disk_errors(small_disk):
        write(small_disk / "file")
    assert caught.value.where == str(small_disk)


def test_errors_that_are_not_the_disks_pass(tmp_path: Path) -> None:
    for error in (ValueError("bad value"), FileNotFoundError(errno.ENOENT, "gone"), KeyError("a")):
        with pytest.raises(type(error)), disk_errors(tmp_path):
            raise error
    with pytest.raises(InputError), disk_errors(tmp_path):
        raise InputError("The disk is full, says a text.", where=None, fix="none")


def test_digests_are_those_of_sha256(tmp_path: Path) -> None:
    data = bytes(range(256)) * 10_000
    (tmp_path / "file").write_bytes(data)
    expected = "sha256:" + hashlib.sha256(data).hexdigest()
    assert sha256_bytes(data) == sha256_file(tmp_path / "file") == expected


def test_canonical_json_does_not_depend_on_the_order_of_keys() -> None:
    assert canonical_json({"b": [1, "ä"], "a": None}) == '{"a":null,"b":[1,"ä"]}'.encode()


def test_a_file_at_the_limit_is_read_and_one_above_it_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(11))
    assert len(read_limited(tmp_path / "file", 11, "thing")) == 11
    with pytest.raises(InputError, match="larger than 10 bytes"):
        read_limited(tmp_path / "file", 10, "thing")


def test_what_is_not_a_plain_file_is_refused_without_waiting_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, tmp_path / "none", Path("/dev/zero")):
        with pytest.raises(InputError) as caught:
            read_limited(path, 10, "thing")
        assert caught.value.where == str(path)


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"[" * 100_000])
def test_what_is_not_json_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "file").write_bytes(data)
    with pytest.raises(InputError, match="not valid JSON"):
        read_json(tmp_path / "file", 1 << 20, "thing")


def test_json_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    write_json(tmp_path / "deep" / "file.json", {"a": [1, 2.5, "ä", None]})
    assert read_json(tmp_path / "deep" / "file.json", 1000, "thing") == {"a": [1, 2.5, "ä", None]}


def test_only_one_process_works_in_a_folder_and_its_end_frees_it(tmp_path: Path) -> None:
    program = (
        "import pathlib, sys, starfreight.directory_lock as files\n"
        f"with files.only_one(pathlib.Path({str(tmp_path)!r}), 'working'):\n"
        "    print('locked', flush=True); sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "locked\n"
        with pytest.raises(InputError, match="already working here"), only_one(tmp_path, "working"):
            pass
        other.kill()
        other.wait()
    assert (tmp_path / ".lock").exists(), "left by the process that was killed"
    with only_one(tmp_path, "working"):
        assert (tmp_path / ".lock").exists()
    assert list(tmp_path.iterdir()) == []


def test_who_is_patient_gets_the_lock_when_the_other_one_leaves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = (
        "import pathlib, sys\n"
        "from starfreight import directory_lock\n"
        f"with directory_lock.only_one(pathlib.Path({str(tmp_path)!r}), 'working'):\n"
        "    print('in', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdin is not None and other.stdout is not None
        assert other.stdout.readline() == "in\n"
        monkeypatch.setenv("STARFREIGHT_LOCK_PATIENCE", "0.2")
        with pytest.raises(InputError, match="already working here"), only_one(tmp_path, "working"):
            pass
        monkeypatch.setenv("STARFREIGHT_LOCK_PATIENCE", "30")
        threading.Timer(1, other.stdin.close).start()
        with only_one(tmp_path, "working"):
            assert other.wait(10) == 0


def test_of_many_that_come_and_go_only_one_is_in_a_folder(tmp_path: Path) -> None:
    inside, entered, crowded = 0, 0, []
    guard = threading.Lock()

    def work() -> None:
        nonlocal inside, entered
        for _ in range(300):
            with contextlib.suppress(InputError), only_one(tmp_path / "f", "working"):
                with guard:
                    inside += 1
                    entered += 1
                    crowded.append(inside)
                time.sleep(0)
                with guard:
                    inside -= 1
                # As a build does, which ends with its folder.
                shutil.rmtree(tmp_path / "f", ignore_errors=True)

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(work) for _ in range(4)]:
            done.result()
    assert entered > 10
    assert set(crowded) == {1}


@pytest.mark.parametrize("what", ["link", "folder"])
def test_something_else_in_the_place_of_the_lock_is_refused(what: str, tmp_path: Path) -> None:
    lock = tmp_path / "f" / ".lock"
    lock.parent.mkdir()
    if what == "link":
        lock.symlink_to(tmp_path / "elsewhere" / "file")
    else:
        lock.mkdir()
    message = "symbolic link is in the place" if what == "link" else "lock file is a directory"
    with (
        pytest.raises(InputError, match=message),
        only_one(tmp_path / "f", "working"),
    ):
        pass
    assert not (tmp_path / "elsewhere").exists()


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("x")
    with (
        pytest.raises(InputError, match="in the place of the directory"),
        only_one(tmp_path / "f", "working"),
    ):
        pass


def test_a_file_above_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("x")
    with pytest.raises(InputError) as caught, only_one(tmp_path / "f" / "a" / "b", "working"):
        pass
    assert caught.value.where == str(tmp_path / "f")


def test_a_folder_that_no_file_system_makes_is_an_error_and_not_a_wait_without_end() -> None:
    with pytest.raises(ServiceError, match="cannot be created"), only_one(Path("/proc/nothing"), "waiting"):
        raise AssertionError("nobody can hold this lock")


def test_the_bytes_are_on_the_disk_before_the_file_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise a machine that loses power may keep the name of a file without its contents."""
    path, synced, fsync = tmp_path / "file", [], os.fsync

    def noting(handle: int) -> None:
        found = os.fstat(handle)
        synced.append((found.st_ino, found.st_size, path.exists()))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", noting)
    write_bytes(path, b"x" * 10)
    assert (path.stat().st_ino, 10, False) in synced
