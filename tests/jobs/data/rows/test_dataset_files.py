"""The files of a dataset: only those inside its directory are read, and all of them are in the manifest."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from starfreight.errors import InputError
from starfreight.jobs.data.sources import Sample, open_source
from starfreight.recipe import Data

datasets = pytest.importorskip("datasets")

Read = Callable[[], list[str]]


def line(text: str) -> str:
    return json.dumps({"text": text}) + "\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A dataset with two files, beside a directory that is none of its business."""
    (tmp_path / "private").mkdir()
    (tmp_path / "private/diary.jsonl").write_text(line("dear diary"))
    folder = tmp_path / "pairs"
    (folder / "parts").mkdir(parents=True)
    (folder / "parts/one.jsonl").write_text(line("one"))
    (folder / "parts/two.jsonl").write_text(line("two"))
    return folder


@pytest.fixture
def read(folder: Path) -> Read:
    def texts() -> list[str]:
        source = open_source(Data(source="dataset:./pairs", format="fim"), folder)
        return [
            each.content
            for each in source.samples()
            if isinstance(each, Sample) and isinstance(each.content, str)
        ]

    return texts


def configure(folder: Path, *configurations: dict[str, Any], name: str = "README.md") -> None:
    text = json.dumps({"configs": list(configurations)})
    (folder / name).write_text(f"---\n{text}\n---\n" if name.endswith(".md") else text)


@pytest.mark.parametrize(
    "named",
    [
        "../private/diary.jsonl", "parts/../../private/*.jsonl", "{home}/private/a.jsonl", "~/diary.jsonl",
        "file://{home}/private/diary.jsonl", "file:{home}/private/diary.jsonl", "https://example.invalid/a.jsonl",
        "s3://bucket/a.jsonl", "hf://datasets/a/b/c.jsonl", "zip://a.jsonl::{home}/private/a.zip", "..",
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    "shape",
    [
        lambda named: {"data_files": named},
        lambda named: {"data_files": ["parts/one.jsonl", named]},
        lambda named: {"data_files": [{"split": "train", "path": ["parts/one.jsonl", named]}]},
        lambda named: {"data_dir": named},
    ],
    ids=["text", "list", "split", "directory"],
)
def test_a_readme_that_names_a_file_elsewhere_is_refused_before_it_is_opened(
    named: str, shape: Callable[[str], dict[str, Any]], folder: Path
) -> None:
    from starfreight.jobs.data.rows.dataset_configurations import chosen_configuration

    named = named.format(home=folder.parent)
    other = {"config_name": "other", "data_files": "parts/one.jsonl", "default": True}
    configure(folder, other, {"config_name": "second", **shape(named)})
    with pytest.raises(InputError, match="not a file in its directory") as caught:
        chosen_configuration(folder)
    assert caught.value.where == str(folder / "README.md")
    assert caught.value.fix


def test_a_readme_that_names_a_file_elsewhere_stops_the_reading(folder: Path, read: Read) -> None:
    configure(folder, {"config_name": "default", "data_files": "../private/*.jsonl"})
    with pytest.raises(
        InputError, match=r"names '\.\./private/\*\.jsonl', which is not a file in its directory"
    ):
        read()


def test_a_readme_that_names_files_inside_is_followed(folder: Path, read: Read) -> None:
    configure(folder, {"config_name": "default", "data_files": [{"split": "train", "path": "parts/o*"}]})
    assert read() == ["one"]
    configure(folder, {"config_name": "default", "data_dir": "parts"})
    assert read() == ["one", "two"]


def test_a_directory_that_is_a_link_is_not_entered(folder: Path, read: Read) -> None:
    (folder / "more").symlink_to("../private")
    assert read() == ["one", "two"]
    configure(folder, {"config_name": "default", "data_files": "more/diary.jsonl"})
    with pytest.raises(InputError, match="not a file in its directory"):
        read()


def test_a_hidden_file_that_no_manifest_lists_is_not_read(folder: Path, read: Read) -> None:
    (folder / ".cache.jsonl").write_text(line("hidden"))
    assert read() == ["one", "two"]
    configure(folder, {"config_name": "default", "data_files": ".cache.jsonl"})
    with pytest.raises(InputError, match="not a file in its directory"):
        read()
    (folder / "README.md").unlink()
    configure(folder, {"config_name": "default", "data_files": "parts/one.jsonl"}, name=".huggingface.yaml")
    with pytest.raises(InputError, match="configured by a hidden file"):
        read()


def test_several_configurations_without_a_default_are_refused_with_the_key_to_set(
    folder: Path, read: Read
) -> None:
    one, two = ({"config_name": name, "data_files": f"parts/{name}.jsonl"} for name in ("one", "two"))
    configure(folder, one, two)
    with pytest.raises(InputError, match="several configurations") as caught:
        read()
    assert "default: true" in str(caught.value.fix)
    configure(folder, one, two | {"default": True})
    assert read() == ["two"]


@pytest.mark.parametrize("split", ["../private", "/etc", "train/../../private", ".hidden", 7, "linked"])
def test_a_saved_dataset_whose_split_is_a_directory_elsewhere_is_refused(split: Any, tmp_path: Path) -> None:
    rows = datasets.Dataset.from_list([{"text": "mine"}])
    datasets.DatasetDict({"train": rows}).save_to_disk(tmp_path / "saved")
    datasets.Dataset.from_list([{"text": "private"}]).save_to_disk(tmp_path / "private")
    (tmp_path / "saved/linked").symlink_to("../private")
    (tmp_path / "saved/dataset_dict.json").write_text(json.dumps({"splits": ["train", split]}))
    with pytest.raises(InputError, match="not a file in its directory"):
        list(open_source(Data(source="dataset:./saved", split=str(split)), tmp_path / "saved").samples())


def test_pipes_and_devices_in_a_dataset_are_not_opened(folder: Path, read: Read) -> None:
    os.mkfifo(folder / "parts/three.jsonl")
    (folder / "parts/four.jsonl").symlink_to("/dev/zero")
    assert read() == ["one", "two"]


def test_files_of_a_format_that_may_hold_code_or_names_are_refused(folder: Path, read: Read) -> None:
    for path in (folder / "parts").iterdir():
        path.rename(path.with_suffix(".xml"))
    with pytest.raises(InputError, match="format 'xml', which is not read"):
        read()
