"""Starfreight's own wheel, as the images get it."""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from starfreight import __version__
from starfreight.errors import InputError
from starfreight.images import wheel as wheels
from starfreight.images.wheel import build_wheel

PROGRAM = """
import json, sys
from pathlib import Path
import starfreight.images.wheel
project = starfreight.images.wheel.build_wheel(Path(sys.argv[1]))
print(json.dumps([str(project.wheel), project.revision, project.created, starfreight.images.wheel.__file__]))
"""


def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


ROOT = Path(__file__).parents[2]


def test_it_has_every_file_of_the_wheel_that_pip_builds_rooms_and_command_among_them(
    tmp_path: Path, own_wheel: Path
) -> None:
    ours, theirs = build_wheel(tmp_path).wheel, own_wheel
    assert contents(ours) == contents(theirs)
    modules = {
        path.relative_to(ROOT).as_posix() for room in wheels._ROOMS for path in (ROOT / room).rglob("*.py")
    }
    assert {f"starfreight/{name}" for name in modules} <= contents(ours).keys()
    with zipfile.ZipFile(ours) as archive:
        (script,) = (entry for entry in archive.infolist() if ".data/scripts/" in entry.filename)
    assert script.filename.endswith("/starfreight") and script.external_attr >> 16 & 0o111 == 0o111


def test_the_same_sources_give_the_same_bytes_and_are_built_once(tmp_path: Path) -> None:
    first, again = build_wheel(tmp_path / "a"), build_wheel(tmp_path / "b")
    assert first.wheel.read_bytes() == again.wheel.read_bytes()
    made = first.wheel.stat().st_mtime_ns
    assert build_wheel(tmp_path / "a") == first and first.wheel.stat().st_mtime_ns == made
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == [first.wheel.parent.name]


def test_what_was_installed_from_a_wheel_gives_that_wheel_again(tmp_path: Path) -> None:
    wheel = build_wheel(tmp_path / "built").wheel
    installed = tmp_path / "installed"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target"]
    subprocess.run([*pip, installed, wheel], check=True)
    done = subprocess.run(
        [sys.executable, "-P", "-c", PROGRAM, str(tmp_path / "packed")],
        env={**os.environ, "PYTHONPATH": str(installed)}, cwd=tmp_path,
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    packed, revision, created, module = json.loads(done.stdout)
    assert Path(module).is_relative_to(installed)
    assert revision is None and created == 315532800
    ours, theirs = contents(Path(packed)), contents(wheel)
    assert any(name.startswith("starfreight/jobs/") for name in theirs)
    records = {name for name in theirs if name.endswith(".dist-info/RECORD")}
    assert {name: data for name, data in ours.items() if name not in records} == {
        name: data for name, data in theirs.items() if name not in records
    }
    again = tmp_path / "again"
    subprocess.run([*pip, again, packed], check=True)
    said = subprocess.run(
        [again / "bin" / "starfreight", "--version"], env={**os.environ, "PYTHONPATH": str(again)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert __version__ in said.stdout


@pytest.mark.parametrize("text", ["yesterday", "-1", "99999999999999", "١٢"])
def test_a_strange_time_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", text)
    with pytest.raises(InputError, match="not a number of seconds"):
        build_wheel(tmp_path)


def test_a_file_of_the_installation_that_cannot_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = tmp_path / "starfreight-1.dist-info"
    (tmp_path / "starfreight").mkdir()
    (tmp_path / "starfreight" / "__init__.py").touch()
    info.mkdir()
    (info / "METADATA").write_text("Name: starfreight\nVersion: 1\n")
    names = ("starfreight/__init__.py", "starfreight/gone.py", "starfreight-1.dist-info/METADATA")
    (info / "RECORD").write_text("".join(f"{name},,\n" for name in names))
    installed = importlib.metadata.PathDistribution(info)
    monkeypatch.setattr(importlib.metadata, "distribution", lambda name: installed)
    with pytest.raises(InputError, match="cannot be read") as refused:
        wheels._from_installation(tmp_path / "cache")
    assert refused.value.where == str(tmp_path / "starfreight" / "gone.py")
