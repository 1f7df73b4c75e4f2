"""Nothing outside a directory of ours is touched, whatever links are in it, and whenever they appear."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from starfreight.directories import (
    delete,
    discard,
    move,
    open_directory,
    open_without_links,
    refuse_link,
    refuse_links_in,
)
from starfreight.directory_lock import LOCK_FILE, only_one
from starfreight.errors import InputError
from starfreight.files import PARTIAL_PREFIX, atomic_write, sweep_partials, write_bytes, write_json


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """A directory that is not ours."""
    folder = tmp_path / "foreign"
    (folder / "sub").mkdir(parents=True)
    for name in ("thesis.txt", "sub/key", f"{PARTIAL_PREFIX}theirs"):
        (folder / name).write_text(name)
    return folder


def untouched(folder: Path) -> bool:
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*")}
    return found == {"thesis.txt", "sub", "sub/key", f"{PARTIAL_PREFIX}theirs"} and all(
        (folder / name).read_text() == name for name in found - {"sub"}
    )


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def lock(path: Path, below: Path) -> None:
    with only_one(path, "working", below):
        raise AssertionError("the directory of somebody else was locked")


def write(path: Path, below: Path) -> None:
    write_bytes(path / "thesis.txt", b"ours", below)


@pytest.mark.parametrize(
    "act",
    [
        lambda path, below: delete(path / "thesis.txt", below),
        lambda path, below: delete(path / "sub", below),
        lambda path, below: move(path / "thesis.txt", path / "other.txt", below),
        lambda path, below: sweep_partials(path, below),
        lambda path, below: write_json(path / "thesis.txt", {}, below),
        lambda path, below: refuse_link(path, below),
        lambda path, below: refuse_link(path / "sub" / "key", below),
        lambda path, below: refuse_links_in(below),
        lock,
        write,
    ],
)
@pytest.mark.parametrize("place", ["work", "parent/work"])
def test_a_link_below_the_root_is_an_error_that_names_it(
    act: Callable[[Path, Path], object], place: str, tmp_path: Path, foreign: Path
) -> None:
    linked = tmp_path / "root" / place.split("/")[0]
    linked.parent.mkdir()
    if "/" in place:
        (foreign / "work").mkdir()
    linked.symlink_to(Path("..") / "foreign")
    with pytest.raises(InputError, match="symbolic link") as caught:
        act(tmp_path / "root" / place, tmp_path / "root")
    assert caught.value.exit_code == 2
    assert caught.value.where == f"{linked} -> ../foreign"
    assert caught.value.fix == "remove the link"
    if "/" in place:
        (foreign / "work").rmdir()
    assert untouched(foreign)
    assert names(linked.parent) == [linked.name]


def test_the_root_itself_may_be_a_link_of_the_users(tmp_path: Path) -> None:
    (tmp_path / "large-disk").mkdir()
    root = tmp_path / "runs"
    root.symlink_to("large-disk")
    write_bytes(root / "run" / "data" / "file", b"text", below=root)
    with only_one(root / "work", "working", below=root) as work:
        assert work.names() == [LOCK_FILE]
    assert (tmp_path / "large-disk/run/data/file").read_bytes() == b"text"
    refuse_link(root / "run", below=root)
    delete(root / "run", below=root)
    assert names(tmp_path / "large-disk") == ["work"]


def test_emptying_deletes_links_and_not_what_they_lead_to(tmp_path: Path, foreign: Path) -> None:
    work = tmp_path / "work"
    (work / "deep" / "er").mkdir(parents=True)
    (work / "file").write_text("x")
    (work / "kept").write_text("x")
    (work / "dangling").symlink_to("nowhere")
    for place in ("linked", "deep/linked", "deep/er/linked"):
        (work / place).symlink_to(foreign)
    (work / "linked-file").symlink_to(foreign / "thesis.txt")
    with open_directory(work, below=tmp_path) as directory:
        directory.empty(keep={"kept"})
    assert names(work) == ["kept"]
    assert untouched(foreign)


def test_a_link_in_the_place_of_a_file_is_replaced_or_deleted(tmp_path: Path, foreign: Path) -> None:
    for name in ("written", "deleted", f"{PARTIAL_PREFIX}swept"):
        (tmp_path / name).symlink_to(foreign / "thesis.txt")
    write_bytes(tmp_path / "written", b"ours", below=tmp_path)
    delete(tmp_path / "deleted", below=tmp_path)
    delete(tmp_path / "deleted", below=tmp_path)  # It may be missing.
    sweep_partials(tmp_path)
    assert untouched(foreign)
    assert names(tmp_path) == ["foreign", "written"]
    assert not (tmp_path / "written").is_symlink()


def test_a_file_is_never_opened_through_a_link(tmp_path: Path, foreign: Path) -> None:
    (tmp_path / "log").symlink_to(foreign / "thesis.txt")
    (tmp_path / "new").symlink_to(foreign / "made")
    for name in ("log", "new"):
        for mode in ("a", "w"):
            with (
                pytest.raises(InputError, match="symbolic link"),
                open(tmp_path / name, mode, opener=open_without_links),
            ):
                pass
    with (
        open_directory(tmp_path) as directory,
        pytest.raises(InputError, match="symbolic link"),
    ):
        directory.open("new", os.O_WRONLY | os.O_CREAT)
    assert untouched(foreign)


def swap(path: Path, foreign: Path) -> None:
    """What somebody else does between two steps of ours."""
    path.rename(path.with_name("moved"))
    path.symlink_to(foreign)


def test_a_directory_that_becomes_a_link_while_it_is_emptied_is_still_the_one_opened(
    tmp_path: Path, foreign: Path
) -> None:
    work = tmp_path / "work"
    write_bytes(work / "thesis.txt", b"ours")
    with open_directory(work, below=tmp_path) as directory:
        swap(work, foreign)
        directory.empty()
    assert untouched(foreign)
    assert names(tmp_path / "moved") == []


def test_a_directory_that_becomes_a_link_while_a_file_is_written_is_still_the_one_opened(
    tmp_path: Path, foreign: Path
) -> None:
    work = tmp_path / "work"
    work.mkdir()
    with atomic_write(work / "thesis.txt", below=tmp_path) as stream:
        stream.write(b"ours")
        swap(work, foreign)
    assert untouched(foreign)
    assert (tmp_path / "moved" / "thesis.txt").read_bytes() == b"ours"


def test_a_directory_that_becomes_a_link_while_it_is_locked_is_unlocked_elsewhere(
    tmp_path: Path, foreign: Path
) -> None:
    work = tmp_path / "work"
    (foreign / LOCK_FILE).write_text("theirs")
    with only_one(work, "working", below=tmp_path):
        swap(work, foreign)
    assert (foreign / LOCK_FILE).read_text() == "theirs"


def test_links_are_found_as_deep_as_we_write(tmp_path: Path) -> None:
    deep = tmp_path / "run" / "checkpoints" / "checkpoint-1" / "global_step1"
    deep.mkdir(parents=True)
    refuse_links_in(tmp_path / "run")
    refuse_links_in(tmp_path / "missing")
    (deep / "weights").symlink_to("/etc/hostname")
    with pytest.raises(InputError, match="symbolic link") as caught:
        refuse_links_in(tmp_path / "run")
    assert caught.value.where == f"{deep / 'weights'} -> /etc/hostname"


def test_clearing_up_reports_nothing(tmp_path: Path, foreign: Path) -> None:
    (tmp_path / "linked").symlink_to(foreign)
    discard(tmp_path / "linked" / "thesis.txt", below=tmp_path)
    discard(tmp_path / "missing" / "file", below=tmp_path)
    assert untouched(foreign)


def test_a_path_that_climbs_out_of_the_root_is_a_mistake_of_ours(tmp_path: Path) -> None:
    for path in (tmp_path / "root" / ".." / "foreign", tmp_path / "foreign"):
        with (
            pytest.raises(ValueError, match=re.escape(str(tmp_path))),
            open_directory(path, tmp_path / "root"),
        ):
            pass
