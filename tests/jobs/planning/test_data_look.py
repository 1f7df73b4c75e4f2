"""``plan`` looks at data on this machine through the reading and filters of a run."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from recipe_files import write_code
from small_jobs import ALL_ALIKE

from starfreight.cli import main
from starfreight.console import Console
from starfreight.errors import InputError
from starfreight.jobs.planning.data_look import Bounds, DataLook, look_at_data
from starfreight.recipe import load_recipe

Plan = Callable[[Path], dict[str, Any]]


@pytest.fixture
def plan(capsys: pytest.CaptureFixture[str]) -> Plan:
    """Plans a recipe, and gives its only variant."""

    def run(recipe: Path, *options: str) -> dict[str, Any]:
        assert main(["plan", str(recipe), "--json", *options]) == 0
        (variant,) = json.loads(capsys.readouterr().out)["variants"]
        found: dict[str, Any] = variant
        return found

    return run


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Writes a recipe for the starter model."""

    def write_starter(*data: Mapping[str, Any], **changes: Any) -> Path:
        training = {"sequence_length": 64, "steps": 2}
        recipe = {
            "version": 1, "name": "tiny", "base": {"model": "builtin:starter"}, "data": data,
            "training": training, "run": {"threads": 1},
        }  # fmt: skip
        path = tmp_path / "recipe.yaml"
        path.write_text(json.dumps(recipe | changes))
        return path

    return write_starter


def look(recipe: Path, *paths: Path | None, **bounds: Any) -> DataLook:
    """Looks at the sources of a recipe within bounds."""
    file = load_recipe(recipe)
    return look_at_data(file.recipe, file.folder, paths, None, Console(quiet=True), Bounds(**bounds))


def test_a_whole_source_is_counted_as_a_run_counts_it(
    write: Callable[..., Path], plan: Plan, tmp_path: Path, prepare: Callable[[Path], Path]
) -> None:
    write_code(tmp_path)
    (tmp_path / "code/gpl.py").write_text("# SPDX-License-Identifier: GPL-3.0-only\nprint(1)\n")
    (tmp_path / "code/empty.py").write_text("")
    recipe = write({"source": "./code"})
    (found,) = plan(recipe)["data"]
    assert found == {
        "source": "./code", "here": True, "whole": True, "texts": 10, "train": 7, "held_out": 1,
        "left_out": {"license": 1, "unusable": 1}, "records": None,
    }  # fmt: skip
    manifest = (prepare(recipe) / "data/manifest.json").read_text()
    assert '"found": 10, "train": {"samples": 7,' in manifest


def test_the_plan_has_a_line_for_each_source(
    write: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_code(tmp_path)
    records = [{"instruction": f"Say {number}.", "output": f"It is {number}."} for number in range(30)]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(each) + "\n" for each in records))
    pairs = {"source": "./pairs.jsonl", "format": "instruct", "license": "MIT", "filters": ALL_ALIKE}
    assert main(["plan", str(write({"source": "./code"}, pairs))]) == 0
    text = capsys.readouterr().out
    assert "\n    ./code: 8 texts, none left out, 1 held out\n" in text
    assert "\n    ./pairs.jsonl: 30 texts, none left out, 3 held out; instruct records: Alpaca" in text


def test_of_a_large_source_only_the_first_texts_are_read_and_judged_with_care(
    write: Callable[..., Path], tmp_path: Path
) -> None:
    write_code(tmp_path)
    (tmp_path / "code/a.py").write_text("# SPDX-License-Identifier: GPL-3.0-only\nprint(1)\n")
    (tmp_path / "code/b.py").write_text("# SPDX-License-Identifier: GPL-3.0-only\nprint(2)\n")
    recipe = write({"source": "./code"})
    found = look(recipe, tmp_path / "code", texts=3)
    assert found.error is None and not found.sources[0].whole
    assert found.sources[0].as_text() == "./code: of the first 3 texts 67% left out (2 license)"
    assert "license leaves out 2 of 3 texts" in found.warnings[0] and "data[0].license" in found.warnings[0]
    assert found.sources[0].as_dict()["held_out"] is None
    assert look(recipe, tmp_path / "code", size=1).sources[0].as_dict()["texts"] == 1
    assert not look(recipe, tmp_path / "code", seconds=-1.0).sources[0].whole
    assert look(recipe, tmp_path / "code", texts=10).sources[0].whole


def test_a_whole_source_is_refused_beside_one_that_is_not_here(
    write: Callable[..., Path], tmp_path: Path
) -> None:
    write_code(tmp_path)
    for number in range(9):
        (tmp_path / f"code/gpl_{number}.py").write_text(
            f"# SPDX-License-Identifier: GPL-3.0-only\nprint({number})\n"
        )
    elsewhere = {"source": "dataset:acme/code", "revision": "a" * 40}
    found = look(write(elsewhere, {"source": "./code"}), None, tmp_path / "code")
    assert isinstance(found.error, InputError)
    assert found.error.where == "key data[1].license, ./code"
    allowed = write(elsewhere, {"source": "./code"}, run={"allow_little_data": True})
    found = look(allowed, None, tmp_path / "code")
    assert found.error is None and len(found.warnings) == 1
    # Whether anything is held out depends on the other source.
    one = write(elsewhere, {"source": "./code", "include": ["part_1.py"]})
    found = look(one, None, tmp_path / "code")
    assert found.error is None and found.warnings == ()


@pytest.mark.parametrize(
    ("record", "what"),
    [
        ({"body": "x = {}"}, "A record of format fim has neither"),
        ({"text": "x = {}", "path": "../a.py"}, "A record's path leads out"),
        ({"text": "x = {}", "license": 7}, "A record's license is not a text"),
    ],
    ids=str,
)
def test_records_that_a_run_cannot_read_are_refused(
    record: dict[str, Any], what: str, write: Callable[..., Path], tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    lines = [json.dumps(record).replace("{}", str(number)) + "\n" for number in range(9)]
    (tmp_path / "rows.jsonl").write_text("".join(lines))
    recipe = write({"source": "./rows.jsonl", "license": "MIT", "filters": ALL_ALIKE})
    assert main(["plan", str(recipe), "--json"]) == 2
    assert what in json.loads(capsys.readouterr().out)["error"]["what"]


def test_less_than_one_block_is_refused_unless_allowed(
    write: Callable[..., Path], plan: Plan, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_code(tmp_path, 1)
    for number in range(4):
        (tmp_path / f"code/short_{number}.py").write_text(f"x = {number}\n")
    source = {"source": "./code", "license": "MIT", "filters": ALL_ALIKE}
    recipe = write(source | {"include": ["short*"]})
    assert main(["plan", str(recipe), "--json"]) == 2
    error = json.loads(capsys.readouterr().out)["error"]
    assert "less than one block of 64" in error["what"]
    assert main(["plan", str(recipe), "--allow-little-data"]) == 0
    capsys.readouterr()
    assert plan(write(source))["data"][0]["texts"] == 5


def test_texts_that_are_held_out_do_not_count_for_a_block(
    write: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_code(tmp_path, 1)
    for number in range(200):
        (tmp_path / f"code/short_{number}.py").write_text(f"x = {number}\n")
    source = {"source": "./code", "license": "MIT", "include": ["short*"], "filters": ALL_ALIKE}
    assert main(["plan", str(write(source | {"held_out": 0.99})), "--json"]) == 2
    assert "less than one block of 64" in json.loads(capsys.readouterr().out)["error"]["what"]


def test_held_out_texts_without_an_example_are_refused(
    write: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, length in (("short", 3), ("long", 200)):
        texts = [f"Count {number} {' and'.join(['one'] * length)}" for number in range(8)]
        rows = [json.dumps({"prompt": text, "completion": "2"}) + "\n" for text in texts]
        (tmp_path / f"{name}.jsonl").write_text("".join(rows))
    source = {"format": "instruct", "license": "MIT", "filters": ALL_ALIKE}
    short = source | {"source": "./short.jsonl", "held_out": 0}
    long = source | {"source": "./long.jsonl", "held_out": 0.5}
    assert main(["plan", str(write(short, long)), "--json"]) == 2
    assert "held-out texts give no example" in json.loads(capsys.readouterr().out)["error"]["what"]
