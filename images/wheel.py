"""Starfreight's own wheel: built from a checkout, or packed again from an installation by pip.

    project = build_wheel(folder)
    project.wheel, project.revision, project.created

The same sources give the same bytes: all files in the archive have the earliest time a zip file can hold.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from starfreight.directories import discard, refuse_link
from starfreight.errors import InputError, ServiceError
from starfreight.files import PARTIAL_PREFIX, canonical_json, disk_errors, sha256_bytes, sha256_file

_EARLIEST = 315532800
"""1 January 1980, the earliest time that a zip archive can hold. Stands for an unknown time."""

_ROOMS = ("images", "jobs", "packager")
"""Directories that are packages inside ``starfreight``, where a checkout has symbolic links to them."""

_LINKED = (*_ROOMS, "docs", "examples", "kubernetes")
"""All directories inside ``starfreight`` to which a checkout has symbolic links."""

_PACKAGED = ("pyproject.toml", "README.md", "LICENSE", "starfreight", *_LINKED)
"""The sources of a wheel; the rest of a checkout does not change it."""

_COMMAND = "starfreight/bin/starfreight"
"""The command's script. A wheel has it twice: here, and where pip finds scripts to install."""

_ADDRESS = re.compile(r"(?:(?:https|ssh)://)?(?:[^/@]*@)?([a-z0-9.-]+)[:/]([A-Za-z0-9._/~-]+?)(?:\.git)?/?")
_BUILD = "import sys, setuptools.build_meta as backend; backend.build_wheel(sys.argv[1])"
_SETUPTOOLS = 77
_SECONDS = 120
_KEPT = 4

_OURS = re.compile(r"[0-9a-f]{16}")
"""Name of a directory of the cache."""


@dataclass(frozen=True)
class Project:
    """The wheel and its origin."""

    wheel: Path
    revision: str | None
    """The commit, followed by ``-dirty`` if files differ from it; ``None`` outside a checkout."""
    created: int
    """The commit's time in seconds since 1970, or SOURCE_DATE_EPOCH if it is set."""
    source: str | None = None
    """The repository's address, if the checkout was cloned from one."""


def build_wheel(cache: Path) -> Project:
    """Builds the wheel of the running Starfreight, or finds it in the cache.

    Args:
        cache: a directory of wheels, each under the digest of its sources; the newest few are kept.

    Raises:
        InputError: Starfreight runs neither from a checkout nor from an installed wheel, or the cache is a
            symbolic link.
        ServiceError: the disk is full, or the build fails.
    """
    refuse_link(cache, below=cache.parent)
    root = Path(__file__).parents[2]
    if not (root / "pyproject.toml").is_file():
        return Project(_from_installation(cache), None, _created(None))
    inside_git = (root / ".git").exists()
    sources = _listed(root) if inside_git else _walked(root)
    created = _created(_git(root, "log", "-1", "--format=%ct") if inside_git else None)
    revision = None
    if inside_git:
        changed = _git(root, "status", "--porcelain", "--", *_PACKAGED)
        revision = _git(root, "rev-parse", "HEAD") + ("-dirty" if changed else "")
    digests = {name: sha256_file(root / name) for name in sources}
    made_by = [sys.version, _setuptools_version()]
    wanted = cache / sha256_bytes(canonical_json([digests, made_by])).removeprefix("sha256:")[:16]
    refuse_link(wanted, below=cache)
    with disk_errors(wanted):
        if not wanted.is_dir():
            with _whole_folder(wanted) as partial:
                _build(root, sources, partial)
            _forget_older(cache)
        return Project(_only_wheel(wanted), revision, created, _source(root) if inside_git else None)


def _created(commit: str | None) -> int:
    """SOURCE_DATE_EPOCH if it is set, otherwise the commit's time."""
    text = os.environ.get("SOURCE_DATE_EPOCH") or commit or str(_EARLIEST)
    # Eleven digits last until the year 5138; later dates have years of five digits.
    if not re.fullmatch(r"[0-9]{1,11}", text):
        raise InputError("It is not a number of seconds.", where=f"SOURCE_DATE_EPOCH={text}", fix="unset it")
    return max(int(text), _EARLIEST)


def _git(root: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=root, capture_output=True, text=True, timeout=_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", None) or error
        raise InputError(
            f"git cannot read the checkout that Starfreight runs from: {said}".strip(), where=str(root)
        ) from error
    return done.stdout.strip()


def _source(root: Path) -> str | None:
    """The address that the checkout was cloned from, without any credentials in it."""
    found = _ADDRESS.fullmatch(_git(root, "config", "--default", "", "--get", "remote.origin.url"))
    return f"https://{found[1]}/{found[2]}" if found else None


def _listed(root: Path) -> list[str]:
    names = _git(root, "ls-files", "--cached", "--others", "--exclude-standard", "-z", "--", *_PACKAGED)
    return sorted({name for name in names.split("\0") if name and (root / name).is_file()})


def _walked(root: Path) -> list[str]:
    # pathlib does not follow links here, so each file is found once.
    found = [
        path for part in _PACKAGED for path in [root / part, *(root / part).rglob("*")] if path.is_file()
    ]
    return sorted(path.relative_to(root).as_posix() for path in found if "__pycache__" not in path.parts)


def _setuptools_version() -> str:
    try:
        version = importlib.metadata.version("setuptools")
    except importlib.metadata.PackageNotFoundError:
        version = "0"
    if int(version.split(".")[0]) < _SETUPTOOLS:
        raise InputError(
            f"Building the wheel of a checkout needs setuptools {_SETUPTOOLS} or newer.",
            fix=f"pip install 'setuptools>={_SETUPTOOLS}'",
        )
    return version


def _build(root: Path, sources: list[str], out: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="starfreight-wheel-") as folder:
        for name in sources:
            # Each directory is copied to where the checkout has a link to it.
            target = Path(folder, "starfreight" if name.split("/")[0] in _LINKED else "", name)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(root / name, target)
            # The wheel must not depend on the umask at checkout.
            target.chmod(0o644)
        done = subprocess.run(
            [sys.executable, "-c", _BUILD, str(out.resolve())],
            cwd=folder,
            env={**os.environ, "SOURCE_DATE_EPOCH": str(_EARLIEST)},
            capture_output=True, text=True, timeout=_SECONDS,
        )  # fmt: skip
    if done.returncode:
        raise ServiceError(f"The wheel cannot be built: {done.stderr.strip()[-2000:]}", where=str(root))


def _from_installation(cache: Path) -> Path:
    """The wheel that pip installed, from the files in its RECORD."""
    distribution = importlib.metadata.distribution("starfreight")
    files = {}
    for file in distribution.files or []:
        made_by_pip = file.name in ("RECORD", "INSTALLER", "REQUESTED", "direct_url.json")
        if made_by_pip or file.suffix == ".pyc" or ".." in file.parts:
            continue
        try:
            files[file.as_posix()] = Path(str(file.locate())).read_bytes()
        except OSError as error:
            raise InputError(
                f"A file of this Starfreight cannot be read: {error.strerror}.",
                where=str(file.locate()),
                fix="install it again: pip install --force-reinstall starfreight",
            ) from error
    metadata = [name.split("/")[0] for name in files if name.endswith(".dist-info/METADATA")]
    if len(metadata) != 1 or not {"starfreight/__init__.py", _COMMAND} <= files.keys():
        raise InputError(
            "No wheel can be made of this Starfreight, since it was not installed from one.",
            where=str(Path(__file__).parents[2]),
            fix="run the command in a checkout, or pip install starfreight",
        )
    name = metadata[0].removesuffix(".dist-info")
    files[f"{name}.data/scripts/starfreight"] = files[_COMMAND]
    record = "".join(
        f"{name},sha256={_record_hash(data)},{len(data)}\n" for name, data in sorted(files.items())
    )
    files[f"{metadata[0]}/RECORD"] = f"{record}{metadata[0]}/RECORD,,\n".encode()
    digest = sha256_bytes(record.encode()).removeprefix("sha256:")[:16]
    wanted = cache / digest
    refuse_link(wanted, below=cache)
    with disk_errors(wanted):
        if not wanted.is_dir():
            with _whole_folder(wanted) as partial:
                _pack(partial / f"{name}-py3-none-any.whl", files)
            _forget_older(cache)
        return _only_wheel(wanted)


def _record_hash(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


def _pack(wheel: Path, files: dict[str, bytes]) -> None:
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        # RECORD is last, as the wheel specification recommends.
        for name in sorted(files, key=lambda name: (name.endswith("/RECORD"), name)):
            entry = zipfile.ZipInfo(name, time.gmtime(_EARLIEST)[:6])
            entry.external_attr = (0o100755 if ".data/scripts/" in name else 0o100644) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, files[name])


@contextlib.contextmanager
def _whole_folder(folder: Path) -> Iterator[Path]:
    """A new directory that takes its final name if the block ends without an error."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=PARTIAL_PREFIX, dir=folder.parent))
    try:
        yield partial
        # Another build may have made the same in the meantime.
        if not folder.is_dir():
            partial.rename(folder)
    finally:
        discard(partial, below=folder.parent)


def _only_wheel(folder: Path) -> Path:
    (wheel,) = folder.glob("*.whl")
    return wheel


def _forget_older(cache: Path) -> None:
    folders = sorted(
        (path for path in cache.iterdir() if _OURS.fullmatch(path.name) and path.is_dir()),
        key=lambda path: path.stat().st_mtime,
    )
    for folder in folders[:-_KEPT]:
        discard(folder, below=cache)
