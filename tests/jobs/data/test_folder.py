"""A folder of code: what is taken from it, what is left out, and what is refused."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from jobs.data.sources import Listing, locate_source, open_source
from jobs.data.sources.folder import MAX_FILE_BYTES
from jobs.data.sources.interface import held_out_names
from starfreight.cli import main
from starfreight.errors import InputError, RecipeError
from starfreight.recipe import Data


def listing(folder: Path, **rules: object) -> Listing:
    data = Data.model_validate_json(Data(source=".").model_copy(update=rules).model_dump_json())
    return open_source(data, folder).list_files()


def names(found: Listing) -> list[str]:
    return [file.path for file in found.files]


def write(path: Path, data: bytes = b"x = 1\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def test_what_is_no_code_is_left_out_and_counted(tmp_path: Path) -> None:
    write(tmp_path / "good.py")
    write(tmp_path / "deep/er/good.py")
    write(tmp_path / "image.png", b"\x89PNG\0\0")
    write(tmp_path / "latin.py", b"name = '\xe9'\n")
    write(tmp_path / "empty.py", b" \n\n")
    write(tmp_path / "huge.py", b"x" * (MAX_FILE_BYTES + 1))
    write(tmp_path / "largest.py", b"x" * MAX_FILE_BYTES)
    (tmp_path / "link.py").symlink_to("good.py")
    (tmp_path / "loop.py").symlink_to("loop.py")
    (tmp_path / "up").symlink_to("deep")
    os.mkfifo(tmp_path / "pipe.py")
    write(Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.py")))
    found = listing(tmp_path)
    assert names(found) == ["deep/er/good.py", "good.py", "largest.py"]
    assert found.left_out == {
        "binary": 1, "not UTF-8": 1, "empty": 1, "larger than 1 MiB": 1, "symbolic link": 3,
        "name not text": 1,
    }  # fmt: skip


def test_hidden_files_and_what_tools_install_are_not_looked_at(tmp_path: Path) -> None:
    write(tmp_path / "good.py")
    for name in (".env", ".git/config", "node_modules/a/index.js", "src/__pycache__/a.py", "src/.venv/b.py"):
        write(tmp_path / name)
    assert names(listing(tmp_path)) == ["good.py"]
    assert listing(tmp_path).left_out == {}


def test_include_and_exclude_are_patterns_on_the_path_or_the_name(tmp_path: Path) -> None:
    for name in ("a.py", "a_test.py", "src/b.py", "src/c.js", "docs/d.md", "docs/deep/e.md"):
        write(tmp_path / name)
    assert names(listing(tmp_path, include=("*.py",), exclude=("*_test.py",))) == ["a.py", "src/b.py"]
    assert names(listing(tmp_path, include=("docs/*",))) == ["docs/d.md", "docs/deep/e.md"]
    assert names(listing(tmp_path, exclude=("src/*", "docs/*"))) == ["a.py", "a_test.py"]


@pytest.mark.parametrize("inside", [{}, {"image.png": b"\0"}, {".hidden.py": b"x"}])
def test_a_folder_without_a_text_file_is_refused(tmp_path: Path, inside: dict[str, bytes]) -> None:
    for name, data in inside.items():
        write(tmp_path / name, data)
    with pytest.raises(InputError) as caught:
        listing(tmp_path)
    assert "no text file" in caught.value.what
    assert ("1 binary" in caught.value.what) == ("image.png" in inside)
    assert caught.value.where == str(tmp_path)


@pytest.mark.parametrize("target", ["/etc/hostname", "../secret.py", ".."])
def test_a_link_that_leaves_the_folder_is_refused_by_name(tmp_path: Path, target: str) -> None:
    folder = tmp_path / "code"
    write(tmp_path / "secret.py")
    write(folder / "good.py")
    (folder / "evil.py").symlink_to(target)
    with pytest.raises(InputError, match="leads out") as caught:
        listing(folder)
    assert caught.value.where == f"{folder / 'evil.py'} -> {target}"
    assert names(listing(folder, exclude=("evil.py",))) == ["good.py"]


def test_the_folder_itself_may_be_a_link(tmp_path: Path) -> None:
    write(tmp_path / "code/good.py")
    (tmp_path / "link").symlink_to("code")
    path = locate_source(Data(source="./link"), tmp_path)
    assert names(open_source(Data(source="./link"), path).list_files()) == ["good.py"]


def test_a_tree_deeper_than_pythons_stack_is_read(tmp_path: Path) -> None:
    home = Path.cwd()
    try:
        os.chdir(tmp_path)
        for _ in range(1200):
            Path("d").mkdir()
            os.chdir("d")
        Path("good.py").write_text("x = 1\n")
        assert names(listing(tmp_path)) == ["d/" * 1200 + "good.py"]
    finally:
        Path("good.py").unlink()
        while Path.cwd() != tmp_path:  # pytest's own cleaning up would not get to the bottom of it.
            os.chdir("..")
            Path("d").rmdir()
        os.chdir(home)


def test_which_files_are_held_out_depends_on_their_names_only() -> None:
    files = [f"file_{number}.py" for number in range(100)]
    apart = held_out_names(files, 0.1)
    assert len(apart) == 10
    assert held_out_names(files[::-1], 0.1) == apart
    assert held_out_names(files[:1], 0.5) == frozenset()
    assert len(held_out_names(files[:2], 0.01)) == 1
    assert len(held_out_names(files[:2], 1.0)) == 1
    assert held_out_names(files, 0) == frozenset()
    assert apart < held_out_names(files, 0.2)


def test_a_file_is_either_learned_or_held_out(tmp_path: Path) -> None:
    for number in range(10):
        write(tmp_path / f"{number}.py", b"x = %d\n" % number)
    found = listing(tmp_path, held_out=0.3)
    assert [file.split for file in found.files].count("held_out") == 3
    assert listing(tmp_path, held_out=0.3) == found
    samples = list(open_source(Data(source="."), tmp_path).samples(found.files))
    assert [(s.name, s.split) for s in samples] == [(f.path, f.split) for f in found.files]


@pytest.mark.parametrize("change", [b"y = 2\n", None])
def test_a_file_that_changed_after_it_was_listed_is_refused(tmp_path: Path, change: bytes | None) -> None:
    path = write(tmp_path / "a.py")
    files = listing(tmp_path).files
    path.unlink()
    if change is not None:
        path.write_bytes(change)
    with pytest.raises(InputError, match="changed since") as caught:
        list(open_source(Data(source="."), tmp_path).samples(files))
    assert caught.value.where == str(path)


def test_the_source_of_an_installed_package_is_found_without_importing_it(tmp_path: Path) -> None:
    (tmp_path / "sitecustom_probe").mkdir()
    data = Data(source="python:click", include=("*.py",))
    path = locate_source(data, tmp_path)
    assert "core.py" in names(open_source(data, path).list_files())


@pytest.mark.parametrize("name", ["no_such_package", "os.path", "", "../etc", "bisect", "os; import x"])
def test_what_is_no_installed_package_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="No package"):
        locate_source(Data(source=f"python:{name}"), tmp_path)


def test_a_source_that_is_not_there_is_refused_with_where_it_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="does not exist") as caught:
        locate_source(Data(source="./none"), tmp_path)
    assert str(tmp_path / "none") in str(caught.value.where)


def test_bad_data_ends_the_command_with_exit_code_2_before_a_run_is_made(
    write_job: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = write_job()
    (tmp_path / "code/evil").symlink_to("/etc")
    assert main(["jobs", "run", str(recipe), "--runs", str(tmp_path / "runs")]) == 2
    assert "evil -> /etc" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()
