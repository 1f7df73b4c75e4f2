"""A directory of code: the files read, left out and refused, and their order."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from starfreight.cli import main
from starfreight.console import Console
from starfreight.errors import InputError, RecipeError
from starfreight.files import sha256_bytes
from starfreight.jobs.data.sources import Sample, check_source, locate_source, open_source
from starfreight.jobs.data.sources.text_files import MAX_FILE_BYTES
from starfreight.recipe import Data

Read = Callable[..., tuple[list[Sample], dict[str, str]]]
Write = Callable[[Path, Mapping[str, bytes | str]], Path]

CODE = "x = 1\n"


def names(found: tuple[list[Sample], dict[str, str]]) -> list[str]:
    return [sample.name for sample in found[0]]


def test_what_is_no_code_is_left_out_and_named(tmp_path: Path, read_source: Read, write_tree: Write) -> None:
    write_tree(
        tmp_path,
        {
            "good.py": CODE, "deep/er/good.py": CODE, "image.png": b"\x89PNG\0\0",
            "latin.py": b"name = '\xe9'\n", "empty.py": b" \n\n", "huge.py": b"x" * (MAX_FILE_BYTES + 1),
            "largest.py": b"x" * MAX_FILE_BYTES,
            "model.bin": "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n",
        },
    )  # fmt: skip
    (tmp_path / "link.py").symlink_to("good.py")
    (tmp_path / "loop.py").symlink_to("loop.py")
    (tmp_path / "up").symlink_to("deep")
    os.mkfifo(tmp_path / "pipe.py")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.py")).write_text(CODE)
    (tmp_path / "new\nline").mkdir()
    (tmp_path / "new\nline/x.py").write_text(CODE)
    found = read_source(tmp_path)
    assert names(found) == ["deep/er/good.py", "good.py", "largest.py"]
    assert found[1] == {
        "image.png": "binary", "latin.py": "not UTF-8", "empty.py": "empty", "huge.py": "larger than 1 MiB",
        "link.py": "symbolic link", "loop.py": "symbolic link", "up": "symbolic link",
        "\\udcff.py": "name not text", "new\\nline/": "name not text", "model.bin": "Git LFS pointer",
    }  # fmt: skip


def test_a_file_is_known_by_its_bytes_its_path_and_its_repository(
    tmp_path: Path, read_source: Read, write_tree: Write
) -> None:
    content = "# caf\u00e9\r\nx = 1"
    (sample,) = read_source(write_tree(tmp_path / "shop", {"src/a.py": content}))[0]
    encoded = content.encode()
    assert sample == Sample(
        "src/a.py", content, sha256_bytes(encoded), len(encoded), path="src/a.py", repository="shop"
    )


def test_hidden_files_and_what_tools_install_are_not_looked_at(
    tmp_path: Path, read_source: Read, write_tree: Write
) -> None:
    hidden = (".env", ".git/config", "node_modules/a/index.js", "src/__pycache__/a.py", "src/.venv/b.py")
    write_tree(tmp_path, {"good.py": CODE, **dict.fromkeys(hidden, CODE)})
    assert read_source(tmp_path)[1] == {}
    assert names(read_source(tmp_path)) == ["good.py"]


def test_include_and_exclude_are_patterns_on_the_path_or_the_name(
    tmp_path: Path, read_source: Read, write_tree: Write
) -> None:
    files = ("a.py", "a_test.py", "src/b.py", "src/c.js", "docs/d.md", "docs/deep/e.md")
    write_tree(tmp_path, dict.fromkeys(files, CODE))
    assert names(read_source(tmp_path, include=("*.py",), exclude=("*_test.py",))) == ["a.py", "src/b.py"]
    assert names(read_source(tmp_path, include=("docs/*",))) == ["docs/d.md", "docs/deep/e.md"]
    assert names(read_source(tmp_path, exclude=("src/*", "docs/*"))) == ["a.py", "a_test.py"]


def test_the_order_is_that_of_the_whole_paths(tmp_path: Path, read_source: Read, write_tree: Write) -> None:
    files = ("a/x", "a-b/x", "a.b", "a0/x", "b/c-d", "b/c/d", "b/c.d", "B/x", "\u00e9/x", "z", "\U0001f600")
    write_tree(tmp_path, dict.fromkeys(files, CODE))
    found = names(read_source(tmp_path))
    assert found == sorted(found)
    assert len(found) == len(files)
    assert found.index("a-b/x") < found.index("a.b") < found.index("a/x") < found.index("a0/x")


@pytest.mark.parametrize("target", ["/etc/hostname", "../secret.py", ".."])
def test_a_link_that_leaves_the_folder_is_refused_by_name(
    tmp_path: Path, target: str, read_source: Read, write_tree: Write
) -> None:
    folder = tmp_path / "code"
    write_tree(tmp_path, {"secret.py": CODE, "code/good.py": CODE})
    (folder / "evil.py").symlink_to(target)
    with pytest.raises(InputError, match="leads out") as caught:
        read_source(folder)
    assert caught.value.where == f"{folder / 'evil.py'} -> {target}"
    assert names(read_source(folder, exclude=("evil.py",))) == ["good.py"]


def test_the_folder_itself_may_be_a_link(tmp_path: Path, write_tree: Write) -> None:
    write_tree(tmp_path / "code", {"good.py": CODE})
    (tmp_path / "link").symlink_to("code")
    path = locate_source(Data(source="./link"), tmp_path, Console(quiet=True))
    (sample,) = open_source(Data(source="./link"), path).samples()
    assert sample.name == "good.py"


def test_a_tree_deeper_than_pythons_stack_is_read(tmp_path: Path, read_source: Read) -> None:
    home = Path.cwd()
    try:
        os.chdir(tmp_path)
        for _ in range(1200):
            Path("d").mkdir()
            os.chdir("d")
        Path("good.py").write_text(CODE)
        assert names(read_source(tmp_path)) == ["d/" * 1200 + "good.py"]
    finally:
        Path("good.py").unlink()
        while Path.cwd() != tmp_path:  # pytest's own cleaning up would not get to the bottom of it.
            os.chdir("..")
            Path("d").rmdir()
        os.chdir(home)


def test_memory_does_not_grow_with_the_folder(tmp_path: Path) -> None:
    program = f"""
import resource, sys
from pathlib import Path
from starfreight.jobs.data.sources import open_source
from starfreight.recipe import Data
folder = Path({str(tmp_path)!r})
def write(count):
    for number in range(count):
        (folder / f"{{number:04}}.py").write_text(str(number) * 100_000)
def read():
    return sum(sample.size for sample in open_source(Data(source="x"), folder).samples())
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
write(10)
read()
before = peak()
write(400)
assert read() > 100 << 20
print(peak() - before)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 16


def test_each_folder_may_be_a_repository_with_its_own_license(
    tmp_path: Path, read_source: Read, write_tree: Write, license_texts: Mapping[str, str]
) -> None:
    write_tree(
        tmp_path / "all",
        {
            "one-b/a.py": CODE, "one/b.py": CODE, "one/LICENSE": license_texts["MIT"], "one/src/c.py": CODE,
            "two/a.py": CODE, "loose.py": CODE,
        },
    )  # fmt: skip
    samples, unusable = read_source(tmp_path / "all", repositories="subfolders", include=("*.py",))
    assert [(each.name, each.repository, each.path, each.license) for each in samples] == [
        ("one-b/a.py", "one-b", "a.py", None),
        ("one/b.py", "one", "b.py", "MIT"),
        ("one/src/c.py", "one", "src/c.py", "MIT"),
        ("two/a.py", "two", "a.py", None),
    ]
    assert unusable == {"loose.py": "in no repository"}


def test_a_license_that_is_a_link_is_not_read(
    tmp_path: Path, read_source: Read, write_tree: Write, license_texts: Mapping[str, str]
) -> None:
    write_tree(tmp_path, {"code/a.py": CODE, "MIT": license_texts["MIT"]})
    (tmp_path / "code/LICENSE").symlink_to("../MIT")
    assert read_source(tmp_path / "code", include=("*.py",))[0][0].license is None


def test_a_folder_that_cannot_be_read_is_refused(read_source: Read, write_tree: Write) -> None:
    nobody = 65534
    with tempfile.TemporaryDirectory() as work:  # pytest's own folders are shut to all but their owner.
        tmp_path = Path(work)
        tmp_path.chmod(0o755)
        write_tree(tmp_path, {"good.py": CODE, "shut/a.py": CODE})
        (tmp_path / "shut").chmod(0)
        was = os.geteuid()
        try:
            if was == 0:  # To root nothing is shut.
                os.seteuid(nobody)
            with pytest.raises(InputError, match="cannot be read") as caught:
                read_source(tmp_path)
        finally:
            os.seteuid(was)
            (tmp_path / "shut").chmod(0o755)
    assert caught.value.where == str(tmp_path / "shut")


def test_the_source_of_an_installed_package_is_found_without_importing_it(
    tmp_path: Path, read_source: Read
) -> None:
    path = locate_source(Data(source="python:click"), tmp_path, Console(quiet=True))
    found = read_source(path, "python:click", include=("*.py",))
    assert "core.py" in names(found)
    assert {(sample.repository, sample.license) for sample in found[0]} == {("click", "BSD-3-Clause")}


@pytest.mark.parametrize("name", ["no_such_package", "os.path", "", "../etc", "bisect", "os; import x"])
def test_what_is_no_installed_package_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="No package"):
        locate_source(Data(source=f"python:{name}"), tmp_path, Console(quiet=True))


def test_a_source_that_is_not_there_is_refused_with_where_it_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="does not exist") as caught:
        check_source(Data(source="./none"), tmp_path)
    assert str(tmp_path / "none") in str(caught.value.where)


@pytest.mark.parametrize("source", ["python:click", "./a.jsonl"])
def test_only_a_folder_has_repositories_in_it(tmp_path: Path, source: str) -> None:
    (tmp_path / "a.jsonl").write_text("{}\n")
    with pytest.raises(RecipeError, match="not a directory of repositories"):
        check_source(Data(source=source, repositories="subfolders"), tmp_path)


def test_bad_data_ends_the_command_with_exit_code_2_before_a_run_is_made(
    write_job: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = write_job()
    (tmp_path / "code/evil").symlink_to("/etc")
    assert main(["jobs", "run", str(recipe), "--runs", str(tmp_path / "runs")]) == 2
    assert "evil -> /etc" in capsys.readouterr().err
    assert not list((tmp_path / "runs").glob("*/run.json"))
