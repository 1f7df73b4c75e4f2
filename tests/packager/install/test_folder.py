"""Plain files, for llama.cpp, LM Studio, ``ollama create`` and a hub."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from starfreight.console import Console
from starfreight.errors import GateError, InputError
from starfreight.files import sha256_bytes
from starfreight.package import Package
from starfreight.packager.hashed_file import HashedFile
from starfreight.packager.install import Installed
from starfreight.packager.install.export import export_package
from starfreight.packager.install.folder import Folder
from starfreight.packager.layout import ImageLayout
from starfreight.packager.layout.write_package import PackageContents, write_package
from starfreight.packager.layout.writer import open_writer
from starfreight.packager.modelfile import parse_modelfile
from starfreight.quantization import Quantization

Put = Callable[..., Installed]

FILES = {
    "tiny-coder-Q4_K_M.gguf", "Modelfile", "README.md", "LICENSE", "LICENSE-MIT.txt", "provenance.intoto.json"
}  # fmt: skip


def names(folder: Path) -> set[str]:
    return {each.name for each in folder.iterdir()}


def test_one_variant_with_all_that_belongs_to_it(
    put: Put, package_folder: Path, package: Package, tmp_path: Path
) -> None:
    installed = put(package_folder, Folder(tmp_path / "files"))
    assert names(tmp_path / "files") == FILES
    layout, files = ImageLayout(package_folder), tmp_path / "files"
    assert (files / "tiny-coder-Q4_K_M.gguf").read_bytes() == layout.blob_path(
        package.default_variant.gguf.digest
    ).read_bytes()
    assert (files / "LICENSE").read_bytes() == b"The license.\n"
    assert (files / "provenance.intoto.json").read_bytes() == layout.read(package.provenance)
    modelfile = parse_modelfile((files / "Modelfile").read_bytes())
    assert modelfile.base == "./tiny-coder-Q4_K_M.gguf"
    assert modelfile.template == "{{ .Prompt }}"
    assert modelfile.parameters() == {"stop": ("<file_sep>", "<|endoftext|>"), "temperature": 0.2}
    assert modelfile.licenses == ("The license.\n", "Another license.\n")
    assert "ollama create" in installed.next


def test_the_next_commands_can_be_pasted(put: Put, package_folder: Path, tmp_path: Path) -> None:
    installed = put(package_folder, Folder(tmp_path / "my models"))
    run, create = (shlex.split(command) for command in installed.next.split(", or "))
    assert run == ["llama-cli", "-m", str(tmp_path / "my models" / "tiny-coder-Q4_K_M.gguf")]
    assert create[-2:] == ["-f", str(tmp_path / "my models" / "Modelfile")]


def test_a_second_time_nothing_is_written_again(put: Put, package_folder: Path, tmp_path: Path) -> None:
    put(package_folder, Folder(tmp_path / "files"))
    gguf = tmp_path / "files/tiny-coder-Q4_K_M.gguf"
    before = gguf.stat().st_ino
    (tmp_path / "files/README.md").write_text("mine, of another length")
    put(package_folder, Folder(tmp_path / "files"))
    assert gguf.stat().st_ino == before
    assert (tmp_path / "files/README.md").read_bytes() == b"# Tiny coder\n"


def test_a_wrong_file_of_the_right_size_is_replaced(put: Put, package_folder: Path, tmp_path: Path) -> None:
    put(package_folder, Folder(tmp_path / "files"))
    gguf = tmp_path / "files/tiny-coder-Q4_K_M.gguf"
    right = gguf.read_bytes()
    gguf.write_bytes(b"x" * len(right))
    put(package_folder, Folder(tmp_path / "files"))
    assert gguf.read_bytes() == right


def test_a_link_in_the_place_of_a_file_is_replaced_not_followed(
    put: Put, package_folder: Path, tmp_path: Path
) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (tmp_path / "files").mkdir()
    for name in FILES:
        (tmp_path / "files" / name).symlink_to(victim)
    put(package_folder, Folder(tmp_path / "files"))
    assert victim.read_text() == "mine"
    assert not any(each.is_symlink() for each in (tmp_path / "files").iterdir())


@pytest.mark.parametrize("other", ["notes.txt", "tiny-coder-Q8_0.gguf", ".git"])
def test_a_directory_with_other_files_is_left_alone(
    other: str, put: Put, package_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / other).write_text("mine")
    with pytest.raises(InputError, match="something other"):
        put(package_folder, Folder(tmp_path / "files"))
    assert names(tmp_path / "files") == {other}


def test_a_corrupt_byte_is_never_written(
    put: Put, package_folder: Path, package: Package, tmp_path: Path
) -> None:
    path = ImageLayout(package_folder).blob_path(package.default_variant.gguf.digest)
    data = bytearray(path.read_bytes())
    data[7] ^= 1
    path.write_bytes(data)
    with pytest.raises(GateError):
        put(package_folder, Folder(tmp_path / "files"))
    assert "Modelfile" not in names(tmp_path / "files")
    assert not [each for each in names(tmp_path / "files") if each.endswith(".gguf")]


def test_an_export_has_every_variant_and_the_modelfile_of_the_default(
    package_folder: Path, tmp_path: Path, console: Console
) -> None:
    export_package(package_folder, tmp_path / "files", (), console)
    assert names(tmp_path / "files") == FILES | {"tiny-coder-Q8_0.gguf", "record"}
    assert b"FROM ./tiny-coder-Q4_K_M.gguf" in (tmp_path / "files/Modelfile").read_bytes()


def test_an_export_of_chosen_variants_has_the_first_ones_modelfile(
    package_folder: Path, tmp_path: Path, console: Console
) -> None:
    export_package(package_folder, tmp_path / "files", ("Q8_0",), console)
    assert b"FROM ./tiny-coder-Q8_0.gguf" in (tmp_path / "files/Modelfile").read_bytes()
    assert "tiny-coder-Q4_K_M.gguf" not in names(tmp_path / "files")


def test_an_adapter_is_beside_its_base(
    make_contents: Callable[..., PackageContents], tmp_path: Path, console: Console
) -> None:
    lora = tmp_path / "lora.gguf"
    lora.write_bytes(b"GGUF lora")
    adapter = HashedFile(lora, sha256_bytes(b"GGUF lora"), len(b"GGUF lora"))
    contents = make_contents({Quantization.Q4_K_M: b"GGUF base"}, adapter=adapter)
    write_package(tmp_path / "package", contents, console)
    export_package(tmp_path / "package", tmp_path / "files", (), console)
    modelfile = parse_modelfile((tmp_path / "files/Modelfile").read_bytes())
    assert modelfile.base == "./tiny-coder-base-Q4_K_M.gguf"
    assert modelfile.adapter == "./tiny-coder-F16-LoRA.gguf"
    assert (tmp_path / "files/tiny-coder-F16-LoRA.gguf").read_bytes() == b"GGUF lora"


@pytest.mark.parametrize("below", [".", "x", "blobs/x/y"])
def test_a_package_directory_is_no_target(below: str, put: Put, package_folder: Path) -> None:
    before = names(package_folder)
    with pytest.raises(InputError):
        put(package_folder, Folder(package_folder / below))
    assert names(package_folder) == before


def test_a_package_is_not_written_into_another(package_folder: Path, console: Console) -> None:
    with pytest.raises(InputError, match="inside a package"), open_writer(package_folder / "x", console):
        pass
