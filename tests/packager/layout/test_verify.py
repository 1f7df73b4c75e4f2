"""Verifying a package: every kind of damage is found, named, and exit code 3."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from starfreight.console import Console
from starfreight.errors import GateError, InputError
from starfreight.files import canonical_json, sha256_bytes
from starfreight.image_layout.reader import open_regular
from starfreight.package import Descriptor, Package
from starfreight.packager.layout import ImageLayout, examine_layout, verify_layout
from starfreight.packager.layout.write_package import PackageContents, write_package


@pytest.fixture
def folder(tmp_path: Path, make_contents: Callable[..., PackageContents], console: Console) -> Path:
    """A whole package."""
    write_package(tmp_path / "p", make_contents(), console)
    return tmp_path / "p"


def blob(folder: Path, descriptor: Descriptor) -> Path:
    return ImageLayout(folder).blob_path(descriptor.digest)


def gguf(folder: Path) -> Path:
    return blob(folder, Package.load(folder).default_variant.gguf)


def manifest(folder: Path) -> Path:
    return blob(folder, Package.load(folder).default_variant.manifests[0].manifest)


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def edit(path: Path, change: Callable[[Any], None]) -> None:
    data = json.loads(path.read_bytes())
    change(data)
    path.write_bytes(json.dumps(data).encode())


def replace_by_link(path: Path) -> None:
    copy = path.parent.parent.parent.parent / "copy"
    shutil.copyfile(path, copy)
    path.unlink()
    path.symlink_to(copy)


def replace_by_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def replace_by_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGE: dict[str, tuple[Callable[[Path], object], Callable[[Path], Path], str]] = {
    "a flipped bit in the model": (lambda f: flip(gguf(f)), gguf, "another digest"),
    "a truncated model": (lambda f: os.truncate(gguf(f), 5), gguf, "another digest"),
    "a missing model": (lambda f: gguf(f).unlink(), gguf, "is missing"),
    "a flipped bit in a manifest": (lambda f: flip(manifest(f)), manifest, "another digest"),
    "a model that is a link": (lambda f: replace_by_link(gguf(f)), gguf, "symbolic link"),
    "a model that is a pipe": (lambda f: replace_by_pipe(gguf(f)), gguf, "not a regular file"),
    "a model that is a directory": (lambda f: replace_by_directory(gguf(f)), gguf, "not a regular file"),
    "a record that is a directory": (
        lambda f: replace_by_directory(f / "package.json"),
        lambda f: f / "package.json", "not a regular file",
    ),
    "an index that is a directory": (
        lambda f: replace_by_directory(f / "index.json"), lambda f: f / "index.json", "not a regular file",
    ),
    "an extra blob": (
        lambda f: (f / "blobs/sha256" / sha256_bytes(b"x")[7:]).write_bytes(b"x"),
        lambda f: f / "blobs/sha256" / sha256_bytes(b"x")[7:],
        "nothing refers to",
    ),
    "an extra file": (
        lambda f: (f / "run-me.sh").write_text("#!/bin/sh"),
        lambda f: f / "run-me.sh",
        "does not belong",
    ),
    "an extra file among the blobs": (
        lambda f: (f / "blobs/sha256/notes").write_text("x"),
        lambda f: f / "blobs/sha256/notes",
        "does not belong",
    ),
    "an extra algorithm": (
        lambda f: (f / "blobs/md5").mkdir(), lambda f: f / "blobs/md5", "does not belong",
    ),
    "a lock with contents": (lambda f: (f / ".lock").write_text("x"), lambda f: f / ".lock", "empty file"),
    "no index": (lambda f: (f / "index.json").unlink(), lambda f: f / "index.json", "is missing"),
    "an index that is no JSON": (
        lambda f: (f / "index.json").write_bytes(b"{"), lambda f: f / "index.json", "not valid JSON",
    ),
    "an index that is too large": (
        lambda f: (f / "index.json").write_bytes(b" " * (5 << 20)),
        lambda f: f / "index.json", "larger than",
    ),
    "an index nested without end": (
        lambda f: (f / "index.json").write_bytes(b"[" * 200_000),
        lambda f: f / "index.json", "not valid JSON",
    ),
    "an index with another tag": (
        lambda f: edit(f / "index.json", lambda d: d["manifests"][0]["annotations"].update(
            {"org.opencontainers.image.ref.name": "q9"})),
        lambda f: f / "index.json", "does not agree",
    ),
    "an index with fewer manifests": (
        lambda f: edit(f / "index.json", lambda d: d["manifests"].pop()),
        lambda f: f / "index.json", "does not agree",
    ),
    "an index with another size": (
        lambda f: edit(f / "index.json", lambda d: d["manifests"][0].update(size=7)), manifest, "announced",
    ),
    "a digest that leaves the folder": (
        lambda f: edit(f / "index.json", lambda d: d["manifests"][0].update(digest="sha256:../../../x")),
        lambda f: f / "index.json", "descriptor",
    ),
    "a size that is no number": (
        lambda f: edit(f / "index.json", lambda d: d["manifests"][0].update(size="846")),
        lambda f: f / "index.json", "descriptor",
    ),
    "an index with a manifest of an unknown type": (
        lambda f: edit(f / "index.json", lambda d: d["manifests"][0].update(mediaType="text/html")),
        manifest, "unknown type",
    ),
    "no record": (lambda f: (f / "package.json").unlink(), lambda f: f / "package.json", "is missing"),
    "a record with another size": (
        lambda f: edit(f / "package.json", lambda d: d["variants"][0]["gguf"].update(size=7)),
        gguf, "announced",
    ),
    "a record with an unknown key": (
        lambda f: edit(f / "package.json", lambda d: d.update(colour="blue")),
        lambda f: f / "package.json", "colour",
    ),
    "a record that is a link": (
        lambda f: (f / "package.json").symlink_to((f / "package.json").rename(f.parent / "record")),
        lambda f: f / "package.json", "symbolic link",
    ),
    "no marker": (lambda f: (f / "oci-layout").unlink(), lambda f: f / "oci-layout", "is missing"),
    "another layout": (
        lambda f: (f / "oci-layout").write_text('{"imageLayoutVersion":"2.0.0"}'),
        lambda f: f / "oci-layout", "another version",
    ),
}  # fmt: skip


def test_a_whole_package_has_no_problems(folder: Path, console: Console) -> None:
    assert verify_layout(folder, console).as_dict()["problems"] == []


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_found_and_named(name: str, folder: Path, console: Console) -> None:
    damage, where, said = DAMAGE[name]
    path = where(folder)
    damage(folder)
    with pytest.raises(GateError) as caught:
        verify_layout(folder, console)
    assert caught.value.exit_code == 3
    problems = examine_layout(folder, console).problems
    found = {problem.path: problem.what for problem in problems}
    named = path.relative_to(folder).as_posix()
    assert named in found
    assert any(said in problem.what for problem in problems if problem.path == named), problems
    assert caught.value.where == str(folder / problems[0].path)


def test_a_model_that_another_manifest_names_is_noticed(folder: Path, console: Console) -> None:
    """Every digest is right here; what does not fit is what the record says of them."""
    package = Package.load(folder)
    record = json.loads((folder / "package.json").read_bytes())
    first, second = record["variants"]
    first["gguf"], second["gguf"] = second["gguf"], first["gguf"]
    (folder / "package.json").write_bytes(json.dumps(record).encode())
    with pytest.raises(GateError, match=r"is not the one that package\.json determines"):
        verify_layout(folder, console)
    assert len(package.variants) == 2


def test_a_manifest_that_was_exchanged_with_its_digest_is_noticed(folder: Path, console: Console) -> None:
    path = manifest(folder)
    data = json.loads(path.read_bytes())
    data["layers"][0]["digest"] = Package.load(folder).variants[1].gguf.digest
    new = canonical_json(data)
    path.unlink()
    (path.parent / sha256_bytes(new)[7:]).write_bytes(new)
    edit(
        folder / "index.json",
        lambda d: [
            each.update(digest=sha256_bytes(new), size=len(new))
            for each in d["manifests"]
            if each["digest"].endswith(path.name)
        ],
    )
    problems = {problem.path: problem.what for problem in examine_layout(folder, console).problems}
    assert problems["index.json"] == "index.json does not agree with package.json"
    with pytest.raises(GateError):
        verify_layout(folder, console)


def test_all_problems_are_counted(folder: Path, console: Console) -> None:
    package = Package.load(folder)
    flip(blob(folder, package.variants[0].gguf))
    flip(blob(folder, package.variants[1].gguf))
    flip(blob(folder, package.model_card))
    with pytest.raises(GateError, match="2 more problems"):
        verify_layout(folder, console)


def test_a_folder_that_is_no_package_is_bad_input(tmp_path: Path, console: Console) -> None:
    with pytest.raises(InputError, match="does not exist"):
        verify_layout(tmp_path / "none", console)
    with pytest.raises(InputError, match="holds no package"):
        verify_layout(tmp_path, console)


def test_a_package_of_a_newer_version_is_not_called_damaged(folder: Path, console: Console) -> None:
    edit(folder / "package.json", lambda d: d.update(version=3, new_key=True))
    with pytest.raises(InputError, match="has version 3") as caught:
        verify_layout(folder, console)
    assert caught.value.fix == "upgrade Starfreight"


def test_a_blobs_folder_that_leads_elsewhere_is_not_followed(
    folder: Path, console: Console, tmp_path: Path
) -> None:
    (folder / "blobs").rename(tmp_path / "blobs")
    (folder / "blobs").symlink_to(tmp_path / "blobs")
    with pytest.raises(GateError, match="not a directory"):
        verify_layout(folder, console)


def test_a_file_that_cannot_be_read_is_not_called_damaged(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with (
        pytest.raises(GateError, match="cannot be read: Not a directory") as caught,
        open_regular(tmp_path / "file" / "blob"),
    ):
        pass
    assert str(caught.value.fix).startswith("check its permissions")
