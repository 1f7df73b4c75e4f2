"""Files in the current directory are not imported, whatever their names are and whatever PYTHONPATH says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from starfreight import __version__

OF_LIBRARIES = ("jobs", "packager", "images/__init__", "click", "numpy", "pydantic", "torch", "transformers")
OF_PYTHON = ("types", "re", "enum", "signal", "json", "pathlib", "typing", "subprocess", "random")
ALL_NAMES = (*OF_LIBRARIES, *OF_PYTHON, "starfreight", "kubernetes", "sys", "os")

Run = Callable[..., subprocess.CompletedProcess[str]]


def lay_out(folder: Path, names: tuple[str, ...]) -> Path:
    """Makes a directory of modules that end the process which imports them."""
    for name in names:
        path = folder / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"raise SystemExit('{name} was imported from the current directory')\n")
    return folder


@pytest.fixture(scope="module", params=["wheel", "editable"])
def command(
    request: pytest.FixtureRequest,
    own_wheel: Path,
    own_checkout: Path,
    make_environment: Callable[..., Path],
) -> Path:
    """The installed command."""
    wanted = (own_wheel,) if request.param == "wheel" else ("--editable", own_checkout)
    return make_environment(*wanted) / "bin" / "starfreight"


@pytest.fixture
def run(command: Path, tmp_path: Path) -> Run:
    """Runs the command in a directory full of names of modules, with PYTHONPATH=. ."""
    hostile = lay_out(tmp_path / "hostile", ALL_NAMES)

    def run_there(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [command, *arguments], cwd=hostile, env=os.environ | {"PYTHONPATH": "."},
            capture_output=True, text=True, timeout=300,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert "from the current directory" not in done.stdout + done.stderr
        return done

    return run_there


def test_the_command_runs_among_hostile_names(run: Run, tmp_path: Path) -> None:
    assert __version__ in run("--version").stdout
    assert "Commands:" in run("--help").stdout
    (tmp_path / "runs").mkdir()
    assert json.loads(run("jobs", "list", "--runs", tmp_path / "runs", "--json").stdout)["runs"] == []
    assert "Usage:" in run("package", "build", "--help").stdout
    run("init", tmp_path / "new")
    assert json.loads(run("plan", tmp_path / "new" / "recipe.yaml", "--json").stdout)


@pytest.mark.parametrize("command", ["wheel"], indirect=True)
def test_a_job_and_its_workers_run_among_hostile_names(run: Run, write_job: Callable[..., Path]) -> None:
    recipe = write_job(training={"steps": 2, "evaluation_completions": 1})
    runs = recipe.parent / "runs"
    run("jobs", "run", recipe, "--runs", runs)
    (record,) = runs.glob("*/run.json")
    assert json.loads(record.read_text())["status"] == "done"


def test_the_module_runs_among_names_that_python_does_not_need_first(tmp_path: Path) -> None:
    # `python -m` itself imports types, and with it whatever has that name in the current directory.
    hostile = lay_out(tmp_path, OF_LIBRARIES)
    done = subprocess.run(
        [sys.executable, "-m", "starfreight", "jobs", "list", "--runs", ".", "--json"],
        cwd=hostile, env=os.environ | {"PYTHONPATH": "."}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0
    assert all(line.startswith("Warning: the disk of ") for line in done.stderr.splitlines()), done.stderr
    assert json.loads(done.stdout)["runs"] == []


PROGRAM = """
import json, os, sys
from starfreight.import_path import leave_out_current_directory
leave_out_current_directory()
print(json.dumps([sys.path, os.environ.get("PYTHONPATH")]))
"""


@pytest.mark.parametrize(
    "listed", [".", "", "{here}", "{link}", ".:{other}", "{other}::{here}", "none:{other}", None]
)
def test_only_the_current_directory_is_left_out_also_for_child_processes(
    tmp_path: Path, listed: str | None
) -> None:
    here, link, other = (tmp_path / name for name in ("here", "link", "other"))
    here.mkdir()
    other.mkdir()
    link.symlink_to(here)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    if listed is not None:
        environment["PYTHONPATH"] = listed.format(here=here, link=link, other=other)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=here, env=environment, capture_output=True, text=True, check=True
    )
    path, left = json.loads(done.stdout)
    assert not {"", ".", str(here), str(link)} & set(path)
    if listed is None:
        assert left is None
    else:
        has_other = "{other}" in listed
        assert (str(other) in path) == has_other
        assert [entry for entry in left.split(":") if entry and entry != "none"] == [str(other)] * has_other


def test_a_checkout_that_runs_stays_on_the_path() -> None:
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=root, env=os.environ | {"PYTHONPATH": str(root)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    path, left = json.loads(done.stdout)
    assert str(root) in path and left == str(root)


def test_a_current_directory_that_was_deleted_is_no_obstacle(command: Path, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    script = f'rmdir "{gone}"; exec "{command}" --version'
    done = subprocess.run(["sh", "-c", script], cwd=gone, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "") and __version__ in done.stdout
