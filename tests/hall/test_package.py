"""The record of a package: strict, versioned, and the same after writing and reading."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from starfreight.console import Console
from starfreight.errors import InputError
from starfreight.package import PACKAGE_FILE, Package
from starfreight.packager.layout.write_package import PackageContents, write_package


@pytest.fixture
def folder(tmp_path: Path, make_contents: Callable[..., PackageContents], console: Console) -> Path:
    write_package(tmp_path / "p", make_contents(), console)
    return tmp_path / "p"


def edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    data = json.loads((folder / PACKAGE_FILE).read_bytes())
    change(data)
    (folder / PACKAGE_FILE).write_text(json.dumps(data))


def test_a_record_is_the_same_after_writing_and_reading(folder: Path, tmp_path: Path) -> None:
    package = Package.load(folder)
    package.save(tmp_path)
    assert Package.load(tmp_path) == package
    assert (tmp_path / PACKAGE_FILE).read_bytes() == (folder / PACKAGE_FILE).read_bytes()


def test_a_record_of_a_newer_version_is_refused_with_what_to_do(folder: Path) -> None:
    edit(folder, lambda data: data.update(version=99))
    with pytest.raises(InputError, match="has version 99; this Starfreight reads versions up to 2") as caught:
        Package.load(folder)
    assert caught.value.fix == "upgrade Starfreight"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda data: data.update(colour="blue"), "colour"),
        (lambda data: data.pop("recipe"), "recipe"),
        (lambda data: data.update(recipe="sha256:../../etc/passwd"), "recipe"),
        (lambda data: data.update(name="../coder"), "name"),
        (lambda data: data.update(created="yesterday"), "created"),
        (lambda data: data.update(default="Q5_K_M"), "default Q5_K_M is none of the variants"),
        (lambda data: data.update(variants=[]), "variants"),
        (lambda data: data["variants"].append(data["variants"][0]), "one quantization"),
        (lambda data: data["variants"][0].update(quantization="Q3_K_XL"), "quantization"),
        (lambda data: data["variants"][0]["gguf"].update(size=-1), "size"),
        (lambda data: data["variants"][0]["gguf"].update(size="14"), "size"),
        (lambda data: data["variants"][0]["gguf"].update(media_type="text/html; x=1"), "media_type"),
        (lambda data: data["variants"][0]["manifests"][0].update(suffix="/../x"), "suffix"),
        (lambda data: data.update(title="two\nlines"), "title"),
    ],
)
def test_a_record_that_is_not_one_is_refused_with_the_key(
    change: Callable[[dict[str, Any]], object], said: str, folder: Path
) -> None:
    edit(folder, change)
    with pytest.raises(InputError, match=said):
        Package.load(folder)


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 100_000, b" " * (5 << 20)])
def test_a_file_that_is_no_record_is_refused(data: bytes, folder: Path) -> None:
    (folder / PACKAGE_FILE).write_bytes(data)
    with pytest.raises(InputError) as caught:
        Package.load(folder)
    assert caught.value.where == str(folder / PACKAGE_FILE)


@pytest.mark.parametrize(
    ("lying", "said", "fix"),
    [
        ((), "holds no package", "starfreight package build RUN"),
        (("run.json",), "a run, not a package", "starfreight package build"),
        (("blobs", "index.json"), "unfinished or damaged", "again"),
    ],
)
def test_a_folder_without_a_record_is_told_what_it_is(
    lying: tuple[str, ...], said: str, fix: str, tmp_path: Path
) -> None:
    for name in lying:
        (tmp_path / name).touch()
    with pytest.raises(InputError, match=said) as refused:
        Package.load(tmp_path)
    assert fix in str(refused.value.fix)


def test_a_path_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="is not a directory"):
        Package.load(tmp_path / "file")
    with pytest.raises(InputError, match="does not exist"):
        Package.load(tmp_path / "nothing")
