"""Rebuild a package's GGUF files, and compare each with the published one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starfreight.checkpoint import StreamedBase
from starfreight.console import Console, human_count
from starfreight.directory_lock import only_one
from starfreight.errors import InputError, StarfreightError
from starfreight.files import sweep_partials
from starfreight.image_layout.reader import ImageLayout
from starfreight.packager.layout import verify_layout
from starfreight.packager.provenance.rebuild.check_inputs import check_adapter, check_base, check_imatrix
from starfreight.packager.provenance.rebuild.compare_files import FileDifference, compare_files
from starfreight.packager.provenance.rebuild.press_again import (
    PressInputs,
    check_space,
    press_again,
    work_directory,
)
from starfreight.packager.provenance.rebuild.recorded_build import (
    RecordedBuild,
    RecordedFile,
    read_recorded_build,
)
from starfreight.packager.provenance.rebuild.tool_versions import OtherVersion, other_versions
from starfreight.quantization import Quantization

if TYPE_CHECKING:
    from starfreight.packager.hashed_file import HashedFile
    from starfreight.packager.registry.open_package import Opened


@dataclass(frozen=True)
class RebuildRequest:
    """Request to rebuild a package's files.

    Attributes:
        base: the base model: its directory, or one whose weights stay at their source.
        adapter: directory of the adapter.
        imatrix: the importance matrix; needed if the package was built with one.
        quantizations: files to rebuild; all of them if empty.
        out: directory to keep the files in; ``None`` to keep none.
        fetch: download a published file that differs, to find its first difference.
        threads: number of threads; ``None`` for one per core.
    """

    base: Path | StreamedBase
    adapter: Path
    imatrix: Path | None = None
    quantizations: tuple[str, ...] = ()
    out: Path | None = None
    fetch: bool = False
    threads: int | None = None


@dataclass(frozen=True)
class RebuiltFile:
    """A file that was made again.

    Attributes:
        name: as in the statement.
        size: of the published file, in bytes.
        published: its digest.
        rebuilt: digest of the new file.
        difference: the first difference; ``None`` if there is none or it was not looked for.
        unknown: reason why the difference was not looked for.
    """

    name: str
    size: int
    published: str
    rebuilt: str
    difference: FileDifference | None = None
    unknown: str | None = None

    @property
    def is_identical(self) -> bool:
        """True if both files have the same bytes."""
        return self.published == self.rebuilt

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "name": self.name,
            "identical": self.is_identical,
            "published": self.published,
            "rebuilt": self.rebuilt,
            "size": self.size,
            "difference": self.difference.as_dict() if self.difference else None,
            "unknown": self.unknown,
        }


@dataclass(frozen=True)
class Rebuilt:
    """The result.

    Attributes:
        where: the package as the user named it.
        files: in the package's order.
        versions: tools of another version than the recorded one.
        out: directory of the rebuilt files, if they are kept.
    """

    where: str
    files: tuple[RebuiltFile, ...]
    versions: tuple[OtherVersion, ...]
    out: Path | None

    @property
    def is_identical(self) -> bool:
        """True if all files have the published bytes."""
        return all(each.is_identical for each in self.files)

    def as_dict(self) -> Mapping[str, Any]:
        """For ``--json``."""
        return {
            "package": self.where,
            "identical": self.is_identical,
            "files": [each.as_dict() for each in self.files],
            "other_versions": [
                {"name": each.name, "recorded": each.recorded, "installed": each.installed}
                for each in self.versions
            ],
            "out": str(self.out) if self.out else None,
        }

    def as_lines(self) -> list[str]:
        """For people."""
        width = max(len(each.name) for each in self.files)
        lines = []
        for each in self.files:
            verdict = "bit-identical" if each.is_identical else "DIFFERS"
            size = human_count(each.size, "B")
            lines.append(f"  {each.name:{width}}  {verdict:13}  {size:>9}  {each.published}")
            if not each.is_identical:
                lines.append(f"    rebuilt as {each.rebuilt}")
            if each.difference is not None:
                lines += [f"    {line}" for line in each.difference.as_lines()]
            if each.unknown is not None:
                lines.append(f"    {each.unknown}")
        if not self.is_identical:
            causes = "; ".join(map(str, self.versions))
            lines.append(
                f"Likely cause: other versions of tools ({causes})."
                if causes
                else "All recorded tools have the same versions here: the files were made otherwise."
            )
        return lines


def rebuild_package(opened: Opened, request: RebuildRequest, console: Console) -> Rebuilt:
    """Make the files of a package again, and compare them with the published ones.

    A directory is verified first. From a registry, the record's digests are enough unless a file differs.

    Args:
        opened: the package.
        request: inputs and options.
        console: shows progress.

    Raises:
        InputError: an input is missing, invalid or not needed, or the package has no such quantization.
        GateError: an input is not the one in the statement, or the package is damaged.
        ServiceError: the disk is full, or a registry or the hub fails.
    """
    build = read_recorded_build(opened)
    files = _chosen(build, request.quantizations)
    check_imatrix(request.imatrix, build.provenance, console)
    check_adapter(request.adapter, build.provenance, console)
    check_base(request.base, build.provenance, console)
    if opened.reference is None:
        verify_layout(opened.folder, console)
    inputs = PressInputs(request.base, request.adapter, request.imatrix, request.threads)
    console.heading("Making the files again from base and adapter")
    if request.out is None:
        made = press_again(build, files, inputs, None, console)
    else:
        with only_one(request.out, "rebuilding"):
            sweep_partials(request.out)
            made = press_again(build, files, inputs, request.out, console)
    differing = [each for each in files if made[each.name].digest != each.file.digest]
    found = _differences(opened, build, differing, inputs, made, request, console)
    return Rebuilt(
        opened.where,
        tuple(
            found.get(each.name)
            or RebuiltFile(each.name, each.file.size, each.file.digest, made[each.name].digest)
            for each in files
        ),
        other_versions(build.provenance, training=False),
        request.out,
    )


def _chosen(build: RecordedBuild, names: tuple[str, ...]) -> tuple[RecordedFile, ...]:
    if not names:
        return build.files
    wanted = {Quantization.parse(name) for name in names}
    missing = wanted - {each.quantization for each in build.files}
    if missing:
        there = ", ".join(str(each.quantization) for each in build.files if each.quantization)
        raise InputError(
            f"The package has no {sorted(map(str, missing))[0]}.",
            where=build.package.name,
            fix=f"choose from {there}",
        )
    return tuple(each for each in build.files if each.quantization is None or each.quantization in wanted)


def _differences(
    opened: Opened,
    build: RecordedBuild,
    files: list[RecordedFile],
    inputs: PressInputs,
    made: Mapping[str, HashedFile],
    request: RebuildRequest,
    console: Console,
) -> dict[str, RebuiltFile]:
    """Compare each differing file with the published one, one at a time."""
    found = {}
    for each in files:
        difference, unknown = None, None
        with work_directory() as work:
            try:
                published = _published(opened, each, work, console, fetch=request.fetch)
                if published is None:
                    unknown = "--compare downloads the published file and names the first difference"
                else:
                    rebuilt = request.out or work / "rebuilt"
                    if request.out is None:
                        console.note(
                            f"{each.name} differs. Making it once more, to find the first difference."
                        )
                        press_again(build, [each], inputs, rebuilt, console)
                    difference = compare_files(published, rebuilt / each.name)
            except StarfreightError as error:
                unknown = f"the first difference is unknown: {error}"
            except (ValueError, OSError) as error:
                unknown = f"the first difference is unknown: a file is not a valid GGUF file: {error}"
        found[each.name] = RebuiltFile(
            each.name, each.file.size, each.file.digest, made[each.name].digest, difference, unknown
        )
    return found


def _published(
    opened: Opened, file: RecordedFile, work: Path, console: Console, *, fetch: bool
) -> Path | None:
    """The published file; ``None`` if it is in a registry and may not be downloaded."""
    if opened.reference is None:
        return ImageLayout(opened.folder).blob_path(file.file.digest)
    if not fetch or opened.client is None:
        return None
    from starfreight.registry.fetch_blob import fetch_blob

    check_space(work, file.file.size)
    path = work / "published.gguf"
    with console.progress(f"Downloading {file.name}", total=file.file.size, unit="B") as advance:
        fetch_blob(opened.client, file.file, path, advance)
    return path
