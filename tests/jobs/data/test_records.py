"""Sources of records: JSONL files and datasets."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from jobs.data.encoder import Encoder
from jobs.data.formats import make_format
from jobs.data.sources import Sample, locate_source, open_source
from jobs.data.sources.jsonl import MAX_LINE_BYTES
from starfreight.errors import InputError, RecipeError
from starfreight.recipe import Data

ROWS = [{"prompt": f"Say {number}.", "response": str(number)} for number in range(20)]


def read(path: Path, **rules: Any) -> list[Sample]:
    source = open_source(Data(source=rules.pop("source", "x"), format="instruct", **rules), path)
    return list(source.samples(source.list_files().files))


def write_lines(path: Path, *lines: bytes) -> Path:
    path.write_bytes(b"\n".join(lines) + b"\n")
    return path


def test_each_object_of_a_jsonl_file_is_a_sample(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a.jsonl", *(json.dumps(row).encode() for row in ROWS), b"")
    samples = read(path, held_out=0.25)
    assert [sample.content for sample in samples] == ROWS
    assert [sample.split for sample in samples].count("held_out") == 5
    assert samples[3].name == f"{path}, line 4"


def test_equal_records_fall_on_the_same_side(tmp_path: Path) -> None:
    lines = [json.dumps(ROWS[number % 4]).encode() for number in range(40)]
    sides: dict[str, set[str]] = {}
    for sample in read(write_lines(tmp_path / "a.jsonl", *lines), held_out=0.5):
        sides.setdefault(json.dumps(sample.content), set()).add(sample.split)
    assert sorted(map(sorted, sides.values())) == [["held_out"], ["held_out"], ["train"], ["train"]]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"{", "not JSON"),
        (b"[1]", "not a JSON object"),
        (b"null", "not a JSON object"),
        (b'{"a": "\xff"}', "not JSON"),
        (b'{"a": "\\ud800"}', "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"a": ' + b"9" * 5000 + b"}", "not JSON"),
        (b'{"a": "' + b"x" * MAX_LINE_BYTES + b'"}', "longer than 16 MiB"),
    ],
    ids=["open", "list", "null", "not UTF-8", "half a pair", "nested", "long number", "long line"],
)
def test_a_bad_line_is_named_before_anything_is_trained(tmp_path: Path, line: bytes, words: str) -> None:
    path = write_lines(tmp_path / "a.jsonl", b'{"a": "\\ud83d\\ude00"}', line)
    with pytest.raises(InputError, match=words) as caught:
        open_source(Data(source="a.jsonl"), path).list_files()
    assert caught.value.where == f"{path}, line 2"
    assert caught.value.fix


def test_an_empty_jsonl_file_and_a_file_that_is_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="empty"):
        read(write_lines(tmp_path / "a.jsonl", b"", b"  "))
    with pytest.raises(InputError, match="not a JSONL file"):
        read(write_lines(tmp_path / "a.csv", b"a,b"))


def test_a_jsonl_file_that_changed_is_refused(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "a.jsonl", b'{"a": 1}')
    source = open_source(Data(source="a.jsonl"), path)
    files = source.list_files().files
    write_lines(path, b'{"a": 2}')
    with pytest.raises(InputError, match="changed since"):
        list(source.samples(files))


@pytest.mark.parametrize(
    ("form", "record"),
    [
        ("fim", {"prefix": "a", "suffix": "b"}),
        ("fim", {"prefix": "a", "middle": 1, "suffix": "b"}),
        ("fim", {"prompt": "a", "response": "b"}),
        ("instruct", {"prompt": "a"}),
        ("instruct", {"prompt": "a", "response": 3}),
        ("instruct", {"messages": []}),
        ("instruct", {"messages": [{"role": "user", "content": "a"}]}),
        ("instruct", {"messages": [{"role": "robot", "content": "a"}]}),
        ("instruct", {"messages": [{"role": "user"}]}),
        ("instruct", {"messages": ["hello"]}),
    ],
)
def test_a_record_without_the_fields_of_its_format_is_named(
    form: Any, record: Mapping[str, Any], encoder: Encoder
) -> None:
    maker = make_format(Data(source="x", format=form), encoder, 64)
    with pytest.raises(InputError) as caught:
        list(maker.examples(Sample("a.jsonl, line 7", "train", record), random.Random(0)))
    assert caught.value.where == "a.jsonl, line 7"
    assert caught.value.fix


@pytest.fixture(params=["save_to_disk", "save_to_disk with splits", "parquet"])
def dataset_folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    datasets = pytest.importorskip("datasets")
    rows = datasets.Dataset.from_list(ROWS)
    folder = tmp_path / "set"
    if request.param == "save_to_disk":
        rows.save_to_disk(folder)
    elif request.param == "save_to_disk with splits":
        datasets.DatasetDict({"train": rows, "other": rows.select([0])}).save_to_disk(folder)
    else:
        folder.mkdir()
        rows.to_parquet(folder / "train.parquet")
    return folder


def test_the_rows_of_a_dataset_are_samples(dataset_folder: Path) -> None:
    data = Data(source="dataset:./set", format="instruct", held_out=0.25)
    path = locate_source(data, dataset_folder.parent)
    source = open_source(data, path)
    files = source.list_files().files
    samples = list(source.samples(files))
    assert [sample.content for sample in samples] == ROWS
    assert [sample.split for sample in samples].count("held_out") == 5
    assert {file.path for file in files} == {
        file.relative_to(dataset_folder).as_posix() for file in dataset_folder.rglob("*") if file.is_file()
    }


def test_a_damaged_dataset_is_refused(dataset_folder: Path) -> None:
    for path in dataset_folder.rglob("*"):
        if path.suffix in (".arrow", ".parquet"):
            path.write_bytes(path.read_bytes()[:200] + b"\xff" * 50)
    with pytest.raises(InputError, match="cannot be read"):
        read(dataset_folder, source="dataset:./set")


def test_a_split_that_a_dataset_does_not_have_is_refused(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    (tmp_path / "set").mkdir()
    datasets.Dataset.from_list(ROWS).to_parquet(tmp_path / "set/train.parquet")
    with pytest.raises(InputError) as caught:
        read(tmp_path / "set", source="dataset:./set", split="moon")
    assert "split moon" in str(caught.value.where)


@pytest.mark.parametrize("name", ["load.py", "data.pkl", "deep/weights.PT", "a.pickle", "b.bin"])
def test_a_file_in_a_dataset_that_could_run_code_is_refused(tmp_path: Path, name: str) -> None:
    write_lines(tmp_path / "train.jsonl", b'{"a": 1}')
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(InputError, match="could run code") as caught:
        read(tmp_path, source="dataset:.")
    assert caught.value.where == str(tmp_path / name)


def test_a_link_that_leaves_a_dataset_is_refused(tmp_path: Path) -> None:
    write_lines(tmp_path / "secret.jsonl", b'{"a": 1}')
    (tmp_path / "set").mkdir()
    (tmp_path / "set/train.jsonl").symlink_to("../secret.jsonl")
    with pytest.raises(InputError, match="leads out"):
        read(tmp_path / "set", source="dataset:./set")


@pytest.mark.parametrize("name", ["../secret.arrow", "/etc/passwd", None])
def test_a_dataset_that_names_a_file_outside_of_it_is_refused(tmp_path: Path, name: str | None) -> None:
    datasets = pytest.importorskip("datasets")
    datasets.Dataset.from_list(ROWS).save_to_disk(tmp_path / "set")
    state = json.loads((tmp_path / "set/state.json").read_text())
    state["_data_files"][0]["filename"] = name
    (tmp_path / "set/state.json").write_text(json.dumps(state))
    with pytest.raises(InputError, match="no file beside"):
        read(tmp_path / "set", source="dataset:./set")


def test_the_links_of_the_hubs_cache_are_followed(tmp_path: Path) -> None:
    (tmp_path / "blobs").mkdir()
    write_lines(tmp_path / "blobs/0123", b'{"prompt": "a", "response": "b"}')
    folder = tmp_path / "snapshots" / ("a" * 40)
    folder.mkdir(parents=True)
    (folder / "train.jsonl").symlink_to("../../blobs/0123")
    assert [sample.content for sample in read(folder, source="dataset:a/b")] == [
        {"prompt": "a", "response": "b"}
    ]


@pytest.mark.parametrize(
    "source", ["dataset:./none", "dataset:one", "dataset:/none/there", "dataset:acme/pairs"]
)
def test_a_dataset_that_is_no_folder_needs_a_hub_id_and_a_commit(tmp_path: Path, source: str) -> None:
    with pytest.raises(RecipeError) as caught:
        locate_source(Data(source=source), tmp_path)
    assert ("no revision" in caught.value.what) == (source == "dataset:acme/pairs")
