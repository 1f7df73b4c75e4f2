"""Sources of records: JSONL files, Parquet files and datasets."""

from __future__ import annotations

import datetime
import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from starfreight.console import Console
from starfreight.errors import InputError, RecipeError
from starfreight.files import canonical_json, sha256_bytes, sha256_file
from starfreight.jobs.data.rows.values import MAX_RECORD_BYTES
from starfreight.jobs.data.sources import Sample, check_source, locate_source, open_source
from starfreight.recipe import Data
from starfreight.recipe.data import Columns

Read = Callable[..., tuple[list[Sample], dict[str, str]]]
ROWS = [{"prompt": f"Say {number}.", "response": str(number)} for number in range(20)]
STACK = [
    {
        "content": f"x = {number}\n", "max_stars_repo_path": f"src/{number}.py",
        "max_stars_repo_name": "org/one", "max_stars_repo_licenses": ["MIT", "Apache-2.0"], "size": 6,
    }
    for number in range(3)
]  # fmt: skip


def write_lines(path: Path, *lines: bytes) -> Path:
    path.write_bytes(b"\n".join(lines) + b"\n")
    return path


def write_rows(path: Path, rows: list[dict[str, Any]]) -> Path:
    if path.suffix == ".jsonl":
        return write_lines(path, *(json.dumps(row).encode() for row in rows))
    pyarrow = pytest.importorskip("pyarrow")
    pytest.importorskip("pyarrow.parquet").write_table(pyarrow.Table.from_pylist(rows), path)
    return path


@pytest.fixture(params=["a.jsonl", "a.parquet"])
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return tmp_path / str(request.param)


def test_each_record_of_a_file_is_a_sample(file: Path, read_source: Read) -> None:
    samples, unusable = read_source(write_rows(file, ROWS), format="instruct")
    assert unusable == {}
    assert [sample.content for sample in samples] == ROWS
    assert [sample.name for sample in samples] == [f"{file.name}:{number}" for number in range(1, 21)]
    encoded = canonical_json(ROWS[3])
    assert (samples[3].digest, samples[3].size) == (sha256_bytes(encoded), len(encoded))
    assert (samples[3].path, samples[3].repository, samples[3].license) == (None, None, None)
    (container,) = open_source(Data(source=file.name), file).containers()
    assert (container.path, container.digest) == (file.name, sha256_file(file))
    assert container.size == file.stat().st_size


def test_a_text_in_a_column_with_a_common_name_is_a_file(file: Path, read_source: Read) -> None:
    samples, _ = read_source(write_rows(file, STACK), format="fim")
    assert samples[1] == Sample(
        name=f"{file.name}:2", content="x = 1\n", digest=sha256_bytes(b"x = 1\n"), size=6, path="src/1.py",
        repository="org/one", license="Apache-2.0 AND MIT",
    )  # fmt: skip
    as_records, _ = read_source(file, format="instruct")
    assert as_records[1].content == STACK[1]


def test_columns_are_named_by_the_recipe(file: Path, read_source: Read) -> None:
    rows = [
        {"text": "no", "body": "x = 1\n", "where": "/a//./b.c", "who": "me", "spdx": "MIT OR ISC", "path": 7}
    ]
    columns = Columns(content="body", path="where", repository="who", license="spdx")
    (sample,) = read_source(write_rows(file, rows), columns=columns)[0]
    assert (sample.content, sample.path, sample.repository) == ("x = 1\n", "a/b.c", "me")
    assert sample.license == "MIT OR ISC"


@pytest.mark.parametrize("kind", ["content", "path", "repository", "license"])
def test_a_column_that_is_not_there_is_refused_with_those_that_are(
    kind: str, file: Path, read_source: Read
) -> None:
    with pytest.raises(InputError, match="no column 'moon'") as caught:
        read_source(write_rows(file, STACK), columns=Columns(**{kind: "moon"}))
    assert f"data.columns.{kind}" in str(caught.value.fix)
    assert "max_stars_repo_name" in str(caught.value.fix)
    assert f"{file.name}:1" in str(caught.value.where)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"content": 3}, "content is not a text"),
        ({"max_stars_repo_path": "../../etc/passwd"}, "leads out"),
        ({"max_stars_repo_path": "a\nb.py"}, "path is not a text"),
        ({"max_stars_repo_path": "x" * 5000}, "path is not a text"),
        ({"max_stars_repo_name": "a\x1b[2Jb"}, "repository is not a text"),
        ({"max_stars_repo_licenses": ["MIT"] * 200}, "license is not a text"),
        ({"max_stars_repo_licenses": [["MIT"]]}, "license is not a text"),
    ],
)
def test_a_column_with_something_else_in_it_is_refused(
    change: Mapping[str, Any], words: str, file: Path, read_source: Read
) -> None:
    with pytest.raises(InputError, match=words):
        read_source(write_rows(file, [STACK[0] | change]))


def test_texts_in_records_are_left_out_by_the_rules_of_files(file: Path, read_source: Read) -> None:
    texts = [None, "", " \n", "a\0b", "x" * ((1 << 20) + 1), "x\n"]
    samples, unusable = read_source(write_rows(file, [{"content": text} for text in texts]))
    assert [sample.content for sample in samples] == ["x\n"]
    assert list(unusable.values()) == ["empty", "empty", "empty", "binary", "larger than 1 MiB"]


def test_patterns_take_records_by_their_paths(file: Path, read_source: Read) -> None:
    samples, _ = read_source(write_rows(file, STACK), include=("*/1.py", "2.py"), exclude=("2.*",))
    assert [sample.path for sample in samples] == ["src/1.py"]


def test_a_fim_record_is_passed_on_as_it_is(file: Path, read_source: Read) -> None:
    row = {"prefix": "a", "middle": "b", "suffix": "c", "text": "abc"}
    assert read_source(write_rows(file, [row]))[0][0].content == row


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"{", "not JSON"),
        (b"[1]", "not a JSON object"),
        (b"null", "not a JSON object"),
        (b'{"a": "\xff"}', "not JSON"),
        (b'{"a": "\\ud800"}', "half of a surrogate pair"),
        (b'{"text": "\\ud800"}', "half of a surrogate pair"),
        (b"[" * 100_000, "not JSON"),
        (b'{"a": ' + b"9" * 5000 + b"}", "not JSON"),
        (b'{"a": "' + b"x" * MAX_RECORD_BYTES + b'"}', "longer than 16 MiB"),
    ],
    ids=["open", "list", "null", "not UTF-8", "half", "half text", "nested", "long number", "long line"],
)
def test_a_bad_line_is_named(tmp_path: Path, line: bytes, words: str, read_source: Read) -> None:
    path = write_lines(tmp_path / "a.jsonl", b'{"a": "\\ud83d\\ude00"}', b"", line)
    with pytest.raises(InputError, match=words) as caught:
        read_source(path)
    assert caught.value.where in (f"{path}, line 3", f"{path}, a.jsonl:3")
    assert caught.value.fix


@pytest.mark.parametrize("name", ["a.csv", "a.gz", "code.py"])
def test_a_file_of_another_kind_is_refused(tmp_path: Path, name: str) -> None:
    write_lines(tmp_path / name, b"a,b")
    with pytest.raises(RecipeError, match="neither a directory nor a JSONL or Parquet file"):
        check_source(Data(source=name), tmp_path)


@pytest.mark.parametrize("damage", ["text", "cut", "middle", "footer", "empty"])
def test_a_damaged_parquet_file_is_one_clear_error(damage: str, tmp_path: Path, read_source: Read) -> None:
    path = write_rows(tmp_path / "a.parquet", STACK * 500)
    whole = path.read_bytes()
    half = len(whole) // 2
    path.write_bytes(
        {
            "text": b"x = 1\n" * 99,
            "cut": whole[:half],
            "middle": whole[:60] + b"\xff" * 400 + whole[460:],
            "footer": whole[:-200] + b"\xff" * 190 + whole[-10:],
            "empty": b"",
        }[damage]
    )
    with pytest.raises(InputError) as caught:
        read_source(path)
    assert str(path) in str(caught.value.where)
    assert caught.value.fix


def test_a_parquet_row_that_swells_when_it_is_unpacked_is_refused(tmp_path: Path, read_source: Read) -> None:
    rows = [{"prompt": "x" * (24 << 20)}] * 16
    path = write_rows(tmp_path / "a.parquet", rows)
    assert path.stat().st_size < 4 << 20
    with pytest.raises(InputError, match="larger than 16 MiB"):
        read_source(path, format="instruct")


def test_values_of_a_parquet_file_that_json_does_not_know_have_a_digest(
    tmp_path: Path, read_source: Read
) -> None:
    row = {
        "prompt": "a",
        "when": datetime.datetime(2020, 1, 2, 3),
        "raw": b"\xff",
        "nested": {"day": datetime.date(1, 1, 1)},
    }
    (sample,) = read_source(write_rows(tmp_path / "a.parquet", [row]), format="instruct")[0]
    plain = {"prompt": "a", "when": "2020-01-02T03:00:00", "raw": "ff", "nested": {"day": "0001-01-01"}}
    assert sample.digest == sha256_bytes(canonical_json(plain))


@pytest.mark.parametrize("suffix", [".jsonl", ".parquet"])
def test_memory_does_not_grow_with_the_file(suffix: str, tmp_path: Path) -> None:
    rows = [{"content": f"{number:032}" * 500, "path": f"{number}.py"} for number in range(1000)]
    small, large = (tmp_path / f"{size}{suffix}" for size in ("small", "large"))
    write_rows(small, rows)
    if suffix == ".jsonl":
        large.write_bytes(small.read_bytes() * 8)
    else:
        pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
        parquet.write_table(pyarrow.Table.from_pylist(rows * 8), large)  # One row group.
    program = f"""
import resource
from pathlib import Path
from starfreight.jobs.data.sources import open_source
from starfreight.recipe import Data
def read(path):
    count = sum(1 for _ in open_source(Data(source=path), Path(path)).samples())
    return count, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
_, before = read({str(small)!r})
count, after = read({str(large)!r})
print(count, after - before)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    count, grown = map(int, done.stdout.split())
    assert count == 8000
    assert grown < 48, "the texts are 122 MiB"


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


def test_the_rows_of_a_dataset_are_samples(dataset_folder: Path, read_source: Read) -> None:
    path = locate_source(Data(source="dataset:./set"), dataset_folder.parent, Console(quiet=True))
    samples, _ = read_source(path, "dataset:./set", format="instruct")
    assert [sample.content for sample in samples] == ROWS
    assert [sample.name for sample in samples][:2] == ["train:1", "train:2"]
    containers = open_source(Data(source="dataset:./set"), path).containers()
    files = sorted(path for path in dataset_folder.rglob("*") if path.is_file())
    assert {each.path: each.digest for each in containers} == {
        file.relative_to(dataset_folder).as_posix(): sha256_file(file) for file in files
    }


def test_a_damaged_dataset_is_refused(dataset_folder: Path, read_source: Read) -> None:
    for path in dataset_folder.rglob("*"):
        if path.suffix in (".arrow", ".parquet"):
            path.write_bytes(path.read_bytes()[:200] + b"\xff" * 50)
    with pytest.raises(InputError, match="cannot be read"):
        read_source(dataset_folder, "dataset:./set")


def test_a_split_that_a_dataset_does_not_have_is_refused(tmp_path: Path, read_source: Read) -> None:
    datasets = pytest.importorskip("datasets")
    (tmp_path / "set").mkdir()
    datasets.Dataset.from_list(ROWS).to_parquet(tmp_path / "set/train.parquet")
    with pytest.raises(InputError) as caught:
        read_source(tmp_path / "set", "dataset:./set", split="moon")
    assert "split moon" in str(caught.value.where)


def test_a_dataset_of_pictures_is_refused_before_one_is_decoded(tmp_path: Path, read_source: Read) -> None:
    datasets = pytest.importorskip("datasets")
    features = datasets.Features({"picture": datasets.Image()})
    rows = datasets.Dataset.from_dict(
        {"picture": [{"bytes": b"no picture", "path": None}]}, features=features
    )
    rows.save_to_disk(tmp_path / "set")
    with pytest.raises(InputError, match="'picture' holds data of type Image"):
        read_source(tmp_path / "set", "dataset:./set")


@pytest.mark.parametrize("name", ["load.py", "data.pkl", "deep/weights.PT", "a.pickle", "b.bin"])
def test_a_file_in_a_dataset_that_could_run_code_is_refused(
    tmp_path: Path, name: str, read_source: Read
) -> None:
    write_lines(tmp_path / "train.jsonl", b'{"a": 1}')
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(InputError, match="could run code") as caught:
        read_source(tmp_path, "dataset:.")
    assert caught.value.where == str(tmp_path / name)
    with pytest.raises(InputError, match="could run code"):
        open_source(Data(source="dataset:."), tmp_path).containers()


def test_a_link_that_leaves_a_dataset_is_refused(tmp_path: Path, read_source: Read) -> None:
    write_lines(tmp_path / "secret.jsonl", b'{"a": 1}')
    (tmp_path / "set").mkdir()
    (tmp_path / "set/train.jsonl").symlink_to("../secret.jsonl")
    with pytest.raises(InputError, match="leads out"):
        read_source(tmp_path / "set", "dataset:./set")


@pytest.mark.parametrize("name", ["../secret.arrow", "/etc/passwd", None])
def test_a_dataset_that_names_a_file_outside_of_it_is_refused(
    tmp_path: Path, name: str | None, read_source: Read
) -> None:
    datasets = pytest.importorskip("datasets")
    datasets.Dataset.from_list(ROWS).save_to_disk(tmp_path / "set")
    state = json.loads((tmp_path / "set/state.json").read_text())
    state["_data_files"][0]["filename"] = name
    (tmp_path / "set/state.json").write_text(json.dumps(state))
    with pytest.raises(InputError, match="not a file in its directory"):
        read_source(tmp_path / "set", "dataset:./set")


def test_the_links_of_the_hubs_cache_are_followed(tmp_path: Path, read_source: Read) -> None:
    (tmp_path / "blobs").mkdir()
    write_lines(tmp_path / "blobs/0123", b'{"prompt": "a", "response": "b"}')
    folder = tmp_path / "snapshots" / ("a" * 40)
    folder.mkdir(parents=True)
    (folder / "train.jsonl").symlink_to("../../blobs/0123")
    assert [sample.content for sample in read_source(folder, "dataset:a/b", format="instruct")[0]] == [
        {"prompt": "a", "response": "b"}
    ]


@pytest.mark.parametrize(
    "source", ["dataset:./none", "dataset:one", "dataset:/none/there", "dataset:acme/pairs"]
)
def test_a_dataset_that_is_no_folder_needs_a_hub_id_and_a_commit(tmp_path: Path, source: str) -> None:
    with pytest.raises(RecipeError) as caught:
        check_source(Data(source=source), tmp_path)
    assert ("no revision" in caught.value.what) == (source == "dataset:acme/pairs")


@pytest.mark.parametrize(("library", "source"), [("pyarrow", "a.parquet"), ("pyarrow", "dataset:./set")])
def test_a_library_that_is_not_installed_is_named_with_how_to_get_it(
    library: str, source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read_source: Read
) -> None:
    (tmp_path / "set").mkdir()
    write_lines(tmp_path / "set/train.jsonl", b'{"a": 1}')
    write_lines(tmp_path / "a.parquet", b"")
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(InputError, match=f"{library}, which is not installed") as caught:
        read_source(locate_source(Data(source=source), tmp_path, Console(quiet=True)), source)
    assert "starfreight[train]" in str(caught.value.fix)
