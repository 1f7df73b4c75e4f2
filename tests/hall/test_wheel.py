"""What `pip install` brings."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from starfreight.recipe.schema import SCHEMA_FILE

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The files of a wheel that is built from what git would hand out."""
    folder = tmp_path_factory.mktemp("wheel")
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            target = folder / "source" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((ROOT / name).read_bytes())
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, "./source"],
        cwd=folder, check=True,
    )  # fmt: skip
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_the_data_files_are_in_it(names: set[str]) -> None:
    assert {
        f"starfreight/recipe/{SCHEMA_FILE.name}",
        "starfreight/commands/sample/recipe.yaml",
        "starfreight/commands/sample/quickstart.yaml",
        "starfreight/commands/sample/pairs.jsonl",
        "starfreight/commands/sample/code/money.py",
        "images/trainer/Dockerfile",
        "images/trainer/requirements.txt",
        "images/packager/Dockerfile",
        "packager/card/card.md.jinja",
        "starfreight/py.typed",
        "jobs/backends/kubernetes/manifests/templates/job.yaml",
        "jobs/backends/kubernetes/manifests/templates/recipe.yaml",
    } <= names
    folder = ROOT / "starfreight" / "starter"
    assert {f"starfreight/starter/{path.name}" for path in folder.iterdir()} <= names


def test_every_module_is_in_it_and_no_test(names: set[str]) -> None:
    rooms = ("starfreight", "images", "jobs", "packager")
    modules = {path.relative_to(ROOT).as_posix() for room in rooms for path in (ROOT / room).rglob("*.py")}
    assert modules <= names
    assert {name.split("/")[0] for name in names if name.endswith(".py")} == set(rooms)


def test_no_package_takes_the_name_of_the_kubernetes_client(names: set[str]) -> None:
    assert not [name for name in names if name.startswith("kubernetes")]
    assert not (ROOT / "kubernetes" / "__init__.py").exists()
