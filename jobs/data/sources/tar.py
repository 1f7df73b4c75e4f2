"""Unpacks untrusted tar archives: regular files and directories only.

``tarfile`` reads the format, within the bounds of :mod:`starfreight.jobs.bounded_tar`. No member leaves the
directory, no link is created, no file is overwritten, and the contents are not larger than the archive.
"""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path

from starfreight.errors import InputError
from starfreight.files import open_regular
from starfreight.jobs.bounded_tar import TAR_ERRORS, UnsafeArchiveError, open_archive
from starfreight.jobs.data.sources.safe_names import why_unsafe

MAX_MEMBERS = 2_000_000


def unpack(archive: Path, folder: Path, where: str) -> None:
    """Unpack an uncompressed archive into a directory, which may already contain files.

    Modes, owners and times are not restored.

    Args:
        archive: the file.
        folder: the directory to unpack into.
        where: for errors.

    Raises:
        InputError: it is not a tar archive, is damaged, or has a member that is not a regular file or
            directory, leaves the directory, or exists already.
    """
    room = archive.stat().st_size
    count = 0
    try:
        with open_regular(archive, "archive") as stream, open_archive(stream) as tar:
            while (member := tar.next()) is not None:
                tar.members.clear()  # type: ignore[attr-defined]  # It would keep all of them.
                count += 1
                room -= member.size
                if count > MAX_MEMBERS or member.size < 0 or room < 0:
                    raise UnsafeArchiveError("contains more than its size allows")
                _unpack_member(tar, member, folder)
    except UnsafeArchiveError as error:
        raise _refused(str(error), where) from None
    except (FileExistsError, NotADirectoryError, IsADirectoryError):
        raise _refused("contains two files of the same name", where) from None
    except TAR_ERRORS as error:
        raise _refused(f"is damaged or not a tar archive ({error})", where) from error
    if not count:
        raise _refused("is empty", where)


def _unpack_member(tar: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    name = member.name.rstrip("/")
    while name.startswith("./"):
        name = name.removeprefix("./")
    if member.isdir() and name in ("", "."):
        return
    shown = ascii(member.name[:100])
    if reason := why_unsafe(name):
        raise UnsafeArchiveError(f"contains {shown}, a name that {reason}")
    target = folder / name
    if member.isdir():
        target.mkdir(parents=True, exist_ok=True)
        return
    if not member.isreg() or member.issparse():
        kind = "a link" if member.issym() or member.islnk() else "not a regular file"
        raise UnsafeArchiveError(f"contains {shown}, which is {kind}")
    target.parent.mkdir(parents=True, exist_ok=True)
    source = tar.extractfile(member)
    assert source is not None
    with source, target.open("xb") as stream:
        shutil.copyfileobj(source, stream, 1 << 20)
        if stream.tell() != member.size:
            raise UnsafeArchiveError("ends too soon")


def _refused(what: str, where: str) -> InputError:
    return InputError(
        f"The archive {what}.", where=where, fix="create it again from regular files in one directory"
    )
