"""Pipes, devices and links in the place of files that are read: refused or left out, never waited for."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from starfreight.data_manifest import DataManifest
from starfreight.errors import InputError, RecipeError
from starfreight.files import open_regular, read_limited, sha256_file
from starfreight.jobs.data.filters.contamination import MAX_LINE_BYTES, ContaminationFilter
from starfreight.jobs.data.filters.opt_out import MAX_LINE, OptOutFilter
from starfreight.jobs.data.sources import Sample, check_source, open_source
from starfreight.recipe import Data

Put = Callable[[str], Path]


@pytest.fixture(params=["pipe", "link to a pipe", "link to /dev/zero"])
def odd(request: pytest.FixtureRequest, tmp_path: Path) -> Put:
    """Puts something that blocks or never ends in the place of a file."""

    def put(name: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if request.param == "pipe":
            os.mkfifo(path)
        elif request.param == "link to a pipe":
            os.mkfifo(tmp_path / ".pipe")
            path.symlink_to(tmp_path / ".pipe")
        else:
            path.symlink_to("/dev/zero")
        return path

    return put


@pytest.mark.parametrize("name", ["a.jsonl", "a.ndjson", "a.parquet"])
def test_a_source_of_records_is_a_regular_file(name: str, odd: Put, tmp_path: Path) -> None:
    path, data = odd(name), Data(source=name)
    with pytest.raises(RecipeError, match="a pipe or a device") as caught:
        check_source(data, tmp_path)
    assert str(path) in str(caught.value.where)
    # It may be replaced after the check.
    with pytest.raises(InputError, match=r"pipe|device|regular"):
        open_source(data, path).containers()
    if name != "a.parquet":
        with pytest.raises(InputError, match=r"pipe|device|regular"):
            list(open_source(data, path).samples())


def test_the_files_of_a_directory_and_its_licenses_are_regular_files(odd: Put, tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src/a.py").write_text("a = 1\n")
    odd("src/LICENSE")
    found = open_source(Data(source="./src", exclude=("LICENSE",)), tmp_path / "src").samples()
    assert [(each.name, each.license) for each in found if isinstance(each, Sample)] == [("a.py", None)]


def test_an_opt_out_list_is_a_regular_file(odd: Put) -> None:
    with pytest.raises(InputError, match=r"pipe|device"):
        OptOutFilter(odd("list.txt"))


def test_an_opt_out_list_has_short_lines(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("owner/name\n" + "x" * (MAX_LINE + 1))
    with pytest.raises(InputError, match="longer than 4,096 bytes") as caught:
        OptOutFilter(tmp_path / "list.txt")
    assert caught.value.where == f"{tmp_path / 'list.txt'}, line 2"


def test_an_opt_out_list_has_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("starfreight.opt_out_list.MAX_ENTRIES", 2)
    (tmp_path / "list.txt").write_text("a/b\na/b\n\n# c\na/d\n")
    OptOutFilter(tmp_path / "list.txt")
    (tmp_path / "list.txt").write_text("a/b\na/c\na/d\n")
    with pytest.raises(InputError, match="more than 2 entries"):
        OptOutFilter(tmp_path / "list.txt")


def test_an_evaluation_set_is_a_regular_file(odd: Put, tmp_path: Path) -> None:
    odd("set.jsonl")
    with pytest.raises(InputError, match=r"pipe|device"):
        ContaminationFilter(("set.jsonl",), tmp_path)


def test_a_line_of_an_evaluation_set_is_bounded(tmp_path: Path) -> None:
    (tmp_path / "set.jsonl").write_text('"a"\n[' + "[]," * (MAX_LINE_BYTES // 3) + "[]]\n")
    with pytest.raises(InputError, match="longer than 16 MiB") as caught:
        ContaminationFilter(("set.jsonl",), tmp_path)
    assert caught.value.where == f"{tmp_path / 'set.jsonl'}, line 2"


def test_a_manifest_is_a_regular_file(odd: Put) -> None:
    with pytest.raises(InputError, match=r"pipe|device"):
        DataManifest.load(odd("manifest.json"))


def test_a_manifest_of_another_version_is_not_read_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "manifest.json"
    with path.open("wb") as stream:
        stream.write(b'{\n  "version": 1,\n  "sources": [')
        stream.truncate(900 << 20)
    with pytest.raises(InputError, match="earlier release"):
        DataManifest.load(path)


def test_digests_and_small_files_are_of_regular_files(odd: Put) -> None:
    path = odd("a")
    for read in (sha256_file, lambda each: read_limited(each, 10, "file")):
        with pytest.raises(InputError, match="is a pipe or a device, not a regular file"):
            read(path)


def test_a_link_is_only_followed_where_it_may_be(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1")
    (tmp_path / "link").symlink_to("a")
    with open_regular(tmp_path / "link") as stream:
        assert stream.read() == b"1"
    with pytest.raises(InputError, match="not a regular file"), open_regular(tmp_path / "link", follow=False):
        pass
    with pytest.raises(InputError, match="is not a file"), open_regular(tmp_path):
        pass
    with pytest.raises(FileNotFoundError), open_regular(tmp_path / "none"):
        pass
