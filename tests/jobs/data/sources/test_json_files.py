"""JSON lists, and compressed files of records."""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from starfreight.errors import InputError, RecipeError
from starfreight.jobs.data import decompress
from starfreight.jobs.data.sources import check_source, open_source
from starfreight.jobs.data.sources.interface import MissingLibrary
from starfreight.jobs.data.sources.jsonl import JSON, JSONL
from starfreight.jobs.data.sources.kinds import kind_of
from starfreight.recipe import Data

Read = Callable[..., Any]
ROWS = [{"prompt": f"Say {n} é]}},", "response": "x" * n} for n in range(2000)]
LINES = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS).encode()
LIST = json.dumps(ROWS, ensure_ascii=False, indent=1).encode()
BOM = b"\xef\xbb\xbf"


def zstandard(*parts: bytes) -> bytes:
    pyarrow = pytest.importorskip("pyarrow")
    return b"".join(pyarrow.Codec("zstd").compress(part).to_pybytes() for part in parts)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.json", LIST),
        ("a.json", BOM + LIST),
        ("a.json", LINES),
        ("a.json", b"\n " + json.dumps(ROWS).encode()),
        ("a.json.gz", gzip.compress(LIST)),
        ("a.jsonl", BOM + LINES),
        ("a.jsonl.gz", gzip.compress(LINES)),
        ("a.ndjson.gz", gzip.compress(LINES[:900]) + gzip.compress(LINES[900:])),
        ("a.jsonl.zst", None),
        ("a.json.zst", None),
    ],
)
def test_the_records_are_the_same_in_each_file(
    name: str, data: bytes | None, tmp_path: Path, read_source: Read
) -> None:
    if data is None:
        data = zstandard(LIST) if ".json." in name else zstandard(LINES[:900], LINES[900:])
    (tmp_path / name).write_bytes(data)
    check_source(Data(source=name), tmp_path)
    samples, _ = read_source(tmp_path / name, format="instruct")
    assert [sample.content for sample in samples] == ROWS
    assert samples[-1].name == f"{name}:{len(ROWS)}"


def test_kinds_are_told_by_both_suffixes(tmp_path: Path) -> None:
    names = {
        "a.json": JSON,
        "b/a.json.zst": JSON,
        "a.jsonl": JSONL,
        "a.jsonl.gz": JSONL,
        "a.ndjson.zst": JSONL,
    }
    for name, kind in names.items():
        assert kind_of(name, tmp_path / name) is kind
    assert kind_of("a.gz", tmp_path / "a.gz") not in (JSON, JSONL)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"[1]", "item of the list is not a JSON object"),
        (b'[{"a": 1},]', "comma after the last item"),
        (b'[{"a": 1}', "cut off"),
        (b'[{"a": "x', "list is not valid"),
        (b'[{"a": 1} {"a": 2}]', "',' is missing"),
        (b'[{"a": 1}] x', "something after"),
        (b'[{"a": "\xff"}]', "not UTF-8"),
        (b"[" * 100_000, "not a JSON object"),
        (b'[{"a": ' + b"[" * 100_000, "recursion"),
        (b'[{"a": "' + b"x" * (17 << 20) + b'"}]', "16 MiB"),
        (b'{\n"data": [{"a": 1}]}', "not JSON"),
    ],
    ids=lambda value: str(value[:20]) if isinstance(value, bytes) else value,
)
def test_a_bad_list_is_one_clear_error(data: bytes, words: str, tmp_path: Path, read_source: Read) -> None:
    (tmp_path / "a.json").write_bytes(data)
    with pytest.raises(InputError, match=words) as caught:
        read_source(tmp_path / "a.json", format="instruct")
    assert str(tmp_path / "a.json") in str(caught.value.where)
    assert caught.value.fix


@pytest.mark.parametrize("kind", [".gz", ".zst"])
@pytest.mark.parametrize("damage", ["cut", "junk", "other"])
def test_a_damaged_compressed_file_is_one_clear_error(
    kind: str, damage: str, tmp_path: Path, read_source: Read
) -> None:
    whole = gzip.compress(LINES) if kind == ".gz" else zstandard(LINES)
    path = tmp_path / f"a.jsonl{kind}"
    path.write_bytes({"cut": whole[:-300], "junk": whole + b"junkjunk", "other": LINES}[damage])
    with pytest.raises(InputError, match="cannot be decompressed") as caught:
        read_source(path, format="instruct")
    assert caught.value.where == str(path)


@pytest.mark.parametrize("kind", [".gz", ".zst"])
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"x" * (17 << 20), "longer than 16 MiB"),
        (b"\n" * (2 << 20), "empty lines"),
        ((b'{"a": "' + b"x" * (1 << 20) + b'"}\n') * 12, "more than 500 times"),
    ],
    ids=["one line", "empty lines", "records"],
)
def test_a_small_file_that_unpacks_to_far_more_is_refused(
    kind: str, content: bytes, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decompress, "_FREE_BYTES", (32 << 20) if words != "more than 500 times" else 1 << 20)
    path = tmp_path / f"a.jsonl{kind}"
    path.write_bytes(gzip.compress(content) if kind == ".gz" else zstandard(content))
    with pytest.raises(InputError, match=words):
        for _ in open_source(Data(source=path.name, format="instruct"), path).samples():
            pass


def test_zstandard_without_its_library_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read_source: Read
) -> None:
    (tmp_path / "a.jsonl.zst").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingLibrary, match="pyarrow, which is not installed") as caught:
        read_source(tmp_path / "a.jsonl.zst", format="instruct")
    assert "starfreight[train]" in str(caught.value.fix)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("name", "data", "fix"),
    [
        ("a.jsonl", LINES.decode().encode("utf-16"), "UTF-16, to UTF-8"),
        ("a.jsonl", LIST, "let its name end in .json"),
        ("a.jsonl", json.dumps(ROWS).encode(), "let its name end in .json"),
        ("a.jsonl", LINES.replace(b"}\n", b"},\n"), "a comma after the object"),
        ("a.jsonl", b"{x}\n", "correct the line"),
    ],
    ids=["UTF-16", "list", "list on a line", "commas", "other"],
)
def test_a_file_in_another_form_is_an_error_that_tells_it(
    name: str, data: bytes, fix: str, tmp_path: Path, read_source: Read
) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError) as caught:
        read_source(tmp_path / name, format="instruct")
    assert str(caught.value.fix).endswith(fix)


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.jsonl.gz", "a.parquet"])
def test_a_pointer_in_the_place_of_records_is_told(name: str, tmp_path: Path, read_source: Read) -> None:
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 12\n"
    (tmp_path / name).write_text(pointer)
    with pytest.raises(InputError, match="is a Git LFS pointer") as caught:
        read_source(tmp_path / name, format="instruct")
    assert "git lfs pull" in str(caught.value.fix)


@pytest.mark.parametrize(
    ("name", "fix"),
    [("a.csv", "dataset:./directory"), ("a.JSONL", "small letters"), ("a.jsonl.bz2", "dataset:")],
)
def test_a_file_that_is_no_source_names_the_way_to_read_it(name: str, fix: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(LINES)
    with pytest.raises(RecipeError) as caught:
        check_source(Data(source=f"./{name}"), tmp_path)
    assert fix in str(caught.value.fix)
