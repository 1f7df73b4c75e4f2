"""The manifest: the same bytes for the same data, in plain JSON, and every change is detected."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from starfreight.console import Console
from starfreight.data_manifest import DataManifest
from starfreight.errors import InputError
from starfreight.files import sha256_file
from starfreight.jobs.data.manifest.build_manifest import build_manifest
from starfreight.jobs.data.manifest.samples import verified_samples
from starfreight.jobs.data.sources import locate_source, open_source
from starfreight.jobs.data.worker_pool import Batching
from starfreight.recipe.data import Data

FILE = (
    "def area_{0}(width, height):\n    # written by hand, number {0}\n    return width * height + {0} * {1}\n"
)


SMALL = Batching(cost=4000, start_after=8000, most=4)
"""Small enough to start processes for these few files."""


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """Sixty files, a copy of one of them, and one that cannot be used."""
    folder = tmp_path / "here" / "src"
    folder.mkdir(parents=True)
    for number in range(60):
        text = "".join(FILE.format(f"{number}_{line}", line * number) for line in range(20))
        (folder / f"file_{number:02}.py").write_text(text)
    shutil.copy(folder / "file_07.py", folder / "later_copy.py")
    (folder / "empty.py").write_text("\n")
    records = (json.dumps({"prompt": f"Add {n}.", "response": f"x += {n}"}) for n in range(20))
    (folder.parent / "pairs.jsonl").write_text("\n".join(records) + "\n")
    return folder.parent


SOURCES: tuple[Mapping[str, Any], ...] = (
    {"source": "./src", "license": "MIT", "filters": {"near_duplicates": False}},
    {
        "source": "./pairs.jsonl",
        "license": "MIT",
        "format": "instruct",
        "filters": {"near_duplicates": False},
    },
)


def build(
    folder: Path,
    sources: tuple[Mapping[str, Any], ...] = SOURCES,
    processes: int = 1,
    console: Console | None = None,
) -> DataManifest:
    """Prepares the data of a recipe in ``folder`` and reads the manifest."""
    data = [Data.model_validate_json(json.dumps(each)) for each in sources]
    out = folder / f"out-{len(list(folder.iterdir()))}"
    out.mkdir()
    paths = [locate_source(each, folder, Console(quiet=True)) for each in data]
    found = build_manifest(data, paths, folder, out, console or Console(quiet=True), processes, SMALL)
    manifest = DataManifest.load(out / "manifest.json")
    assert manifest.digest == found.manifest.digest == sha256_file(out / "manifest.json")
    return manifest


def read(folder: Path, manifest: DataManifest, number: int = 0) -> list[tuple[str, str]]:
    """The names and splits of the samples for training."""
    data = Data.model_validate_json(json.dumps(SOURCES[number]))
    source = open_source(data, locate_source(data, folder, Console(quiet=True)))
    return [(sample.name, split) for sample, split in verified_samples(source, manifest, number)]


def test_the_same_data_gives_the_same_bytes_anywhere_and_with_any_number_of_processes(
    code: Path, tmp_path: Path
) -> None:
    here = build(code)
    shutil.copytree(code / "src", tmp_path / "elsewhere/deeper/src")
    shutil.copy(code / "pairs.jsonl", tmp_path / "elsewhere/deeper")
    moved = build(tmp_path / "elsewhere/deeper")
    spread = build(code, processes=2)
    for name in ("manifest.json", "left_out.jsonl", "records-1.jsonl"):
        texts = {(manifest.path.parent / name).read_bytes() for manifest in (here, moved, spread)}
        assert len(texts) == 1
        assert str(tmp_path).encode() not in texts.pop()


def test_a_path_of_this_machine_in_the_recipe_does_not_get_into_the_manifest(code: Path) -> None:
    sources = ({**SOURCES[0], "source": str(code / "src")},)
    manifest = build(code, sources)
    assert manifest.sources[0].source == "src"
    for path in manifest.path.parent.iterdir():
        assert str(code) not in path.read_text()


def test_the_manifest_is_plain_json_that_names_each_file_on_a_line(code: Path) -> None:
    manifest = build(code)
    whole = json.loads(manifest.path.read_bytes())
    assert whole["version"] == 2
    files = whole["sources"][0]["files"]
    assert [file["path"] for file in files] == sorted(f"file_{number:02}.py" for number in range(60))
    lines = manifest.path.read_text().splitlines()
    assert sum('"file_' in line for line in lines) == 60
    first = files[0]
    assert first["digest"] == sha256_file(code / "src/file_00.py")
    assert first["swhid"].startswith("swh:1:cnt:")
    assert (first["license"], first["language"]) == ("MIT", "Python")
    assert [used.model_dump() for used in manifest.kept(0)] == files
    assert [used.model_dump() for used in manifest.files(1)] == whole["sources"][1]["files"]
    (container,) = whole["sources"][1]["files"]
    assert (container["path"], container["split"]) == ("pairs.jsonl", "records")
    assert container["digest"] == sha256_file(code / "pairs.jsonl")
    assert len(list(manifest.kept(1))) == whole["sources"][1]["records"]["entries"] == 20


def test_everything_that_is_left_out_is_named_with_its_reason(code: Path) -> None:
    manifest = build(code)
    lines = (manifest.path.parent / "left_out.jsonl").read_text().splitlines()
    left = {line["name"]: line for line in map(json.loads, lines)}
    assert left["empty.py"]["filter"] == "unusable"
    assert left["later_copy.py"]["filter"] == "exact_duplicates"
    assert left["later_copy.py"]["twin"] == {"source": 0, "name": "file_07.py"}
    summary = manifest.sources[0]
    assert sum(summary.left_out["exact_duplicates"].values()) == 1
    assert (summary.found, summary.train.samples, summary.held_out.samples) == (62, 54, 6)
    assert manifest.left_out.entries == 2


def test_training_reads_exactly_what_the_manifest_names(code: Path) -> None:
    manifest = build(code)
    for number, count in ((0, 60), (1, 20)):
        assert read(code, manifest, number) == [(used.path, used.split) for used in manifest.kept(number)]
        assert len(read(code, manifest, number)) == count


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("file_03.py", "x = 4\n", "file_03.py has different content"),
        ("file_03.py", None, "file_0"),
        ("file_03b.py", "x = 4\n", "file_03b.py is new"),
        ("empty.py", None, "one before it is missing"),
        ("later_copy.py", None, "later_copy.py is missing"),
        ("zzz.py", "x = 5\n", "zzz.py is new"),
        ("file_03.py", "", "file_03.py has different content"),
    ],
)
def test_data_that_has_changed_is_noticed(code: Path, name: str, text: str | None, message: str) -> None:
    manifest = build(code)
    path = code / "src" / name
    path.unlink(missing_ok=True)
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError, match="changed since the run was prepared") as caught:
        read(code, manifest)
    assert message in caught.value.what


def test_records_that_have_changed_are_noticed(code: Path) -> None:
    manifest = build(code)
    path = code / "pairs.jsonl"
    path.write_text(path.read_text().replace("Add 7.", "Add 8!"))
    with pytest.raises(InputError, match="changed since the run was prepared"):
        read(code, manifest, 1)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text[:-20],
        lambda text: text.replace('"split": "train"', '"split": "trial"', 1),
        lambda text: text.replace('"path"', '"paht"', 1),
        lambda text: text + "x",
        lambda text: "",
        lambda text: text.replace("]},\n", "]},\nrubbish\n", 1),
        lambda text: "[" * 100_000,
        lambda text: text.replace('{"version": 2', '{"version": 3'),
    ],
)
def test_a_damaged_manifest_is_refused(code: Path, change: Callable[[str], str]) -> None:
    manifest = build(code)
    manifest.path.write_text(change(manifest.path.read_text()))
    with pytest.raises(InputError) as caught:
        DataManifest.load(manifest.path)
    assert caught.value.fix


@pytest.mark.parametrize("name", ["left_out.jsonl", "records-1.jsonl"])
def test_a_list_that_was_changed_or_removed_is_refused(code: Path, name: str) -> None:
    manifest = build(code)
    path = manifest.path.parent / name
    whole = path.read_text()
    path.write_text(whole.splitlines(keepends=True)[0])
    with pytest.raises(InputError, match="does not match its digest in the manifest"):
        DataManifest.load(manifest.path)
    path.unlink()
    with pytest.raises(InputError, match="cannot be read"):
        DataManifest.load(manifest.path)


def test_a_manifest_of_an_earlier_release_is_refused_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(json.dumps({"version": 1, "sources": []}, indent=2))
    with pytest.raises(InputError, match="earlier release") as caught:
        DataManifest.load(tmp_path / "manifest.json")
    assert "prepare the run again" in str(caught.value.fix)


def test_when_nothing_is_left_the_filter_and_the_way_out_are_named(code: Path) -> None:
    source = {"source": "./src", "filters": {"near_duplicates": False}}
    with pytest.raises(InputError, match=r"no text to train on.*62 texts.*61 license") as caught:
        build(code, (source,))
    assert "data[0].license" in str(caught.value.fix)
    again = ({**SOURCES[0]}, {**SOURCES[0]})
    with pytest.raises(InputError, match="61 exact_duplicates") as caught:
        build(code, again)
    assert "exact_duplicates: false" in str(caught.value.fix)


def test_what_is_used_and_left_out_is_told(code: Path, capsys: pytest.CaptureFixture[str]) -> None:
    build(code, console=Console())
    told = capsys.readouterr().err
    assert "./src: 60 of 62 texts" in told
    assert "1 unusable" in told
    assert "1 exact_duplicates" in told


PROGRAM = """
import sys
from pathlib import Path
from starfreight.jobs.data.manifest import build_manifest as module
from starfreight.jobs.data.sources import locate_source
from starfreight.console import Console
from starfreight.recipe.data import Data
import starfreight.cli, signal

class Slow(module.Catalogue):
    def split(self, records):
        print("examined", flush=True)
        import time
        time.sleep(60)

module.Catalogue = Slow
signal.signal(signal.SIGTERM, starfreight.cli._as_interrupt)
data = [Data(source="./src", license="MIT")]
here = Path(sys.argv[1])
(here / "out").mkdir()
try:
    module.build_manifest(data, [here / "src"], here, here / "out", Console(quiet=True), 1)
except KeyboardInterrupt:
    sys.exit(130)
"""


def test_a_preparation_that_is_interrupted_leaves_nothing(code: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(code)], stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == b"examined\n"
    time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 130
    assert list((code / "out").iterdir()) == []
