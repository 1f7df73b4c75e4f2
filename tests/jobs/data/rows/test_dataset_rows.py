"""Rows of datasets: the values of the files, of no other type, from files on the list only, and offline."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import sys
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from starfreight.errors import InputError
from starfreight.jobs.data.rows.process import process_rows
from starfreight.jobs.data.rows.values import OtherValue
from starfreight.jobs.data.sources import Sample, open_source
from starfreight.recipe import Data

pyarrow = pytest.importorskip("pyarrow")

Write = Callable[[Mapping[str, str | bytes]], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def files(contents: Mapping[str, str | bytes]) -> Path:
        for name, content in contents.items():
            path = tmp_path / "set" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        return tmp_path / "set"

    return files


def lines(*records: Mapping[str, Any]) -> str:
    return "".join(json.dumps(each) + "\n" for each in records)


def rows(folder: Path, split: str = "train") -> list[dict[str, Any]]:
    """Read in this process, which is faster; test_hostile_rows.py is about the process of a run."""
    from starfreight.jobs.data.rows.dataset_rows import read_rows

    return [dict(each) for each in read_rows(folder, split)]


def rows_of_process(folder: Path) -> list[dict[str, Any]]:
    return [dict(each) for each in process_rows("dataset", folder, "train")]


def test_texts_that_look_like_dates_and_numbers_stay_texts(write: Write) -> None:
    record = {
        "prompt": "2024-01-01",
        "response": "2024-01-01 10:00:00",
        "n": "007",
        "i": 7,
        "f": 1.5,
        "b": True,
    }
    assert rows(write({"train.jsonl": lines(record)})) == [record]


def test_fields_of_csv_files_are_texts_and_empty_ones_are_none(write: Write) -> None:
    odd = ["null", "None", "NA", "nan", "True", "1e5", "007", "2024-01-01", " x ", ""]
    folder = write({"train.csv": "prompt,response\n" + "".join(f"q,{each}\n" for each in odd)})
    assert [each["response"] for each in rows(folder)] == [*odd[:-1], None]


def test_csv_files_with_quotes_line_breaks_tabs_and_a_mark_at_the_start(write: Write) -> None:
    folder = write({"train.csv": '\ufeffa,b\r\n"x, ""y""","1\n2"\r\n\r\nz,\r\n'})
    assert rows(folder) == [{"a": 'x, "y"', "b": "1\n2"}, {"a": "z", "b": None}]
    (folder / "train.csv").rename(folder / "train.tsv")
    (folder / "train.tsv").write_text("a\tb\n1,5\t2\n")
    assert rows(folder) == [{"a": "1,5", "b": "2"}]


@pytest.mark.parametrize("text", ["a,b\n1,2,3\n", "a,a\n1,2\n", 'a,b\n"1,2\n', 'a,b\n"1"x,2\n'])
def test_a_damaged_csv_file_is_one_error_with_its_place(text: str, write: Write) -> None:
    folder = write({"train.csv": text})
    with pytest.raises(InputError) as caught:
        rows(folder)
    assert str(folder / "train.csv") in str(caught.value.where)


def test_a_column_of_later_rows_or_other_files_is_in_every_row(write: Write) -> None:
    folder = write({
        "train-0.jsonl": lines({"text": "a"}, {"text": "b", "license": "GPL-3.0-only"}),
        "train-1.jsonl": lines({"text": "c", "n": 1}),
    })  # fmt: skip
    assert rows(folder) == [
        {"text": "a", "license": None, "n": None},
        {"text": "b", "license": "GPL-3.0-only", "n": None},
        {"text": "c", "license": None, "n": 1},
    ]
    found = open_source(Data(source="dataset:./set"), folder).samples()
    samples = [each for each in found if isinstance(each, Sample)]
    assert [each.license for each in samples] == [None, "GPL-3.0-only", None]


def test_parquet_files_with_other_columns_are_read_together(write: Write) -> None:
    from pyarrow import parquet

    folder = write({})
    folder.mkdir()
    parquet.write_table(pyarrow.table({"text": ["a"]}), folder / "train-0.parquet")
    parquet.write_table(pyarrow.table({"text": ["b"], "license": ["MIT"]}), folder / "train-1.parquet")
    assert rows(folder) == [{"text": "a", "license": None}, {"text": "b", "license": "MIT"}]


def test_rows_of_uneven_objects_are_those_of_the_library(write: Write) -> None:
    datasets = pytest.importorskip("datasets")
    turn = {"role": "user", "content": "u"}
    folder = write({"train.jsonl": lines(
        {"messages": [turn, {"role": "assistant", "content": "a", "name": "bob"}], "score": 1},
        {"messages": [turn], "score": 0.5, "meta": {"a": 1, "b": [{"c": None}]}},
        {"messages": [], "meta": {"b": [{"d": "x"}, {}]}, "tags": ["x"], "late": None},
    )})  # fmt: skip
    expected = datasets.load_dataset(
        "json", data_files=str(folder / "train.jsonl"), split="train", streaming=True
    )
    assert json.dumps(rows(folder)) == json.dumps([dict(each) for each in expected])


def test_values_of_several_kinds_in_one_field_stay_as_they_are(write: Write) -> None:
    records = [{"content": "text", "n": 1}, {"content": [{"type": "text", "text": "parts"}], "n": "one"}]
    assert rows(write({"train.jsonl": lines(*records)})) == records


@pytest.mark.parametrize(
    "text",
    [
        '{"text": "a"}\n\n{"text": "b"}', '\n[{"text": "a"},\n {"text": "b"}]', '["a", "b"]',
        '{\n "text": ["a", "b"]\n}', '\ufeff{"text": "a"}\r\n{"text": "b"}\r\n',
    ],
)  # fmt: skip
def test_json_as_lines_as_a_list_and_as_columns(text: str, write: Write) -> None:
    assert rows(write({"train.json": text})) == [{"text": "a"}, {"text": "b"}]


@pytest.mark.parametrize(
    "text", ['{"text": "a"}\n[1]\n', "[1]", '{"text": "a"}\n{"text": ', "[" * 100_000, "x"]
)
def test_json_of_another_kind_is_one_error_with_its_place(text: str, write: Write) -> None:
    folder = write({"train.json": text})
    with pytest.raises(InputError) as caught:
        rows(folder)
    assert str(folder / "train.json") in str(caught.value.where)


def zipped(text: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("deep/b.jsonl", text)
        archive.writestr("README.md", "read me")
        archive.writestr("__MACOSX/b.jsonl", "x")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("suffix", "compress"),
    [
        ("jsonl.gz", gzip.compress), ("jsonl.bz2", bz2.compress), ("jsonl.xz", lzma.compress),
        ("zip", zipped),
        ("jsonl.zst", lambda data: pyarrow.compress(data, "zstd", asbytes=True)),
    ],
)  # fmt: skip
def test_compressed_files(suffix: str, compress: Callable[[bytes], bytes], write: Write) -> None:
    many = [{"text": str(number) * 50} for number in range(5000)]
    folder = write({f"train.{suffix}": compress(lines(*many).encode())})
    assert rows(folder) == many


def test_lines_of_text_files(write: Write) -> None:
    assert rows(write({"train.txt": "a\r\n\u2028b\n\nc"})) == [
        {"text": each} for each in ("a", "\u2028b", "", "c")
    ]


def test_saved_datasets_and_arrow_files(tmp_path: Path, write: Write) -> None:
    datasets = pytest.importorskip("datasets")
    table = [{"text": "a", "when": "2024"}, {"text": "b", "when": None}]
    saved = datasets.Dataset.from_list(table)
    datasets.DatasetDict({"train": saved, "test": saved.select([0])}).save_to_disk(tmp_path / "saved")
    assert rows(tmp_path / "saved") == table
    assert rows(tmp_path / "saved", "test") == table[:1]
    with pytest.raises(InputError, match="no split 'dev'") as caught:
        rows(tmp_path / "saved", "dev")
    assert "train, test" in str(caught.value.fix)
    saved.select([1]).save_to_disk(tmp_path / "one")
    assert rows(tmp_path / "one") == table[1:]
    saved.with_format(columns=["text"]).save_to_disk(tmp_path / "columns")
    assert rows(tmp_path / "columns") == [{"text": "a"}, {"text": "b"}]
    (data,) = (tmp_path / "saved/train").glob("*.arrow")
    assert rows(write({"train.arrow": data.read_bytes()})) == table


def test_columns_with_json_in_texts_are_parsed_as_by_the_library(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    table = [{"messages": [{"content": "x"}]}, {"messages": [{"content": [{"text": "y"}]}]}]
    saved = datasets.Dataset.from_list(table, on_mixed_types="use_json")
    assert list(saved) == table
    saved.save_to_disk(tmp_path / "saved")
    assert rows(tmp_path / "saved") == table
    (tmp_path / "parquet").mkdir()
    saved.to_parquet(tmp_path / "parquet/train.parquet")
    assert rows(tmp_path / "parquet") == table


def test_a_column_of_pictures_is_refused(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    features = datasets.Features({"text": datasets.Value("string"), "photo": datasets.Image(decode=False)})
    saved = datasets.Dataset.from_list([{"text": "a", "photo": None}], features=features)
    saved.save_to_disk(tmp_path / "saved")
    (tmp_path / "parquet").mkdir()
    saved.to_parquet(tmp_path / "parquet/train.parquet")
    for folder in ("saved", "parquet"):
        with pytest.raises(InputError, match="'photo' holds data of type Image"):
            rows(tmp_path / folder)


def test_dates_and_decimals_of_a_table_arrive_as_text(tmp_path: Path) -> None:
    import datetime
    import decimal

    from pyarrow import parquet

    table = [{"a": datetime.date(2024, 1, 2), "b": decimal.Decimal("1.50")}]
    parquet.write_table(pyarrow.Table.from_pylist(table), tmp_path / "train.parquet")
    assert rows_of_process(tmp_path) == [{"a": OtherValue("2024-01-02", ""), "b": OtherValue("1.50", "")}]


def test_a_damaged_head_of_the_readme_and_an_unknown_key_are_errors(write: Write) -> None:
    folder = write({"train.jsonl": lines({"text": "a"})})
    for head, message in (
        ("configs: [", "cannot be read"), ("configs: 7", "not a list"),
        ("configs: [{data_files: 7}]", "data_files"),
        ("configs: [{data_dir: [a]}]", "data_dir"), ("configs: [{skiprows: 3}]", "sets 'skiprows'"),
        ("configs: [{sep: abc}]", "one character"), ("configs: [{data_files: none.jsonl}]", "not a file"),
        ("configs:\n- &a\n  data_files: x\n- *a", "alias"),
    ):  # fmt: skip
        (folder / "README.md").write_text(f"---\n{head}\n---\n")
        with pytest.raises(InputError, match=message) as caught:
            rows(folder)
        assert caught.value.where is not None
        assert str(folder / "README.md") in caught.value.where
    (folder / "README.md").write_text(
        "---\nlicense: mit\nconfigs:\n- config_name: a\n  drop_labels: true\n---\n"
    )
    assert rows(folder) == [{"text": "a"}]


def test_a_field_and_a_separator_of_the_readme_are_followed(write: Write) -> None:
    folder = write({"a.json": '{"version": 1, "data": [{"text": "a"}]}', "b/b.csv": "text;n\nb;1\n"})
    (folder / "README.md").write_text("---\nconfigs:\n- data_files: a.json\n  field: data\n---\n")
    assert rows(folder) == [{"text": "a"}]
    (folder / "README.md").write_text("---\nconfigs:\n- data_dir: ./b/\n  sep: ';'\n---\n")
    assert rows(folder) == [{"text": "b", "n": "1"}]


def test_every_file_that_is_opened_is_on_the_list_and_no_connection_is_tried(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "audit.log"
    (tmp_path / "hook").mkdir()
    (tmp_path / "hook/sitecustomize.py").write_text(
        "import os, sys\n"
        f"log = os.open({str(log)!r}, os.O_WRONLY | os.O_CREAT | os.O_APPEND)\n"
        "def hook(event, arguments):\n"
        "    if event == 'open' or event.startswith('socket.'):\n"
        "        os.write(log, f'{event} {arguments[0]}\\n'.encode())\n"
        "sys.addaudithook(hook)\n"
    )
    monkeypatch.setattr(sys, "path", [str(tmp_path / "hook"), *sys.path])
    head = "---\nconfigs:\n- data_files: [{split: train, path: 'data/*.jsonl*'}]\n---\n"
    folder = write({
        "README.md": head, "data/a.jsonl": lines({"text": "a"}), "data/.b.jsonl": lines({"text": "b"}),
        "data/c.jsonl.gz": gzip.compress(lines({"text": "c"}).encode()), "dataset_infos.json": "{}",
    })  # fmt: skip
    (tmp_path / "outside.jsonl").write_text(lines({"text": "outside"}))
    assert [each["text"] for each in rows_of_process(folder)] == ["a", "c"]
    events = [line.split(" ", 1) for line in log.read_text().splitlines()]
    # Creating a socket object without connecting it is how libraries probe for IPv6.
    assert [
        each for each in events if each[0] in ("socket.connect", "socket.getaddrinfo", "socket.sendto")
    ] == []
    opened = {path for event, path in events if event == "open" and path.startswith(str(tmp_path))}
    containers = open_source(Data(source="dataset:./set"), folder).containers()
    listed = {str(folder / each.path) for each in containers}
    assert opened - {str(log)} <= listed | {
        str(folder / "README.md"),
        str(tmp_path / "hook/sitecustomize.py"),
    }
    assert {str(folder / "data/a.jsonl"), str(folder / "data/c.jsonl.gz")} <= opened
    assert str(folder / "README.md") in listed


def test_copies_digests_and_licenses_beside_the_data_are_not_read(write: Write) -> None:
    beside = {
        "a.jsonl.bak": lines({"a": 2}),
        "a.jsonl.gz.md5": "0",
        "LICENSE.txt": "x\n",
        "NOTICE.txt": "x\n",
    }
    assert rows(write({"a.jsonl": lines({"a": 1}), **beside})) == [{"a": 1}]


def test_texts_are_data_beside_a_single_table_and_where_there_is_nothing_else(write: Write) -> None:
    texts = {"a.txt": "x\n", "b.txt": "y\n"}
    assert rows(write({**texts, "metadata.csv": "name\na\n"})) == [{"text": "x"}, {"text": "y"}]


def test_a_license_is_data_if_there_is_nothing_else(write: Write) -> None:
    assert rows(write({"LICENSE.txt": "x\n"})) == [{"text": "x"}]


@pytest.mark.parametrize("name", ["train.jsonl", "train.csv.gz", "data/train-00000-of-00001.parquet"])
def test_a_pointer_in_the_place_of_data_is_told(name: str, write: Write) -> None:
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 12\n"
    with pytest.raises(InputError, match="is a Git LFS pointer"):
        rows(write({name: pointer}))
