"""mypy and import-linter, as pyproject.toml sets them up, look into the rooms: planted faults are found."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
PACKAGES = ("starfreight", "images", "jobs", "packager")

PLANTED_IMPORTS = {
    # A room of another room.
    "jobs/data/filters/planted.py": "from starfreight.packager.layout import reader",
    "packager/press/planted.py": "def late():\n    import starfreight.images.build",
    "images/planted.py": "import starfreight.jobs.data",
    # The hall of a room; only its commands may.
    "starfreight/recipe/planted.py": "from starfreight.jobs import protocol",
    "starfreight/planted.py": "import starfreight.images.catalogue",
    "starfreight/commands/planted.py": "import starfreight.images.catalogue",
    # A training library outside jobs, but for kernels on a GPU.
    "packager/build/planted.py": "def late():\n    import torch",
    "starfreight/checkpoint/planted.py": "from transformers import AutoModel",
    "packager/press/kernels/tensors/planted.py": "import torch",
}
ALLOWED = {"starfreight/commands/planted.py", "packager/press/kernels/tensors/planted.py"}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the project's code, with links as links."""
    ignore = shutil.ignore_patterns("__pycache__", "*.safetensors")
    for name in PACKAGES:
        shutil.copytree(ROOT / name, tmp_path / name, symlinks=True, ignore=ignore)
    shutil.copy2(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def module_of(path: str) -> str:
    name = path.removesuffix(".py").replace("/", ".")
    return name if name.startswith("starfreight.") else f"starfreight.{name}"


def test_a_forbidden_import_is_found_in_each_room_and_in_the_hall(tree: Path) -> None:
    for path, text in PLANTED_IMPORTS.items():
        (tree / path).write_text(f"{text}\n")
    done = subprocess.run(
        [BIN / "lint-imports", "--no-cache"], cwd=tree, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 1, done.stdout + done.stderr
    broken = {line.strip() for line in done.stdout.splitlines() if line.rstrip().endswith("BROKEN")}
    assert len(broken) == 3, done.stdout
    for path in PLANTED_IMPORTS:
        assert (f"{module_of(path)} " in done.stdout) == (path not in ALLOWED), (path, done.stdout)


def test_a_type_error_is_found_in_each_room_and_in_the_hall(tmp_path: Path) -> None:
    # Of the code, only the packages that lead to the planted modules: all of it takes mypy a minute.
    planted = ["starfreight/planted.py", "images/planted.py", "jobs/data/filters/planted.py",
               "packager/press/kernels/planted.py"]  # fmt: skip
    (tmp_path / "starfreight").mkdir()
    for room in PACKAGES[1:]:
        (tmp_path / "starfreight" / room).symlink_to((ROOT / "starfreight" / room).readlink())
    for path in planted:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(
            'number: int = "text"\n\n\ndef untyped(argument):\n    return argument\n'
        )
        for package in Path(path).parents[:-1]:
            (tmp_path / package / "__init__.py").touch()
    shutil.copy2(ROOT / "pyproject.toml", tmp_path)
    done = subprocess.run(
        [BIN / "mypy", "--cache-dir", tmp_path / "cache"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    for path in planted:
        seen = f"starfreight/{path.removeprefix('starfreight/')}"
        assert f"{seen}:1: error: Incompatible types in assignment" in done.stdout, done.stdout
        assert f"{seen}:4: error: Function is missing a type annotation" in done.stdout, done.stdout
