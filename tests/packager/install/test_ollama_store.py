"""Installation into Ollama's directory of models."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ollama_server import OllamaServer

from starfreight.errors import GateError, InputError
from starfreight.package import Package
from starfreight.packager.install import Installed
from starfreight.packager.install.ollama_store import OllamaStore
from starfreight.packager.layout import ImageLayout

Put = Callable[..., Installed]


@pytest.fixture
def store(ollama: OllamaServer) -> OllamaStore:
    return OllamaStore(ollama.models)


def blob(ollama: OllamaServer, package: Package) -> Path:
    return ollama.models / "blobs" / package.default_variant.gguf.digest.replace(":", "-")


def test_a_running_server_sees_the_model_with_its_digest(
    put: Put, package_folder: Path, package: Package, store: OllamaStore, ollama: OllamaServer
) -> None:
    installed = put(package_folder, store, name="acme/coder:1.0")
    digest = package.default_variant.manifests[0].manifest.digest
    assert installed.digest == digest
    assert ollama.names() == {"acme/coder:1.0": digest.removeprefix("sha256:")}
    layout = ImageLayout(package_folder)
    for path in (ollama.models / "blobs").iterdir():
        assert path.read_bytes() == layout.blob_path(path.name.replace("-", ":")).read_bytes()
    assert blob(ollama, package).samefile(layout.blob_path(package.default_variant.gguf.digest))
    blobs = set((ollama.models / "blobs").iterdir())
    ollama.prune()
    assert set((ollama.models / "blobs").iterdir()) == blobs
    assert {each.name for each in ollama.models.iterdir()} == {"blobs", "manifests"}


def test_a_reference_as_name_becomes_a_path_as_ollama_has_it(
    put: Put, package_folder: Path, store: OllamaStore, ollama: OllamaServer
) -> None:
    put(package_folder, store, name="ghcr.io/acme/coder:1.0")
    assert (ollama.models / "manifests/ghcr.io/acme/coder/1.0").is_file()


def test_a_second_installation_hashes_and_sends_nothing(
    put: Put, package_folder: Path, store: OllamaStore
) -> None:
    first, second = put(package_folder, store), put(package_folder, store, name="again")
    assert first.present == 0
    assert second.present == second.size == first.size


def test_a_wrong_file_under_the_right_name_is_replaced(
    put: Put, package_folder: Path, package: Package, store: OllamaStore, ollama: OllamaServer
) -> None:
    path = blob(ollama, package)
    path.write_bytes(b"x" * package.default_variant.gguf.size)
    put(package_folder, store)
    assert (
        path.read_bytes()
        == ImageLayout(package_folder).blob_path(package.default_variant.gguf.digest).read_bytes()
    )


@pytest.mark.parametrize("links", [True, False])
def test_a_corrupt_byte_of_the_package_is_never_installed(
    links: bool, put: Put, package_folder: Path, package: Package, store: OllamaStore, ollama: OllamaServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    if not links:
        monkeypatch.setattr(os, "link", _no_links)
    path = ImageLayout(package_folder).blob_path(package.default_variant.gguf.digest)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(GateError, match="does not have the digest"):
        put(package_folder, store)
    assert not blob(ollama, package).exists()
    assert not ollama.names()
    assert not [each for each in (ollama.models / "blobs").iterdir() if each.name.startswith(".")]


def _no_links(*arguments: Any, **options: Any) -> None:
    raise PermissionError(1, "Operation not permitted")


def test_files_are_copied_where_links_are_refused(
    put: Put, package_folder: Path, package: Package, store: OllamaStore, ollama: OllamaServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(os, "link", _no_links)
    put(package_folder, store)
    assert blob(ollama, package).stat().st_nlink == 1
    assert {each.name for each in ollama.models.iterdir()} == {"blobs", "manifests"}


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_files_for_a_server_of_another_user_are_that_users_own_copies(
    put: Put, package_folder: Path, package: Package, store: OllamaStore, ollama: OllamaServer
) -> None:
    for path in (ollama.models, *ollama.models.rglob("*")):
        os.chown(path, 4321, 4322)
    put(package_folder, store, name="acme/coder:1.0")
    assert {(each.stat().st_uid, each.stat().st_gid) for each in ollama.models.rglob("*")} == {(4321, 4322)}
    assert blob(ollama, package).stat().st_nlink == 1


def test_blobs_that_are_pruned_before_the_manifest_is_there_are_added_again(
    put: Put, package_folder: Path, package: Package, store: OllamaStore, ollama: OllamaServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    import starfreight.packager.install.ollama_store as module

    original = module._Store.write_manifest

    def write(self: Any, name: Any, data: bytes) -> None:
        ollama.prune()
        original(self, name, data)

    monkeypatch.setattr(module._Store, "write_manifest", write)
    put(package_folder, store)
    assert blob(ollama, package).is_file()
    assert len(list((ollama.models / "blobs").iterdir())) == 6


@pytest.mark.parametrize("place", ["blobs", "manifests", "manifests/registry.ollama.ai"])
def test_links_below_the_directory_are_not_followed(
    place: str, put: Put, package_folder: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    models = tmp_path / "linked"
    (models / "blobs").mkdir(parents=True)
    (models / place).parent.mkdir(exist_ok=True)
    if place == "blobs":
        (models / "blobs").rmdir()
    (models / place).symlink_to(elsewhere)
    with pytest.raises(InputError, match="link"):
        put(package_folder, OllamaStore(models))
    assert not list(elsewhere.iterdir())


def test_a_directory_that_is_not_ollamas_is_refused(put: Put, package_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        put(package_folder, OllamaStore(tmp_path / "missing"))
    (tmp_path / "home").mkdir()
    (tmp_path / "home/notes.txt").write_text("mine")
    with pytest.raises(InputError, match="not Ollama's"):
        put(package_folder, OllamaStore(tmp_path / "home"))
    assert [each.name for each in (tmp_path / "home").iterdir()] == ["notes.txt"]
