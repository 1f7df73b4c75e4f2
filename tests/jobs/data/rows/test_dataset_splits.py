"""The files of a split by their names: equal to the choice of the `datasets` library, from the list alone."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from starfreight.errors import InputError
from starfreight.jobs.data.rows.dataset_configurations import Configuration
from starfreight.jobs.data.rows.dataset_splits import glob_matches, named_splits, split_files

LAYOUTS = [
    ["data.jsonl"],
    ["data.jsonl", "test.jsonl"],
    ["train.jsonl", "valid.jsonl", "README.md"],
    ["train-00000-of-00002.jsonl", "train-00001-of-00002.jsonl"],
    [
        "data/train-00000-of-00001.parquet",
        "data/dev-00000-of-00001.parquet",
        "data/hard.v2-00000-of-00001.parquet",
    ],
    ["train/a.jsonl", "test/b.jsonl", "train/deep/c.jsonl"],
    ["my_train_set/a.jsonl", "eval 2/b.jsonl", "trainer/c.jsonl"],
    ["my-train.jsonl", "my-testing-1.jsonl", "trained.jsonl", "a.train"],
    ["train_test.jsonl", "other.jsonl"],
    ["__extra__/train.jsonl", "a.jsonl"],
    ["val.csv", "dataset_infos.json", "config.json"],
    ["training/1.txt", "evaluation/1.txt", "x/validation/1.txt"],
    ["README.md"],
]
WORDS = [
    "train",
    "test",
    "dev",
    "val",
    "data",
    "a",
    "my-train",
    "train.v1",
    "eval_1",
    "x test",
    "__x",
    "training",
]


def of_the_library(folder: Path, names: list[str]) -> dict[str, list[str]]:
    from datasets.data_files import get_data_patterns, resolve_pattern

    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    found: dict[str, list[str]] = {}
    try:
        patterns = get_data_patterns(str(folder))
    except FileNotFoundError:
        return {}
    for split, each in patterns.items():
        paths: dict[str, None] = {}
        for pattern in each:
            try:
                paths.update(dict.fromkeys(resolve_pattern(pattern, str(folder))))
            except FileNotFoundError:
                continue
        found[str(split)] = [Path(path).relative_to(folder).as_posix() for path in paths]
    return found


@pytest.mark.parametrize("names", LAYOUTS, ids=lambda names: names[0])
def test_the_splits_of_a_directory_are_those_of_the_library(names: list[str], tmp_path: Path) -> None:
    pytest.importorskip("datasets")
    assert named_splits(names) == of_the_library(tmp_path, names)


def test_the_splits_of_random_directories_are_those_of_the_library(tmp_path: Path) -> None:
    pytest.importorskip("datasets")
    draw = random.Random(15)
    for number in range(60):
        names = {
            "/".join(draw.choices(WORDS, k=draw.randint(1, 3))) + draw.choice([".csv", ".jsonl"])
            for _ in range(draw.randint(1, 5))
        }  # fmt: skip
        assert named_splits(sorted(names)) == of_the_library(tmp_path / str(number), sorted(names)), names


@pytest.mark.parametrize(
    "pattern",
    ["*", "**", "a*", "*.jsonl", "**/*.jsonl", "a/**", "a/**/c.jsonl", "?.jsonl", "[ab].jsonl", "[!a].jsonl",
     "a/*/c.jsonl", "**/b/**", "a.jsonl", "a", "*/*", "a*b*c*"],
)  # fmt: skip
def test_patterns_match_what_fsspec_matches(pattern: str) -> None:
    fsspec = pytest.importorskip("fsspec")
    system = fsspec.filesystem("memory")
    system.store.clear()
    names = [
        "a.jsonl",
        "b.jsonl",
        "a/c.jsonl",
        "a/b/c.jsonl",
        "a/b/d/e.csv",
        "xab.jsonl",
        "axbxc.jsonl",
        "[.jsonl",
    ]
    for name in names:
        system.pipe("/" + name, b"x")
    expected = {each.lstrip("/") for each in system.glob("/" + pattern) if system.isfile(each)}
    system.store.clear()
    assert {name for name in names if glob_matches(name, pattern)} == expected


def test_a_hostile_pattern_takes_bounded_time() -> None:
    began = time.process_time()
    assert not glob_matches("a" * 3000, "*a" * 1000 + "b")
    assert not glob_matches("a/" * 1000 + "a", "**/" * 500 + "b")
    assert time.process_time() - began < 2


def test_a_file_that_two_patterns_match_is_read_once(tmp_path: Path) -> None:
    configuration = Configuration({"train": ("a*", "*b.jsonl", "./ab.jsonl")})
    assert split_files(tmp_path, ["ab.jsonl", "b.jsonl"], configuration, "train") == ["ab.jsonl", "b.jsonl"]


def test_an_unknown_split_is_an_error_that_names_the_splits_and_the_files_in_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no split 'train'.*in no split: data\.jsonl") as caught:
        split_files(tmp_path, ["data.jsonl", "test.jsonl", "dev.jsonl"], Configuration(), "train")
    assert "one of validation, test" in str(caught.value.fix)


@pytest.mark.parametrize("names", [["Train.csv", "Test.csv"], ["TRAIN/a.jsonl", "DEV/a.jsonl"]])
def test_splits_in_capital_letters_are_refused_instead_of_read_as_one(
    names: list[str], tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"train, (test|validation) have capital letters"):
        split_files(tmp_path, names, Configuration(), "train")


@pytest.mark.parametrize("names", [["Train.csv"], ["A.csv", "B.csv"], ["train.csv", "Notes.csv"]])
def test_other_capital_letters_do_not_matter(names: list[str], tmp_path: Path) -> None:
    assert split_files(tmp_path, names, Configuration(), "train")
