"""The wheel and the sdist of a checkout: equal commits give equal bytes.

    built = build(Path("."), Path("dist"), epoch=1767225600)

The sdist is made of the files that git tracks, the wheel of the sdist, as ``python -m build`` does.
Times, owners, modes and the order of files come from the commit alone; setuptools stamps neither archive.
"""

from __future__ import annotations

import gzip
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

_HOOK = "import sys, setuptools.build_meta as backend; print(backend.build_{kind}(sys.argv[1]))"
_EARLIEST = 315532800
"""1 January 1980: zip archives hold no earlier time."""


@dataclass(frozen=True)
class Built:
    """Paths of the two archives."""

    sdist: Path
    wheel: Path


def commit_time(root: Path) -> int:
    """Seconds since 1970: ``SOURCE_DATE_EPOCH``, or the time of the checkout's commit."""
    given = os.environ.get("SOURCE_DATE_EPOCH")
    text = given or _git(root, "log", "-1", "--format=%ct").strip()
    return max(int(text), _EARLIEST)


def build(root: Path, out: Path, epoch: int) -> Built:
    """Build the sdist and, from it alone, the wheel.

    Args:
        root: the checkout.
        out: directory of the archives; created.
        epoch: the time of all files in them.
    """
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="starfreight-release-") as work:
        source = _tracked(root, Path(work, "source"))
        made = _run_hook("sdist", source, Path(work), epoch)
        sdist = out / made.name
        _normalise(made, sdist, epoch)
        return Built(sdist, build_wheel(sdist, out, epoch))


def build_wheel(sdist: Path, out: Path, epoch: int) -> Path:
    """Build the wheel of an sdist, which needs no git."""
    with tempfile.TemporaryDirectory(prefix="starfreight-release-") as work:
        with tarfile.open(sdist) as archive:
            archive.extractall(work, filter="data")
        (source,) = Path(work).iterdir()
        return _run_hook("wheel", source, out, epoch)


def _tracked(root: Path, folder: Path) -> Path:
    """A copy of the tracked files; links to directories stay links, modes are those that git knows."""
    for line in filter(None, _git(root, "ls-files", "--stage", "-z").split("\0")):
        mode, name = line.split(" ", 1)[0], line.split("\t", 1)[1]
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(root / name, target, follow_symlinks=False)
        if mode != "120000":
            target.chmod(0o755 if mode == "100755" else 0o644)
    return folder


def _run_hook(kind: str, source: Path, out: Path, epoch: int) -> Path:
    done = subprocess.run(
        [sys.executable, "-c", _HOOK.format(kind=kind), str(out.resolve())],
        cwd=source,
        env={**os.environ, "SOURCE_DATE_EPOCH": str(epoch)},
        umask=0o022,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise SystemExit(f"setuptools cannot build the {kind}:\n{done.stderr[-4000:]}")
    return out / done.stdout.splitlines()[-1]


def _normalise(made: Path, target: Path, epoch: int) -> None:
    """Writes an sdist again with members sorted, owned by root and of one time."""
    data = io.BytesIO()
    with (
        tarfile.open(made) as old,
        tarfile.open(fileobj=data, mode="w", format=tarfile.PAX_FORMAT) as new,
    ):
        for member in sorted(old.getmembers(), key=lambda each: each.name):
            member.uid = member.gid = 0
            member.uname = member.gname = ""
            member.mtime = epoch
            member.pax_headers = {}
            member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
            new.addfile(member, old.extractfile(member) if member.isfile() else None)
    with target.open("wb") as raw, gzip.GzipFile("", "wb", 9, raw, mtime=epoch) as stream:
        stream.write(data.getvalue())


def _git(root: Path, *words: str) -> str:
    return subprocess.run(["git", "-C", root, *words], capture_output=True, text=True, check=True).stdout
