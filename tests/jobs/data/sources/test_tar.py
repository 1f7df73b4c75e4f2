"""Untrusted archives: only regular files and directories are unpacked."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from starfreight.errors import InputError
from starfreight.jobs.data.sources import tar as tar_module
from starfreight.jobs.data.sources.tar import unpack


@pytest.fixture
def archive(tmp_path: Path) -> Callable[..., Path]:
    """Writes an archive of members, each a name with its bytes or with changes to its header."""

    def write(*members: tuple[str, bytes | dict[str, Any]], form: int = tarfile.PAX_FORMAT) -> Path:
        path = tmp_path / "a.tar"
        with tarfile.open(path, "w", format=form) as tar:
            for name, what in members:
                header = tarfile.TarInfo(name)
                data = what if isinstance(what, bytes) else b""
                header.size = len(data)
                for key, value in what.items() if isinstance(what, dict) else ():
                    setattr(header, key, value)
                tar.addfile(header, io.BytesIO(data))
        return path

    return write


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_files_and_folders_are_unpacked_without_their_modes(
    form: int, archive: Callable[..., Path], tmp_path: Path
) -> None:
    long = "d" * 150 + "/" + "f" * 120 + ".py"
    path = archive(
        (".", {"type": tarfile.DIRTYPE}), ("./src/", {"type": tarfile.DIRTYPE, "mode": 0}),
        ("./src/a.py", b"1\n"), (long, b"2\n"), ("empty", {"mode": 0o4777}), form=form,
    )  # fmt: skip
    unpack(path, tmp_path / "out", "here")
    files = {
        str(each.relative_to(tmp_path / "out")): each.read_bytes()
        for each in (tmp_path / "out").rglob("*")
        if each.is_file()
    }
    assert files == {"src/a.py": b"1\n", long: b"2\n", "empty": b""}
    assert (tmp_path / "out/empty").stat().st_mode & 0o7111 == 0


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ([("../evil", b"x")], "'..'"),
        ([("a/../../evil", b"x")], "'..'"),
        ([("/evil", b"x")], "absolute"),
        ([("a\\b", b"x")], "backslash"),
        ([("a\nb", b"x")], "cannot be printed"),
        ([("f" * 300, b"x")], "very long part"),
        ([("../evil", {"type": tarfile.DIRTYPE})], "'..'"),
        ([("link", {"type": tarfile.SYMTYPE, "linkname": "a"})], "a link"),
        ([("link", {"type": tarfile.SYMTYPE, "linkname": ".."}), ("link/evil", b"x")], "a link"),
        ([("a", b"x"), ("link", {"type": tarfile.LNKTYPE, "linkname": "a"})], "a link"),
        ([("pipe", {"type": tarfile.FIFOTYPE})], "not a regular file"),
        ([("disk", {"type": tarfile.BLKTYPE, "devmajor": 8})], "not a regular file"),
        ([("a", b"1"), ("a", b"2")], "two files"),
        ([("a", b"1"), ("a/b", b"2")], "two files"),
        ([("a/b", b"1"), ("a", b"2")], "two files"),
        ([], "is empty"),
        ([("a", {"pax_headers": {"comment": "x" * 100_000}})], "header of an invalid size"),
        ([("a", {"pax_headers": {"size": "-512"}}), ("b", b"")], "more than its size|damaged"),
        ([("a", {"pax_headers": {"GNU.sparse.map": "0,1", "GNU.sparse.size": "1"}})], "regular file|more"),
    ],
)  # fmt: skip
def test_what_is_no_plain_file_inside_is_refused(
    members: list[Any], said: str, archive: Callable[..., Path], tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=said):
        unpack(archive(*members), tmp_path / "x/out", "here")
    assert not list(tmp_path.rglob("evil"))


def test_a_truncated_or_foreign_file_is_refused(archive: Callable[..., Path], tmp_path: Path) -> None:
    path = archive(("a", b"x" * 5000))
    whole = path.read_bytes()
    for data in (b"", b"no tar", whole[:300], whole[:2000], b"\0" * 10240, whole[:100] + b"!" + whole[101:]):
        path.write_bytes(data)
        with pytest.raises(InputError):
            unpack(path, tmp_path / "out", "here")


def test_more_members_than_allowed_are_refused(
    archive: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tar_module, "MAX_MEMBERS", 2)
    with pytest.raises(InputError, match="more than its size allows"):
        unpack(archive(("a", b""), ("b", b""), ("c", b"")), tmp_path / "out", "here")


def test_a_compressed_archive_is_not_taken_for_a_plain_one(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w:gz") as tar:
        tar.addfile(tarfile.TarInfo("a"))
    with pytest.raises(InputError, match="not a tar archive"):
        unpack(path, tmp_path / "out", "here")
