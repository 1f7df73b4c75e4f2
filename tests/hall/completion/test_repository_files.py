"""The files around a file."""

from __future__ import annotations

import os
from pathlib import Path

from starfreight.completion.repository_files import repository_of


def write(root: Path, *names: str, text: str = "x = 1\n") -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def test_imported_files_come_first_then_those_nearby(tmp_path: Path) -> None:
    root = tmp_path / "acme"
    write(
        root,
        "src/near.py",
        "src/deep/er/far.py",
        "lib/shapes.py",
        "lib/tools/__init__.py",
        "other.py",
        "a.js",
    )
    write(root, "src/main.py", text="from lib import shapes\nimport tools\n")
    write(root, ".git/x.py", "node_modules/y.py", "src/.hidden.py")
    write(tmp_path, "outside.py")
    found = repository_of(root / "src/main.py")
    assert (found.name, found.path) == ("acme", "src/main.py")
    assert [file.path for file in found.files] == [
        "lib/shapes.py", "lib/tools/__init__.py", "src/near.py", "other.py", "src/deep/er/far.py"
    ]  # fmt: skip


def test_without_a_repository_the_directory_is_taken(tmp_path: Path) -> None:
    write(tmp_path, "d/a.py", "d/b.py", "c.py")
    assert [file.path for file in repository_of(tmp_path / "d/a.py").files] == ["b.py"]
    assert repository_of(tmp_path / "d/a.py", tmp_path).path == "d/a.py"
    assert repository_of(tmp_path / "c.py", tmp_path / "d").path == "c.py"


def test_no_link_is_followed_and_no_large_or_binary_file_read(tmp_path: Path) -> None:
    root, outside = tmp_path / "r", tmp_path / "outside"
    write(outside, "secret.py", text="password = 1\n")
    write(root, ".git/x", "a.py", "empty.py", text="")
    write(root, "large.py", text="x" * (65 << 10))
    (root / "binary.py").write_bytes(b"\xff\xfe")
    (root / "link.py").symlink_to(outside / "secret.py")
    (root / "linked").symlink_to(outside)
    os.mkfifo(root / "pipe.py")
    assert repository_of(root / "a.py").files == ()


def test_a_very_large_tree_is_not_read_to_its_end(tmp_path: Path) -> None:
    write(tmp_path, ".git/x", "d/a.py", "d/b.py")
    for number in range(6000):
        (tmp_path / f"{number:04}.py").touch()
    assert [file.path for file in repository_of(tmp_path / "d/a.py").files] == ["d/b.py"]
