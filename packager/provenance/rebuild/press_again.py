"""Run the press again as a package records its run."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from starfreight.checkpoint import StreamedBase
from starfreight.console import Console, human_count
from starfreight.errors import ServiceError
from starfreight.files import disk_errors
from starfreight.packager.hashed_file import HashedFile
from starfreight.packager.press import LoraRequest, PressRequest, press, press_lora
from starfreight.packager.press.open_base import open_checked
from starfreight.packager.provenance.rebuild.recorded_build import RecordedBuild, RecordedFile
from starfreight.run import IMATRIX_FILE


@dataclass(frozen=True)
class PressInputs:
    """Checked inputs of the press.

    Attributes:
        base: the base model.
        adapter: directory of the adapter.
        imatrix: the importance matrix, if there is one.
        threads: number of threads; ``None`` for one per core.
    """

    base: Path | StreamedBase
    adapter: Path
    imatrix: Path | None
    threads: int | None


def press_again(
    build: RecordedBuild,
    files: Sequence[RecordedFile],
    inputs: PressInputs,
    out: Path | None,
    console: Console,
) -> dict[str, HashedFile]:
    """Make files of a package again.

    Args:
        build: the recorded build.
        files: those to make.
        inputs: checked.
        out: directory of the files; ``None`` to compute their digests alone, with no disk.
        console: shows progress.

    Returns:
        The files by name. Without ``out``, their paths do not exist.

    Raises:
        InputError: an input is invalid.
        ServiceError: the disk is full.
    """
    with work_directory() as work, disk_errors(out or work):
        if out is not None:
            check_space(out, sum(each.file.size for each in files))
        checkpoint = open_checked(inputs.base)
        made: list[HashedFile] = []
        quantizations = tuple(each.quantization for each in files if each.quantization is not None)
        if quantizations:
            request = PressRequest(
                base=checkpoint,
                adapter=inputs.adapter if build.merged else None,
                quantizations=quantizations,
                out=out or work,
                name=build.stem,
                identity=build.model_identity,
                threads=inputs.threads,
                merge_base=build.merge_base if build.merged else "original",
                load_dtype=build.load_dtype,
                imatrix=_named(inputs.imatrix, work),
                keep=out is not None,
            )
            made += press(request, console)
        if any(each.quantization is None for each in files):
            lora = LoraRequest(checkpoint, inputs.adapter, out or work, build.package.name, build.identity)
            made.append(press_lora(lora, console))
        return {each.path.name: each for each in made}


@contextlib.contextmanager
def work_directory() -> Iterator[Path]:
    """A temporary directory, deleted at the end."""
    with disk_errors(Path(tempfile.gettempdir())):
        made = tempfile.TemporaryDirectory(prefix="starfreight-rebuild-", ignore_cleanup_errors=True)
    with made as name:
        yield Path(name)


def check_space(folder: Path, needed: int) -> None:
    """Check that a disk can hold files.

    Raises:
        ServiceError: it cannot.
    """
    place = folder
    while not place.is_dir() and place != place.parent:
        place = place.parent
    free = shutil.disk_usage(place).free
    if free < needed:
        raise ServiceError(
            f"The disk has {human_count(free, 'B')} free; the files need {human_count(needed, 'B')}.",
            where=str(place),
            fix="free some space, choose another directory with --out (or TMPDIR), or name fewer files",
        )


def _named(imatrix: Path | None, work: Path) -> Path | None:
    """The importance matrix under the name that runs give it: files made with it hold its name."""
    if imatrix is None:
        return None
    link = work / IMATRIX_FILE
    link.symlink_to(imatrix.resolve())
    return link
