"""What `pip install` brings, however it is installed."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from starfreight import __version__
from starfreight.recipe.schema import SCHEMA_FILE

ROOT = Path(__file__).parents[2]
ROOMS = ("images", "jobs", "packager")
SCRIPT = f"starfreight-{__version__}.data/scripts/starfreight"


def names_in(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


@pytest.fixture(scope="module")
def names(own_wheel: Path) -> set[str]:
    """The files of a wheel that is built from what git would hand out."""
    return names_in(own_wheel)


def test_the_rooms_are_links_at_the_top_of_the_package() -> None:
    for room in ROOMS:
        link = ROOT / "starfreight" / room
        assert link.is_symlink() and str(link.readlink()) == f"../{room}"


def test_the_data_files_are_in_it(names: set[str]) -> None:
    assert {
        f"starfreight/recipe/{SCHEMA_FILE.name}",
        "starfreight/commands/sample/recipe.yaml",
        "starfreight/commands/sample/quickstart.yaml",
        "starfreight/commands/sample/pairs.jsonl",
        "starfreight/commands/sample/code/money.py",
        "starfreight/docs/json-outputs.json",
        "starfreight/docs/tutorial.md",
        "starfreight/examples/kubernetes/openshift.yaml",
        "starfreight/images/trainer/Dockerfile",
        "starfreight/images/trainer/requirements.txt",
        "starfreight/images/packager/Dockerfile",
        "starfreight/packager/bom/spdx-3.28.0.txt",
        "starfreight/packager/card/card.md.jinja",
        "starfreight/packager/card/hub_licenses.txt",
        "starfreight/py.typed",
        "starfreight/jobs/backends/kubernetes/manifests/templates/job.yaml",
        "starfreight/jobs/backends/kubernetes/manifests/templates/recipe.yaml",
        "starfreight/kubernetes/README.md",
        "starfreight/kubernetes/base/kustomization.yaml",
    } <= names
    folder = ROOT / "starfreight" / "starter"
    assert {f"starfreight/starter/{path.name}" for path in folder.iterdir()} <= names


def test_every_module_is_in_it_and_no_test(names: set[str]) -> None:
    hall = {path.relative_to(ROOT).as_posix() for path in (ROOT / "starfreight").rglob("*.py")}
    modules = {
        f"starfreight/{path.relative_to(ROOT)}" for room in ROOMS for path in (ROOT / room).rglob("*.py")
    }
    assert len(modules) > 200 and not modules & hall
    assert {name for name in names if name.endswith(".py")} == modules | hall


def test_the_command_is_a_script_that_pip_points_at_its_python(own_wheel: Path) -> None:
    with zipfile.ZipFile(own_wheel) as archive:
        assert archive.read(SCRIPT).startswith(b"#!python\n")
        assert archive.getinfo(SCRIPT).external_attr >> 16 & 0o111 == 0o111


def test_no_package_takes_the_name_of_the_kubernetes_client(names: set[str]) -> None:
    assert not [name for name in names if name.startswith("kubernetes")]
    assert not (ROOT / "kubernetes" / "__init__.py").exists()


def test_the_wheel_of_the_sdist_is_the_wheel_of_the_checkout(
    own_checkout: Path, names: set[str], tmp_path: Path
) -> None:
    build = "import sys, setuptools.build_meta as backend; print(backend.build_{}(sys.argv[1]))"
    subprocess.run([sys.executable, "-c", build.format("sdist"), tmp_path], cwd=own_checkout, check=True)
    (archive,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(archive) as tar:
        assert not [member.name for member in tar if member.issym() or member.islnk()]
        tar.extractall(tmp_path, filter="data")
    source = tmp_path / archive.name.removesuffix(".tar.gz")
    subprocess.run([sys.executable, "-c", build.format("wheel"), tmp_path], cwd=source, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    assert names_in(wheel) == names


def test_pip_installs_the_same_files_from_a_git_repository(
    own_checkout: Path, names: set[str], make_environment: Callable[..., Path], tmp_path: Path
) -> None:
    git = ["git", "-C", tmp_path / "clone", "-c", "user.name=test", "-c", "user.email=test@example.org"]
    subprocess.run(["cp", "--archive", own_checkout, tmp_path / "clone"], check=True)
    for words in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--message", "All of it"]):
        subprocess.run([*git, *words], check=True)
    environment = make_environment(f"git+file://{tmp_path}/clone")
    (library,) = environment.glob("lib/python*/site-packages")
    installed = {path.relative_to(library).as_posix() for path in library.rglob("*") if path.is_file()}
    assert {name for name in names if name.startswith("starfreight/")} <= installed
    done = subprocess.run(
        [environment / "bin" / "starfreight", "--version"], capture_output=True, text=True, check=True
    )
    assert __version__ in done.stdout
