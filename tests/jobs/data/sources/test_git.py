"""A git repository at a commit: real repositories, read by real git, without a checkout."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from starfreight.console import Console
from starfreight.errors import InputError, RecipeError, ServiceError
from starfreight.files import sha256_bytes
from starfreight.jobs.data.sources import Sample, check_source, locate_source, open_source
from starfreight.recipe import Data
from starfreight.user_cache import cache_folder

Read = Callable[..., tuple[list[Sample], dict[str, str]]]
Commit = Callable[[Path, Mapping[str, bytes | str]], str]
Git = Callable[..., str]
FILES: dict[str, bytes | str] = {
    "a-b/x.py": "1\n", "a.b": "2\n", "a/x.py": "3\r\n", "a0/x.py": "caf\u00e9\n", "\u00e9.py": "5\n",
    "empty.py": " \n", "image.png": b"\0", "latin.py": b"\xe9\n", "huge.py": b"x" * ((1 << 20) + 1),
    "model.bin": "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n",
    "node_modules/x.js": "6\n", ".hidden/x.py": "7\n",
}  # fmt: skip


def test_a_commit_gives_what_a_folder_of_its_files_gives(
    tmp_path: Path, commit_tree: Commit, read_git: Read, read_source: Read, license_texts: Mapping[str, str]
) -> None:
    files = FILES | {"LICENSE": license_texts["MIT"]}
    commit = commit_tree(tmp_path / "shop", files)
    samples, unusable = read_git("./shop", commit, tmp_path)
    assert {(each.repository, each.commit, each.license) for each in samples} == {("shop", commit, "MIT")}
    in_folder, left_out = read_source(tmp_path / "shop")
    assert [(each.name, each.digest, each.content, each.path) for each in samples] == [
        (each.name, each.digest, each.content, each.path) for each in in_folder
    ]
    assert unusable == left_out
    assert len(samples) == 6
    assert len(unusable) == 5


def test_the_commit_counts_not_what_lies_beside_it(
    tmp_path: Path, commit_tree: Commit, read_git: Read
) -> None:
    first = commit_tree(tmp_path / "r", {"a.py": "1\n"})
    commit_tree(tmp_path / "r", {"a.py": "2\n", "b.py": "2\n"})
    (tmp_path / "r/a.py").write_text("not committed\n")
    assert [(each.name, each.content) for each in read_git("./r", first, tmp_path)[0]] == [("a.py", "1\n")]


def test_no_filter_hook_or_submodule_of_the_repository_is_run(
    tmp_path: Path, commit_tree: Commit, read_git: Read, git: Git
) -> None:
    mark = tmp_path / "was-run"
    folder = tmp_path / "r"
    commit_tree(folder, {"a.py": "x\n", ".gitattributes": "* filter=evil\n"})
    git(folder, "config", "--global", "filter.evil.smudge", f"touch {mark}; cat")
    for name in ("post-checkout", "reference-transaction", "post-index-change", "pre-auto-gc"):
        for home in (folder / ".git/hooks", tmp_path / "hooks"):
            home.mkdir(exist_ok=True)
            (home / name).write_text(f"#!/bin/sh\ntouch {mark}\n")
            (home / name).chmod(0o755)
    git(folder, "update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},module")
    (folder / "link.py").symlink_to("/etc/passwd")
    git(folder, "add", "link.py")
    git(folder, "-c", "core.hooksPath=/dev/null", "commit", "-q", "-m", "x")
    commit = git(folder, "rev-parse", "HEAD")
    mark.unlink(missing_ok=True)
    git(folder, "config", "--global", "core.hooksPath", str(tmp_path / "hooks"))
    git(folder, "config", "--global", "core.fsmonitor", f"touch {mark}")
    samples, unusable = read_git("./r", commit, tmp_path)
    assert [each.name for each in samples] == ["a.py"]
    assert unusable == {"link.py": "symbolic link", "module": "submodule"}
    assert not mark.exists()


def test_names_that_are_no_text_are_left_out(
    tmp_path: Path, git: Git, commit_tree: Commit, read_git: Read
) -> None:
    commit_tree(tmp_path / "r", {"a.py": "x\n"})
    blob = git(tmp_path / "r", "rev-parse", "HEAD:a.py")
    names = (b"a\nb", b"a\tb", b"\xff", b"ok")
    lines = b"".join(f"100644 blob {blob}\t".encode() + name + b"\0" for name in names)
    tree = git(tmp_path / "r", "mktree", "-z", given=lines)
    commit = git(tmp_path / "r", "commit-tree", tree, "-m", "x")
    samples, unusable = read_git("./r", commit, tmp_path)
    assert [each.name for each in samples] == ["ok"]
    assert unusable == dict.fromkeys(("a\\tb", "a\\nb", "\\udcff"), "name not text")


def test_a_repository_is_fetched_once_and_is_there_when_its_origin_is_gone(
    tmp_path: Path, commit_tree: Commit, read_git: Read
) -> None:
    commit = commit_tree(tmp_path / "r", {"a.py": "x\n"})
    found = read_git("./r", commit, tmp_path)
    (tmp_path / "r").rename(tmp_path / "gone")
    (tmp_path / "r").mkdir()
    assert read_git("./r", commit, tmp_path) == found
    assert [path.suffix for path in sorted(cache_folder("git").iterdir())] == [".git", ".lock"]


@pytest.mark.parametrize("source", ["file://{}", "{}", "{}/.git"])
def test_a_local_repository_is_named_as_a_url_or_a_path(
    source: str, tmp_path: Path, commit_tree: Commit, read_git: Read
) -> None:
    commit = commit_tree(tmp_path / "r", {"a.py": "x\n"})
    (sample,) = read_git(source.format(tmp_path / "r"), commit, tmp_path)[0]
    assert (sample.repository, sample.digest) == ("r", sha256_bytes(b"x\n"))


def test_a_server_that_gives_no_single_commit_is_asked_for_all(
    tmp_path: Path, git: Git, commit_tree: Commit, read_git: Read, serve_folder: Callable[[Path], str]
) -> None:
    first = commit_tree(tmp_path / "r", {"a.py": "1\n"})
    commit_tree(tmp_path / "r", {"a.py": "2\n"})
    git(tmp_path, "clone", "-q", "--bare", "r", "served/org/r.git")
    git(tmp_path / "served/org/r.git", "update-server-info")  # The "dumb" protocol: plain files.
    git(
        tmp_path,
        "config",
        "--global",
        f"url.{serve_folder(tmp_path / 'served')}.insteadOf",
        "https://code.test/",
    )
    (sample,) = read_git("https://code.test/org/r.git", first, tmp_path)[0]
    assert (sample.content, sample.repository) == ("1\n", "org/r")
    with pytest.raises(RecipeError, match="does not have this commit"):
        read_git("https://code.test/org/r.git", "1" * 40, tmp_path)
    with pytest.raises(InputError, match="does not exist or cannot be accessed") as caught:
        read_git("https://code.test/org/other.git", first, tmp_path)
    assert caught.value.where == f"org/other at {first}"


def test_only_the_commit_is_fetched_where_the_server_can_do_that(
    tmp_path: Path, git: Git, commit_tree: Commit
) -> None:
    first = commit_tree(tmp_path / "r", {"a.py": "1\n"})
    second = commit_tree(tmp_path / "r", {"a.py": "2\n"})
    path = locate_source(Data(source="git:./r", revision=second), tmp_path, Console(quiet=True))
    assert subprocess.run(["git", f"--git-dir={path}", "cat-file", "-e", first], check=False).returncode != 0


@pytest.mark.parametrize("what", ["unknown", "tree", "blob", "tag"])
def test_a_revision_that_is_no_commit_is_refused_and_nothing_is_kept(
    what: str, tmp_path: Path, git: Git, commit_tree: Commit
) -> None:
    commit_tree(tmp_path / "r", {"a.py": "1\n"})
    git(tmp_path / "r", "tag", "-a", "v1", "-m", "x")
    names = {"tree": "HEAD^{tree}", "blob": "HEAD:a.py", "tag": "v1"}
    revision = git(tmp_path / "r", "rev-parse", names[what]) if what in names else "1" * 40
    with pytest.raises(RecipeError, match="does not have this commit") as caught:
        locate_source(Data(source="git:./r", revision=revision), tmp_path, Console(quiet=True))
    assert caught.value.exit_code == 2
    assert [path.suffix for path in cache_folder("git").iterdir()] == [".lock"]


def test_damaged_objects_of_a_repository_are_noticed_when_it_is_fetched(
    tmp_path: Path, git: Git, commit_tree: Commit
) -> None:
    commit = commit_tree(tmp_path / "r", {"a.py": "1\n"})
    blob = git(tmp_path / "r", "rev-parse", "HEAD:a.py")
    other = git(tmp_path / "r", "hash-object", "-w", "--stdin", given=b"something else\n")
    objects = tmp_path / "r/.git/objects"
    path = objects / blob[:2] / blob[2:]
    path.chmod(0o644)
    path.write_bytes((objects / other[:2] / other[2:]).read_bytes())
    with pytest.raises((ServiceError, InputError)):
        locate_source(Data(source="git:./r", revision=commit), tmp_path, Console(quiet=True))
    assert [path.suffix for path in cache_folder("git").iterdir()] == [".lock"]


def test_a_tree_that_no_git_would_write_is_refused(tmp_path: Path, git: Git, commit_tree: Commit) -> None:
    commit_tree(tmp_path / "r", {"a.py": "1\n"})
    blob = bytes.fromhex(git(tmp_path / "r", "rev-parse", "HEAD:a.py"))
    content = b"100644 ..\0" + blob
    tree = git(tmp_path / "r", "hash-object", "-t", "tree", "-w", "--literally", "--stdin", given=content)
    commit = git(tmp_path / "r", "commit-tree", tree, "-m", "x")
    with pytest.raises(ServiceError, match="could not be fetched"):
        locate_source(Data(source="git:./r", revision=commit), tmp_path, Console(quiet=True))


def test_a_cached_repository_that_was_damaged_is_refused_with_what_to_do(
    tmp_path: Path, commit_tree: Commit
) -> None:
    data = Data(source="git:./r", revision=commit_tree(tmp_path / "r", {"a.py": "1\n"}))
    path = locate_source(data, tmp_path, Console(quiet=True))
    shutil.rmtree(path / "objects")
    (path / "objects").mkdir()
    with pytest.raises(InputError, match="cached git repository") as caught:
        list(open_source(data, path).samples())
    assert "delete" in str(caught.value.fix)


def test_a_fetch_that_was_killed_leaves_nothing_under_the_final_name_and_is_done_again(
    tmp_path: Path, git: Git, commit_tree: Commit, read_git: Read
) -> None:
    commit = commit_tree(tmp_path / "r", {f"{number}.py": f"{number}\n" * 999 for number in range(200)})
    git(tmp_path, "config", "--global", "core.compression", "9")
    program = f"""
from pathlib import Path
from starfreight.jobs.data.sources import locate_source
from starfreight.console import Console
from starfreight.recipe import Data
locate_source(Data(source="git:./r", revision={commit!r}), Path({str(tmp_path)!r}), Console(quiet=True))
"""
    process = subprocess.Popen([sys.executable, "-c", program])
    end = time.monotonic() + 60
    while not list(cache_folder("git").glob(".partial-*")):
        assert time.monotonic() < end
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not list(cache_folder("git").glob("[!.]*.git"))
    assert len(read_git("./r", commit, tmp_path)[0]) == 200
    assert not list(cache_folder("git").glob(".partial-*"))


def test_a_surrounding_git_command_does_not_mislead(
    tmp_path: Path, commit_tree: Commit, read_git: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = commit_tree(tmp_path / "r", {"a.py": "1\n"})
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY"):
        monkeypatch.setenv(name, str(tmp_path / "elsewhere"))
    assert len(read_git("./r", commit, tmp_path)[0]) == 1


def test_without_git_the_error_says_what_to_install(
    tmp_path: Path, commit_tree: Commit, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = commit_tree(tmp_path / "r", {"a.py": "1\n"})
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RecipeError, match="git is not installed") as caught:
        locate_source(Data(source="git:./r", revision=commit), tmp_path, Console(quiet=True))
    assert "install git" in str(caught.value.fix)


def test_a_server_that_is_not_there_is_exit_code_4(tmp_path: Path, git: Git) -> None:
    git(tmp_path, "config", "--global", "url.http://127.0.0.1:9/.insteadOf", "https://code.test/")
    with pytest.raises(ServiceError, match="could not be fetched") as caught:
        locate_source(
            Data(source="git:https://code.test/a/b", revision="1" * 40), tmp_path, Console(quiet=True)
        )
    assert caught.value.exit_code == 4
    assert "same command again" in str(caught.value.fix)


def test_a_plan_fetches_nothing(tmp_path: Path, git: Git) -> None:
    check_source(Data(source="git:https://code.test/a/b", revision="1" * 40), tmp_path)
    assert not cache_folder("git").exists()
    with pytest.raises(RecipeError, match="no revision"):
        check_source(Data(source="git:https://code.test/a/b"), tmp_path)
