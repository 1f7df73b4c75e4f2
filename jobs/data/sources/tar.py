"""Unpacks a tar archive that somebody else made: regular files and folders, and nothing else.

``tarfile`` reads the format. What it would do for a friend it does not get to do here: no member
leaves the folder, no link is made, no file takes another's place, nothing is larger than the
archive itself, and no header is read that could fill the memory.
"""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path

from starfreight.errors import InputError
from starfreight.jobs.data.sources.safe_names import why_unsafe

MAX_MEMBERS = 2_000_000

_MAX_EXTENSION = 64 << 10
"""Bytes of a header that gives a long name or pax records: tarfile reads them whole."""
_EXTENSIONS = (
    tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)  # fmt: skip


class _Unsafe(Exception):
    """What is wrong, after "The archive"."""


class _Header(tarfile.TarInfo):
    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> _Header:
        header = super().frombuf(buf, encoding, errors)
        if header.size < 0 or (header.type in _EXTENSIONS and header.size > _MAX_EXTENSION):
            raise _Unsafe("has a header of a size that no sound one has")
        return header


def unpack(archive: Path, folder: Path, where: str) -> None:
    """Unpacks an archive that is not compressed into a folder, which may hold files already.

    Modes, owners and times are not taken over.

    Args:
        archive: the file.
        folder: where to.
        where: what an error names.

    Raises:
        InputError: it is no tar archive, is damaged, or holds anything but files and folders that stay
            inside and are there once.
    """
    room = archive.stat().st_size
    count = 0
    try:
        # As a stream: it reads on and never back, so it ends where the file ends.
        with tarfile.open(archive, "r|", tarinfo=_Header, encoding="utf-8") as tar:
            while (member := tar.next()) is not None:
                tar.members.clear()  # type: ignore[attr-defined]  # It would keep them all.
                count += 1
                room -= member.size
                if count > MAX_MEMBERS or member.size < 0 or room < 0:
                    raise _Unsafe("holds more than its size allows")
                _unpack_member(tar, member, folder)
    except _Unsafe as error:
        raise _refused(str(error), where) from None
    except (FileExistsError, NotADirectoryError, IsADirectoryError):
        raise _refused("holds two files of one name", where) from None
    except (tarfile.TarError, EOFError, ValueError, LookupError, OverflowError, RecursionError) as error:
        raise _refused(f"is damaged, or is no tar archive ({error})", where) from error
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
        raise _Unsafe(f"holds {shown}, a name that {reason}")
    target = folder / name
    if member.isdir():
        target.mkdir(parents=True, exist_ok=True)
        return
    if not member.isreg() or member.issparse():
        kind = "a link" if member.issym() or member.islnk() else "no regular file"
        raise _Unsafe(f"holds {shown}, which is {kind}")
    target.parent.mkdir(parents=True, exist_ok=True)
    source = tar.extractfile(member)
    assert source is not None
    with source, target.open("xb") as stream:
        shutil.copyfileobj(source, stream, 1 << 20)
        if stream.tell() != member.size:
            raise _Unsafe("ends too soon")


def _refused(what: str, where: str) -> InputError:
    return InputError(
        f"The archive {what}.", where=where, fix="make it again, of the regular files in one folder"
    )
