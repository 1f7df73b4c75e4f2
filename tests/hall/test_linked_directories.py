"""A cloned repository may hold links with the names of everything that the product makes: none is followed.

Each name is replaced by a link to somebody else's directory or file, and the command that uses it is run.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from starfreight.cli import main
from starfreight.console import Console
from starfreight.errors import InputError
from starfreight.files import canonical_json, sha256_bytes
from starfreight.images.context import write_context
from starfreight.images.wheel import build_wheel
from starfreight.jobs.backends.kubernetes import entrypoint
from starfreight.jobs.backends.kubernetes.client.targets import JOB, Target
from starfreight.recipe import load_recipe
from starfreight.user_cache import made_once

MADE_IN_A_RUN = (
    "adapter", "adapter/adapter_config.json", "adapter/adapter_model.safetensors", "before.json",
    "checkpoints", "checkpoints/best", "checkpoints/best/adapter_model.safetensors",
    "checkpoints/best/step.json", "checkpoints/checkpoint-1", "checkpoints/checkpoint-1/*",
    "checkpoints/checkpoint-2", "checkpoints/checkpoint-2/*", "completions.json", "data", "data/blocks.bin",
    "data/blocks.json", "data/left_out.jsonl", "data/manifest.json", "imatrix.gguf", "inputs.json",
    "job.json", "job.log", "licenses", "licenses/0.txt", "loss_sample.json", "metrics.jsonl", "plots",
    "plots/*.png", "report.html",
    "run.json", "tensorboard", "tensorboard/*",
)  # fmt: skip
MADE_FOR_A_MOMENT = (".partial-adapter", "data/.partial-catalogue", ".lock")
MADE_IN_A_PACKAGE = ("blobs", "blobs/sha256")


def test_directories_are_deleted_in_one_place_only() -> None:
    root = Path(__file__).parents[2]
    rooms = ("starfreight", "jobs", "images", "packager")
    found = {path.relative_to(root).as_posix() for room in rooms for path in (root / room).rglob("*.py")}
    deleting = {name for name in found if "rmtree" in (root / name).read_text()}
    assert len(found) > 300
    assert deleting == {"starfreight/directories.py"}


@pytest.fixture
def foreign(tmp_path: Path) -> Iterator[Path]:
    """Somebody else's directory, looked at again when the test has ended."""
    folder = tmp_path / "foreign"
    (folder / "checkpoint-500").mkdir(parents=True)
    for name in ("thesis.txt", "checkpoint-500/model.safetensors", "run.json"):
        (folder / name).write_text(name)
    yield folder
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*")}
    assert found == {"thesis.txt", "checkpoint-500", "checkpoint-500/model.safetensors", "run.json"}
    assert all((folder / name).read_text() == name for name in found - {"checkpoint-500"})


def link(path: Path, foreign: Path) -> None:
    """Puts a link in the place of whatever is there; of a file, a link to a file."""
    target = foreign / "thesis.txt" if path.is_file() else foreign
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(os.path.relpath(target, path.parent))


def refused(error: str, path: Path) -> None:
    """The one error names the link."""
    assert "Error: A symbolic link is in the place of a file or directory" in error
    assert f"where: {path} -> " in error
    assert "next:  remove the link" in error
    assert "Traceback" not in error


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory, make_job: Callable[..., Path]) -> Path:
    """The directory of a recipe whose run and package are finished."""
    pytest.importorskip("torch")
    folder = tmp_path_factory.mktemp("shipped")
    (folder / "LICENSE-OURS").write_text("Do what you want.")
    recipe = make_job(
        folder,
        base={"model": "builtin:starter"},
        training={
            "steps": 2, "sequence_length": 64, "batch_size": 1, "gradient_accumulation": 1,
            "checkpoint_every": 1, "evaluate_every": 1, "keep": "best",
        },
        package={"quantizations": ["Q8_0"], "license_files": ["LICENSE-OURS"], "imatrix": {"blocks": 1}},
    )  # fmt: skip
    assert run(recipe) == 0
    return folder


def run(recipe: Path) -> int:
    folders = ("--runs", str(recipe.parent / "runs"), "--packages", str(recipe.parent / "packages"))
    return main(["run", str(recipe), *folders, "--json"])


@pytest.fixture
def clone(shipped: Path, tmp_path: Path) -> Path:
    """A copy of it for one test."""
    return shutil.copytree(shipped, tmp_path / "clone", symlinks=True)


def only(folder: Path) -> Path:
    (found,) = (path for path in folder.iterdir() if not path.name.startswith("."))
    return found


def test_every_name_that_a_run_makes_is_tried_below(shipped: Path) -> None:
    made = {path.relative_to(only(shipped / "runs")) for path in only(shipped / "runs").rglob("*")}
    assert len(made) > 30
    assert [str(path) for path in made if not any(path.match(name) for name in MADE_IN_A_RUN)] == []
    package = only(shipped / "packages")
    folders = {path.relative_to(package).as_posix() for path in package.rglob("*") if path.is_dir()}
    assert folders == set(MADE_IN_A_PACKAGE)


@pytest.mark.parametrize(
    "name", [name for name in MADE_IN_A_RUN if "*" not in name] + list(MADE_FOR_A_MOMENT)
)
def test_a_link_in_a_run_is_followed_by_no_command(
    name: str, clone: Path, foreign: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = only(clone / "runs")
    link(folder / name, foreign)
    capsys.readouterr()
    for command in (
        ["run", str(clone / "recipe.yaml"), "--runs", str(clone / "runs")],
        ["jobs", "status", str(folder)],
        ["jobs", "resume", str(folder)],
        ["package", "build", str(folder), "--out", str(clone / "other")],
    ):
        assert main([*command, "--json"]) == 2, command
        refused(capsys.readouterr().err, folder / name)
    assert main(["jobs", "list", "--runs", str(clone / "runs"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["runs"] == []


@pytest.mark.parametrize("name", MADE_IN_A_PACKAGE)
def test_a_link_in_a_package_is_an_error(
    name: str, clone: Path, foreign: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    package = only(clone / "packages")
    link(package / name, foreign)
    assert run(clone / "recipe.yaml") == 2
    assert str(package / name) in capsys.readouterr().err


@pytest.mark.parametrize("which", ["run", "package", "work of the package", "work of the data"])
def test_a_link_among_runs_or_packages_is_an_error(
    which: str, clone: Path, foreign: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = only(clone / "runs").name
    data = load_recipe(clone / "recipe.yaml").recipe.model_dump(mode="json", include={"data"})
    linked = {
        "run": clone / "runs" / name,
        "package": clone / "packages" / name,
        "work of the package": clone / "packages" / f".partial-{name}",
        "work of the data": clone / "runs" / f".partial-data-{sha256_bytes(canonical_json(data))[7:17]}",
    }[which]
    if which == "work of the package":
        shutil.rmtree(clone / "packages" / name)
    link(linked, foreign)
    capsys.readouterr()
    assert run(clone / "recipe.yaml") == 2
    refused(capsys.readouterr().err, linked)


def test_the_directories_that_the_user_names_may_be_links(clone: Path) -> None:
    for name in ("runs", "packages"):
        (clone / name).rename(clone / f"large-{name}")
        (clone / name).symlink_to(f"large-{name}")
    assert run(clone / "recipe.yaml") == 0


@pytest.mark.parametrize("name", ["quickstart.yaml", "runs", "packages"])
def test_a_link_in_the_directory_of_the_quickstart_is_an_error(
    name: str, tmp_path: Path, foreign: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    link(tmp_path / "quickstart" / name, foreign)
    assert main(["quickstart", "--out", str(tmp_path / "quickstart"), "--json"]) == 2
    refused(capsys.readouterr().err, tmp_path / "quickstart" / name)


@pytest.mark.parametrize("name", ["code", "recipe.yaml", "code/money.py"])
def test_a_link_in_the_directory_of_init_is_an_error(
    name: str, tmp_path: Path, foreign: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    link(tmp_path / "new" / name, foreign)
    assert main(["init", str(tmp_path / "new"), "--json"]) == 2
    refused(capsys.readouterr().err, tmp_path / "new" / name)


@pytest.mark.parametrize("name", ["last.safetensors", "level.safetensors", "plan.json", ".lock"])
def test_a_link_in_the_work_directory_of_the_starter_is_an_error(
    name: str, tmp_path: Path, foreign: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch")
    work = tmp_path / "starter-build"
    link(work / name, foreign)
    out = str(tmp_path / "starter")
    assert main(["starter", "build", "--work", str(work), "--out", out, "--steps", "10", "--json"]) == 2
    refused(capsys.readouterr().err, work / name)


@pytest.mark.parametrize("name", ["git", "git/abc.git", "git/abc.lock"])
def test_a_link_in_the_cache_of_sources_is_an_error(name: str, tmp_path: Path, foreign: Path) -> None:
    link(tmp_path / "cache" / name, foreign)
    with pytest.raises(InputError, match="symbolic link"):
        made_once(tmp_path / "cache/git/abc.git", Path.mkdir)


def test_a_link_in_the_place_of_an_unfinished_source_is_replaced(tmp_path: Path, foreign: Path) -> None:
    link(tmp_path / "cache/git/.partial-abc.git", foreign)
    assert made_once(tmp_path / "cache/git/abc.git", Path.mkdir).is_dir()
    assert [path.name for path in sorted((tmp_path / "cache/git").iterdir())] == ["abc.git", "abc.lock"]


def test_a_link_in_the_place_of_a_build_context_is_replaced(tmp_path: Path, foreign: Path) -> None:
    from starfreight.images.catalogue import find_source

    link(tmp_path / "context", foreign)
    (tmp_path / "starfreight.whl").touch()
    write_context(tmp_path / "context", find_source("packager"), [], tmp_path / "starfreight.whl", None)
    assert (tmp_path / "context/project/starfreight.whl").is_file()


def test_the_cache_of_wheels_forgets_nothing_of_anybody_else(tmp_path: Path, foreign: Path) -> None:
    link(tmp_path / "linked", foreign)
    with pytest.raises(InputError, match="symbolic link"):
        build_wheel(tmp_path / "linked")
    from starfreight.images.wheel import _forget_older

    ours = [f"{number:016x}" for number in range(6)]
    for name in (*ours, "photos"):
        (tmp_path / "wheels" / name).mkdir(parents=True)
    link(tmp_path / "wheels" / f"{9:016x}", foreign)
    _forget_older(tmp_path / "wheels")
    assert (tmp_path / "wheels" / "photos").is_dir()
    assert sum((tmp_path / "wheels" / name).is_dir() for name in ours) < len(ours)


def test_a_link_in_the_place_of_the_log_of_a_build_is_an_error(
    tmp_path: Path, foreign: Path, console: Console
) -> None:
    from starfreight.images import build

    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    (tmp_path / "build.log").touch()
    link(tmp_path / "build.log", foreign)
    with pytest.raises(InputError, match="symbolic link"):
        build._run("trainer", [], tmp_path, tmp_path / "build.log", None, console)


def test_a_link_in_the_place_of_a_fetched_run_is_an_error(tmp_path: Path, foreign: Path) -> None:
    from starfreight.jobs.backends.kubernetes.client.fetch import _Source

    class Stream(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:
            return sent.readinto(buffer)

    index = json.dumps({"run": "acme-1", "files": []}).encode()
    sent = io.BytesIO()
    with tarfile.open(fileobj=sent, mode="w|") as tar:
        member = tarfile.TarInfo("files.json")
        member.size = len(index)
        tar.addfile(member, io.BytesIO(index))
    sent.seek(0)
    link(tmp_path / "runs" / "acme-1", foreign)
    source: Any = _Source(None, "pod", Target(JOB, "acme"), None)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="symbolic link"):
        source._receive(Stream(), tmp_path / "runs", None, None)


def test_the_links_to_the_runs_of_jobs_are_made_and_followed_only_among_runs(
    tmp_path: Path, foreign: Path
) -> None:
    run = tmp_path / "runs" / "acme-1"
    run.mkdir(parents=True)
    links = tmp_path / "runs" / ".jobs"
    # The remainder of a pod that was killed: process numbers in containers are the same each time.
    link(links / f".partial-coder-{os.getpid()}", foreign)
    entrypoint._link(links / "coder", run)
    assert entrypoint._wait_for(links / "coder") == run.resolve()
    link(links / "evil", foreign)
    with pytest.raises(InputError, match="leads out of the directory of runs"):
        entrypoint._wait_for(links / "evil")
    link(links, foreign)
    with pytest.raises(InputError, match="symbolic link"):
        entrypoint._link(links / "coder", run)
