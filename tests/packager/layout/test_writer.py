"""Writing a package: content-addressed, whole or not there, and picked up where it was left."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import resource
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from starfreight.console import Console
from starfreight.directory_lock import only_one
from starfreight.errors import GateError, InputError, RecipeError, ServiceError
from starfreight.files import sha256_bytes
from starfreight.package import Package
from starfreight.packager.hashed_file import QuantizedFile
from starfreight.packager.layout import ImageLayout, open_writer, verify_layout
from starfreight.packager.layout.write_package import PackageContents, write_package
from starfreight.quantization import Quantization

Make = Callable[..., PackageContents]


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_package_is_whole_and_reads_back(tmp_path: Path, make_contents: Make, console: Console) -> None:
    contents = make_contents()
    written = write_package(tmp_path / "p", contents, console)
    assert Package.load(tmp_path / "p") == written
    report = verify_layout(tmp_path / "p", console)
    assert report.problems == ()
    assert report.files == len(files(tmp_path / "p"))
    assert report.bytes == sum(map(len, files(tmp_path / "p").values()))


def test_equal_contents_give_equal_bytes(tmp_path: Path, make_contents: Make, console: Console) -> None:
    for name in ("one", "two"):
        write_package(tmp_path / name, make_contents(), console)
    assert files(tmp_path / "one") == files(tmp_path / "two")


def test_the_gguf_files_are_moved_and_not_copied(
    tmp_path: Path, make_contents: Make, console: Console
) -> None:
    contents = make_contents()
    nodes = {file.digest: file.path.stat().st_ino for file in contents.files}
    write_package(tmp_path / "p", contents, console)
    for file in contents.files:
        assert not file.path.exists()
        assert ImageLayout(tmp_path / "p").blob_path(file.digest).stat().st_ino == nodes[file.digest]


def test_a_file_that_is_to_stay_is_linked(tmp_path: Path, console: Console) -> None:
    source = tmp_path / "model.gguf"
    source.write_bytes(b"weights")
    with open_writer(tmp_path / "p", console) as writer:
        for _ in range(2):
            descriptor = writer.adopt(source, "application/octet-stream", keep=True)
    assert descriptor.digest == sha256_bytes(b"weights")
    assert ImageLayout(tmp_path / "p").blob_path(descriptor.digest).samefile(source)


def test_a_file_of_another_file_system_is_copied_and_checked(
    tmp_path: Path, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    def another_file_system(self: Path, target: Path) -> Path:
        if self.parent == tmp_path:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        return rename(self, target)

    rename = Path.replace
    monkeypatch.setattr(Path, "replace", another_file_system)
    source = tmp_path / "model.gguf"
    source.write_bytes(b"weights")
    with open_writer(tmp_path / "p", console) as writer:
        with pytest.raises(GateError, match="does not have the digest"):
            writer.adopt(source, "application/octet-stream", digest="sha256:" + "0" * 64, size=7)
        descriptor = writer.adopt(source, "application/octet-stream", digest=sha256_bytes(b"weights"), size=7)
    assert ImageLayout(tmp_path / "p").read(descriptor) == b"weights"
    assert not source.exists()
    assert [path.name for path in (tmp_path / "p/blobs/sha256").iterdir()] == [descriptor.digest[7:]]


def test_a_second_call_takes_up_what_lies_there(
    tmp_path: Path, make_contents: Make, console: Console
) -> None:
    contents = make_contents()
    first = write_package(tmp_path / "p", contents, console)
    (tmp_path / "p/package.json").unlink()
    (tmp_path / "p/index.json").unlink()
    nodes = {path.name: path.stat().st_ino for path in (tmp_path / "p/blobs/sha256").iterdir()}
    # The GGUF files are where the first call has moved them.
    assert write_package(tmp_path / "p", contents, console) == first
    assert nodes == {path.name: path.stat().st_ino for path in (tmp_path / "p/blobs/sha256").iterdir()}
    verify_layout(tmp_path / "p", console)


def test_a_blob_that_is_wrong_is_written_again(tmp_path: Path, make_contents: Make, console: Console) -> None:
    package = write_package(tmp_path / "p", make_contents(), console)
    layout = ImageLayout(tmp_path / "p")
    layout.blob_path(package.model_card.digest).write_bytes(b"# Half a ca")
    layout.blob_path(package.default_variant.gguf.digest).write_bytes(b"GGUF four b")
    write_package(tmp_path / "p", make_contents(), console)
    verify_layout(tmp_path / "p", console)


def test_a_wrong_blob_whose_source_is_gone_is_an_error(
    tmp_path: Path, make_contents: Make, console: Console
) -> None:
    contents = make_contents()
    package = write_package(tmp_path / "p", contents, console)
    ImageLayout(tmp_path / "p").blob_path(package.default_variant.gguf.digest).write_bytes(b"GGUF four b")
    with pytest.raises(InputError, match="does not exist") as caught:
        write_package(tmp_path / "p", contents, console)
    assert caught.value.where == str(contents.files[0].path)


def test_a_title_of_two_lines_becomes_one(tmp_path: Path, make_contents: Make, console: Console) -> None:
    package = write_package(tmp_path / "p", make_contents(title="Tiny\n\tcoder "), console)
    assert package.title == "Tiny coder"
    verify_layout(tmp_path / "p", console)


def test_a_changed_package_leaves_nothing_of_the_old_one(
    tmp_path: Path, make_contents: Make, console: Console
) -> None:
    old = write_package(tmp_path / "p", make_contents(), console)
    new = write_package(tmp_path / "p", make_contents({Quantization.F16: b"GGUF half"}), console)
    assert [variant.quantization for variant in new.variants] == [Quantization.F16]
    assert not ImageLayout(tmp_path / "p").blob_path(old.default_variant.gguf.digest).exists()
    verify_layout(tmp_path / "p", console)


@pytest.mark.parametrize("step", ["blob", "index.json", "package.json"])
def test_killed_at_a_step_the_same_call_completes_it(
    step: str, tmp_path: Path, make_contents: Make, console: Console
) -> None:
    contents = make_contents()
    child = os.fork()
    if child == 0:
        replace_file = os.replace
        seen = 0

        def killed(source: Any, target: Any, **directories: int) -> None:
            nonlocal seen
            seen += 1
            if Path(target).name == step or (step == "blob" and seen == 4):
                os.kill(os.getpid(), signal.SIGKILL)
            replace_file(source, target, **directories)

        os.replace = killed
        write_package(tmp_path / "p", contents, console)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert not (tmp_path / "p/package.json").exists()
    write_package(tmp_path / "p", contents, console)
    assert not list((tmp_path / "p").rglob(".partial-*"))
    verify_layout(tmp_path / "p", console)


@contextlib.contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Limits how large a file this process may write, which fails as a full disk does.

    Not for longer than the block: what pytest itself writes to may be larger.
    """
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_no_room_is_an_error_of_the_service_and_leaves_no_half_file(
    tmp_path: Path, make_contents: Make, console: Console
) -> None:
    contents = make_contents(model_card=b"x" * 100_000)
    with largest_file(50_000), pytest.raises(ServiceError, match="No space left to write") as caught:
        write_package(tmp_path / "p", contents, console)
    assert caught.value.exit_code == 4
    assert not (tmp_path / "p/package.json").exists()
    assert not list((tmp_path / "p").rglob(".partial-*"))
    for blob in (tmp_path / "p/blobs/sha256").iterdir():
        assert sha256_bytes(blob.read_bytes()) == "sha256:" + blob.name


def test_a_folder_with_other_things_is_left_alone(
    tmp_path: Path, make_contents: Make, console: Console
) -> None:
    folder = tmp_path / "thesis"
    folder.mkdir()
    (folder / "chapter.txt").write_text("It was")
    contents = make_contents()
    with pytest.raises(InputError, match=r"something other than a package: 'chapter\.txt'"):
        write_package(folder, contents, console)
    assert files(folder) == {"chapter.txt": b"It was"}
    assert contents.files[0].path.exists()


def test_a_blobs_folder_that_leads_elsewhere_is_refused(
    tmp_path: Path, make_contents: Make, console: Console
) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "p").mkdir()
    (tmp_path / "p/blobs").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="symbolic link"):
        write_package(tmp_path / "p", make_contents(), console)
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_two_writers_do_not_write_one_package(tmp_path: Path, make_contents: Make, console: Console) -> None:
    with (
        only_one(tmp_path / "p", "writing a package"),
        pytest.raises(InputError, match="already writing a package"),
    ):
        write_package(tmp_path / "p", make_contents(), console)


def test_what_a_package_cannot_hold_is_refused_before_a_file_moves(
    tmp_path: Path, make_contents: Make, console: Console
) -> None:
    contents = make_contents()
    twice = replace(contents, files=contents.files + contents.files[:1])
    absent = make_contents(default=Quantization.F16)
    for wrong, said in ((twice, "one quantization"), (absent, "none of the package")):
        with pytest.raises(RecipeError, match=said):
            write_package(tmp_path / "p", wrong, console)
    assert all(file.path.exists() for file in (*contents.files, *absent.files))
    assert not (tmp_path / "p").exists()


@pytest.mark.parametrize("kind", ["link", "folder", "shorter"])
def test_a_gguf_that_is_not_what_was_written_is_refused(
    kind: str, tmp_path: Path, make_contents: Make, console: Console
) -> None:
    path = tmp_path / "model.gguf"
    if kind == "link":
        path.symlink_to("/etc/hostname")
    elif kind == "folder":
        path.mkdir()
    else:
        path.write_bytes(b"GG")
    file = QuantizedFile(path, "sha256:" + "0" * 64, 4, Quantization.F16)
    contents = make_contents(files=(file,), default=Quantization.F16)
    with pytest.raises(InputError) as caught:
        write_package(tmp_path / "p", contents, console)
    assert caught.value.where == str(path)


def test_the_index_names_each_variant_and_the_default(
    tmp_path: Path, make_contents: Make, console: Console
) -> None:
    write_package(tmp_path / "p", make_contents(), console)
    index = json.loads((tmp_path / "p/index.json").read_bytes())
    names = [
        each["annotations"]["org.opencontainers.image.ref.name"]
        for each in index["manifests"]
        if "annotations" in each
    ]
    tags = ("q4_K_M", "q8_0", "latest")
    assert names == [tag + suffix for tag in tags for suffix in ("", "-oci", "-docker")]
    assert json.loads((tmp_path / "p/oci-layout").read_bytes()) == {"imageLayoutVersion": "1.0.0"}
