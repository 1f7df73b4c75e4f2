"""The table of source kinds: each string has one kind, and a new kind is one class and one entry."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from starfreight.cli import main
from starfreight.console import Console
from starfreight.errors import RecipeError
from starfreight.files import sha256_bytes
from starfreight.jobs.data.sources import Sample, check_source, kind_of, locate_source, open_source
from starfreight.jobs.data.sources.dataset import DatasetKind
from starfreight.jobs.data.sources.folder import FolderKind
from starfreight.jobs.data.sources.git import GitKind
from starfreight.jobs.data.sources.interface import Source, SourceKind, Unusable
from starfreight.jobs.data.sources.jsonl import JSONL
from starfreight.jobs.data.sources.kinds import KINDS
from starfreight.jobs.data.sources.oci import OciKind
from starfreight.jobs.data.sources.parquet import PARQUET
from starfreight.jobs.data.sources.python_package import PythonKind
from starfreight.jobs.planning.pod import plan_pod
from starfreight.recipe import Data, load_recipe
from starfreight.records import FileDigest

DIGEST = "@sha256:" + "0" * 64


def kind(source: str, folder: Path) -> SourceKind:
    return kind_of(source, folder / source)


@pytest.mark.parametrize(
    ("source", "expected", "remote", "local"),
    [
        ("./src", FolderKind, False, "./src"),
        ("/srv/code", FolderKind, False, "/srv/code"),
        ("table.csv", FolderKind, False, "table.csv"),
        ("git:https://code.test/org/name", GitKind, True, None),
        ("git:./repository", GitKind, True, None),
        ("python:click", PythonKind, False, None),
        ("dataset:org/name", DatasetKind, True, None),
        ("dataset:./set", DatasetKind, False, "./set"),
        ("dataset:/srv/set", DatasetKind, False, "/srv/set"),
        ("oci://registry.test/org/name" + DIGEST, OciKind, True, None),
    ],
)
def test_a_string_has_a_kind_that_knows_where_its_data_is(
    source: str, expected: type[SourceKind], remote: bool, local: str | None, tmp_path: Path
) -> None:
    found = kind(source, tmp_path)
    assert isinstance(found, expected)
    assert (found.is_remote(source), found.local_path(source)) == (remote, local)


@pytest.mark.parametrize(
    ("source", "expected"), [("pairs.jsonl", JSONL), ("a/b.ndjson", JSONL), ("./code.parquet", PARQUET)]
)
def test_files_of_records_are_known_by_their_suffix(
    source: str, expected: SourceKind, tmp_path: Path
) -> None:
    found = kind(source, tmp_path)
    assert found is expected
    assert (found.is_remote(source), found.local_path(source)) == (False, source)


def test_a_directory_with_such_a_suffix_is_a_directory_of_code(tmp_path: Path) -> None:
    (tmp_path / "code.jsonl").mkdir()
    (tmp_path / "code.jsonl/a.py").write_text("x = 1\n")
    data = Data(source="./code.jsonl", repositories="whole")
    (sample,) = open_source(data, locate_source(data, tmp_path, Console(quiet=True))).samples()
    assert sample.name == "a.py"
    check_source(Data(source="./code.jsonl", repositories="subfolders"), tmp_path)


def test_a_link_to_a_file_of_records_has_the_format_of_its_own_name(tmp_path: Path) -> None:
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pyarrow.Table.from_pylist([{"text": "x = 1\n"}]), tmp_path / "blob")
    (tmp_path / "code.parquet").symlink_to("blob")
    data = Data(source="code.parquet")
    (sample,) = open_source(data, locate_source(data, tmp_path, Console(quiet=True))).samples()
    assert isinstance(sample, Sample)
    assert sample.content == "x = 1\n"


class WordsKind:
    """``words:a+b``: a sample per word; ``words:@file`` names a file, ``words:far+away`` is fetched."""

    has_repositories = False

    def claims(self, source: str, path: Path) -> bool:
        return source.startswith("words:")

    def check(self, data: Data, folder: Path) -> None:
        if data.source == "words:":
            raise RecipeError("The source has no words.", where="key data.source", fix="add some")

    def locate(self, data: Data, folder: Path, console: Console) -> Path:
        (folder / "words.txt").write_text(data.source.removeprefix("words:"))
        return folder / "words.txt"

    def open(self, data: Data, path: Path) -> Source:
        return WordsSource(path.read_text().split("+"))

    def is_remote(self, source: str) -> bool:
        return "far" in source

    def local_path(self, source: str) -> str | None:
        return source.removeprefix("words:@") if "@" in source else None


class WordsSource:
    def __init__(self, words: list[str]) -> None:
        self._words = words

    def containers(self) -> tuple[FileDigest, ...]:
        return ()

    def samples(self) -> Iterator[Sample | Unusable]:
        for word in self._words:
            text = f"{word} = 1\n" * 20
            yield Sample(f"{word}.py", text, sha256_bytes(text.encode()), len(text), path=f"{word}.py")


@pytest.fixture
def write_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Adds the kind to the table, and writes a recipe with one source."""
    monkeypatch.setattr("starfreight.jobs.data.sources.kinds.KINDS", (WordsKind(), *KINDS))

    def write(source: str) -> Path:
        filters = {"near_duplicates": False}
        recipe = {
            "version": 1, "name": "words", "base": {"model": "builtin:starter"}, "run": {"gpus": 0},
            "data": [{"source": source, "license": "MIT", "filters": filters}],
        }  # fmt: skip
        path = tmp_path / "recipe.yaml"
        path.write_text(json.dumps(recipe))
        return path

    return write


def test_a_new_kind_is_checked_located_and_read_by_every_command(
    write_recipe: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "inspect", str(write_recipe("words:red+green+blue")), "--json", "-q"]) == 0
    (source,) = json.loads(capsys.readouterr().out)["sources"]
    assert source["found"] == 3
    assert main(["data", "inspect", str(write_recipe("words:"))]) == 2
    assert "The source has no words." in capsys.readouterr().err


def test_a_plan_reserves_disk_for_a_new_kind_that_is_fetched(write_recipe: Callable[[str], Path]) -> None:
    def disk(source: str) -> int:
        file = load_recipe(write_recipe(source))
        return plan_pod(file.recipe, file.folder).ephemeral_storage

    assert disk("words:far+away") == disk("words:near") + 10 * 2**30


def test_a_cluster_fetches_a_new_kind_and_refuses_its_local_paths(
    write_recipe: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    def render(source: str) -> int:
        image = "registry.test/trainer" + DIGEST
        return main(["jobs", "render", str(write_recipe(source)), "--image", image, "-q"])

    assert render("words:near") == 0
    assert "starfreight.jobs.data.fetch" not in capsys.readouterr().out
    assert render("words:far+away") == 0
    assert "starfreight.jobs.data.fetch" in capsys.readouterr().out
    assert render("words:@list.txt") == 2
    assert "'list.txt'" in capsys.readouterr().err


def test_parsing_sources_imports_no_heavy_library() -> None:
    heavy = ("torch", "transformers", "datasets", "pyarrow", "numpy", "oras", "requests", "huggingface_hub",
             "license_expression", "licenseclassifier", "starfreight.jobs.data.sources.git_command",
             "starfreight.jobs.data.sources.oci_cache")  # fmt: skip
    sources: Mapping[str, str] = {
        "git:https://code.test/a": "git", "dataset:a/b": "dataset", "a.parquet": "parquet",
        "oci://registry.test/a/b" + DIGEST: "oci", "python:json": "python", "./src": "folder",
    }  # fmt: skip
    program = f"""
import sys
from pathlib import Path
from starfreight.jobs.data.sources import kind_of
for source in {list(sources)!r}:
    kind = kind_of(source, Path("/nowhere") / source)
    kind.is_remote(source), kind.local_path(source)
print([name for name in {heavy!r} if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
