"""The release: its tag is its version, equal commits give equal bytes, and it runs on a bare machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from starfreight import __version__

PROGRAM = Path(__file__).parents[2] / "tools/release/build_release.py"
FILES = {
    "starfreight/__init__.py": f'__version__ = "{__version__}"\n',
    "CHANGELOG.md": f"# Changes\n\n## {__version__}\n",
}


def git(folder: Path, *words: str) -> None:
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    subprocess.run(["git", "-C", folder, *identity, *words], check=True, capture_output=True)


def commit(folder: Path) -> None:
    for words in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--message", "All of it"]):
        git(folder, *words)


def release(root: Path, out: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, PROGRAM, "--root", root, "--out", out, *words],
        capture_output=True, text=True, env=os.environ | environment,
    )  # fmt: skip


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with no more than the version and its section."""
    for name, text in FILES.items():
        path = tmp_path / "checkout" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    commit(tmp_path / "checkout")
    return tmp_path / "checkout"


@pytest.mark.parametrize(
    ("tag", "name", "text", "words"),
    [
        ("v99.0.0", None, "", "The tag is v99.0.0"),
        (__version__, None, "", "The tag is"),
        (f"v{__version__}", "CHANGELOG.md", "# Changes\n\n## Unreleased\n", "has no section"),
        (f"v{__version__}", "starfreight/new.py", "", "differs from its commit"),
    ],
)
def test_a_release_that_is_not_what_its_tag_says_is_refused(
    checkout: Path, tmp_path: Path, tag: str, name: str | None, text: str, words: str
) -> None:
    if name is not None:
        (checkout / name).write_text(text)
    done = release(checkout, tmp_path / "out", "--tag", tag)
    assert done.returncode == 1 and words in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.fixture(scope="module")
def built(own_checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The release of this checkout, under an odd umask and time zone."""
    folder = tmp_path_factory.mktemp("release")
    subprocess.run(["cp", "--archive", own_checkout, folder / "checkout"], check=True)
    commit(folder / "checkout")
    before = os.umask(0o077)
    try:
        done = release(folder / "checkout", folder / "out", TZ="Asia/Kathmandu")
    finally:
        os.umask(before)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.nightly
def test_another_clone_of_the_commit_gives_the_same_bytes(built: Path, tmp_path: Path) -> None:
    git(tmp_path, "clone", "--quiet", str(built / "checkout"), "clone")
    for path in (tmp_path / "clone").rglob("*.py"):
        if path.is_file() and not path.is_symlink():
            os.utime(path, (1, 1))
    done = release(tmp_path / "clone", tmp_path / "out", TZ="UTC")
    assert done.returncode == 0, done.stderr
    names = ("SHA256SUMS", f"starfreight-{__version__}.cdx.json")
    for name in names:
        assert (tmp_path / "out" / name).read_bytes() == (built / "out" / name).read_bytes()


@pytest.mark.nightly
def test_the_bill_of_materials_is_valid_and_names_the_archives(built: Path) -> None:
    text = (built / "out" / f"starfreight-{__version__}.cdx.json").read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    bom = json.loads(text)
    listed = dict(line.split("  ")[::-1] for line in (built / "out/SHA256SUMS").read_text().splitlines())
    named = {each["hashes"][0]["content"] for each in bom["metadata"]["component"]["externalReferences"]}
    assert named == {digest for name, digest in listed.items() if name.startswith("dist/")}
    assert {"click", "torch", "transformers"} <= {each["name"] for each in bom["components"]}
    assert not {"pytest", "mypy", "starfreight"} & {each["name"] for each in bom["components"]}


@pytest.mark.nightly
@pytest.mark.parametrize("pattern", ["*.whl", "*.tar.gz"])
def test_it_installs_and_runs_without_the_source_tree_and_git(
    built: Path, pattern: str, make_environment: Callable[..., Path], tmp_path: Path
) -> None:
    (archive,) = (built / "out/dist").glob(pattern)
    program = make_environment(archive) / "bin/starfreight"
    environment = {"PATH": "/nowhere", "HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"}

    def run(*words: str) -> str:
        return subprocess.run(
            [program, *words], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
        ).stdout

    assert __version__ in run("--version")
    assert run("--help").startswith("Usage: starfreight")
    run("init", "my-model", "--quiet")
    assert json.loads(run("plan", "my-model/recipe.yaml", "--json"))


@pytest.mark.nightly
def test_the_sdist_holds_the_examples_and_no_link(built: Path) -> None:
    (sdist,) = (built / "out/dist").glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        members = archive.getmembers()
    names = {each.name.partition("/")[2] for each in members}
    assert {"examples/quickstart.yaml", "CHANGELOG.md", "starfreight/jobs/__init__.py"} <= names
    assert all(each.isfile() or each.isdir() for each in members)
    assert {(each.uid, each.gid, each.uname, each.mtime) for each in members} == {
        (0, 0, "", members[0].mtime)
    }
    (wheel,) = (built / "out/dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        assert {each.external_attr >> 16 & 0o777 for each in archive.infolist()} <= {0o644, 0o664, 0o755}
