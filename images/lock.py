"""Updates the images' lock files from ``pyproject.toml``: ``python -m starfreight.images.lock [--upgrade]``.

Every package has one version and the digests of all its files. The build of torch is chosen when an image is
built, so it has files of its own: ``torch-cuda.txt`` (PyPI's build with NVIDIA's libraries) and
``torch-cpu.txt``. ``requirements.txt`` holds everything else, for both builds. Jobs in GitHub Actions install
these files, too; what they need beyond them is beside the action setup-starfreight.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from starfreight.errors import InputError, ServiceError
from starfreight.files import write_bytes

TORCH = "2.13.0"

PYTHON = "3.11"
"""Debian 12's Python; the images start from Debian 12."""

ARCHITECTURES = ("x86_64", "aarch64")
"""A lock covers all of these. Making it fails if their versions differ."""

_TORCH_CPU = f"""\
--index-url https://download.pytorch.org/whl/cpu
torch=={TORCH}+cpu \\
    --hash=sha256:6746dbcbeb526eb61330b76b41ff1b4eb848951103a892eeb080dfa2b264667b
"""
"""For x86_64 only. The digest of torch-2.13.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl."""


_OF_TORCH = re.compile(r"(torch|triton|nvidia-[a-z0-9-]+|cuda-[a-z0-9-]+)==")
_OF_GATEWAY = frozenset({"click", "cryptography", "jinja2", "pydantic", "pyyaml"})
"""All that ``starfreight gateway`` imports; the image of a server has nothing else in it."""

_HEADER = "# Made by `python -m starfreight.images.lock` from pyproject.toml. Do not edit.\n"
_UV_SECONDS = 300


def write_locks(root: Path, *, upgrade: bool = False) -> list[Path]:
    """Writes the lock files of all images into a checkout.

    Args:
        root: the directory of ``pyproject.toml``.
        upgrade: take the newest versions instead of the locked ones.

    Returns:
        The paths of the lock files.

    Raises:
        InputError: uv is not installed.
        ServiceError: no versions satisfy the requirements, or they differ between architectures.
    """
    if find_spec("uv") is None:
        raise InputError("uv is not installed.", fix="pip install uv")
    trainer, packager = root / "images" / "trainer", root / "images" / "packager"
    known = "" if upgrade else _read(trainer / "requirements.txt", trainer / "torch-cuda.txt")
    blocks = _resolve(root, _extras("train", "evaluate", "object-storage"), known)
    of_torch = [block for block in blocks if _OF_TORCH.match(block)]
    others = [block for block in blocks if not _OF_TORCH.match(block)]
    # Packages in both images have the same versions in both.
    of_packager = _resolve(root, _extras("llama"), "".join(blocks))
    files = {
        trainer / "torch-cuda.txt": of_torch,
        trainer / "torch-cpu.txt": [_TORCH_CPU],
        trainer / "requirements.txt": others,
        packager / "requirements.txt": of_packager,
        root / "images" / "gateway" / "requirements.txt": needed_by(_OF_GATEWAY, of_packager),
    }
    action = root / ".github" / "actions" / "setup-starfreight"
    files[action / "build.txt"] = needed_by(frozenset({"setuptools"}), blocks)
    for extra in ("sigstore", "kubernetes"):
        needed = _resolve(root, _extras("llama", extra), "".join([*blocks, *of_packager]))
        _check_versions(needed, [*blocks, *of_packager])
        files[action / f"{extra}.txt"] = [
            each for each in needed if _name(each) not in map(_name, of_packager)
        ]
    for path, lines in files.items():
        write_bytes(path, (_HEADER + "".join(lines)).encode())
    return list(files)


def needed_by(names: frozenset[str], blocks: list[str]) -> list[str]:
    """The blocks of some packages and of all that those need, found by the annotations ``# via``."""
    dependents = {
        block.partition("==")[0]: set(re.split(r"[,\s]+", block.partition("# via ")[2])) for block in blocks
    }
    found = names & dependents.keys()
    while more := {name for name, via in dependents.items() if via & found} - found:
        found |= more
    return [block for block in blocks if block.partition("==")[0] in found]


def _check_versions(blocks: list[str], locked: list[str]) -> None:
    """Refuses packages that are locked in another version."""
    versions = {_name(block): block.split()[0] for block in locked}
    for block in blocks:
        if versions.get(_name(block), block.split()[0]) != block.split()[0]:
            raise ServiceError(f"{versions[_name(block)]} is locked, and an extra needs {block.split()[0]}.")


def _name(block: str) -> str:
    return block.partition("==")[0]


def _extras(*names: str) -> tuple[str, ...]:
    return tuple(word for name in names for word in ("--extra", name))


def _read(*paths: Path) -> str:
    return "".join(path.read_text() for path in paths if path.is_file())


def _resolve(root: Path, extras: tuple[str, ...], known: str) -> list[str]:
    """A block of text for each package: version, digests of its files and dependents."""
    first, *others = [_compile(root, extras, known, machine) for machine in ARCHITECTURES]
    if any(other != first for other in others):
        raise ServiceError("The versions differ between architectures.", where=", ".join(ARCHITECTURES))
    return first


def _compile(root: Path, extras: tuple[str, ...], known: str, machine: str) -> list[str]:
    with tempfile.TemporaryDirectory() as folder:
        constraints, out = Path(folder, "constraints.txt"), Path(folder, "lock.txt")
        constraints.write_text(f"torch=={TORCH}\n")
        out.write_text(known)
        command = [
            sys.executable, "-m", "uv", "pip", "compile", "pyproject.toml", *extras,
            "--constraint", str(constraints),
            "--python-version", PYTHON, "--python-platform", f"{machine}-manylinux_2_28",
            "--only-binary", ":all:", "--generate-hashes", "--no-header", "--no-config", "--quiet",
            "--annotation-style", "line", "--output-file", str(out),
        ]  # fmt: skip
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=_UV_SECONDS)
        if done.returncode:
            raise ServiceError(
                f"uv found no versions that satisfy the requirements: {done.stderr.strip()[-2000:]}"
            )
        # The annotations name the temporary file of constraints.
        lines = [line for line in out.read_text().splitlines(keepends=True) if not line.startswith("#")]
    text = re.sub(r" *# via .*", lambda via: via[0].replace(f"-c {constraints}, ", ""), "".join(lines))
    return re.findall(r"^[^ \n].*\n(?:[ ]+.*\n)*", text, re.MULTILINE)


def main() -> None:
    """The command line of this module."""
    parser = argparse.ArgumentParser(description="Update the lock files of the images.")
    parser.add_argument("--upgrade", action="store_true", help="take the newest versions")
    for path in write_locks(Path(__file__).parents[2], upgrade=parser.parse_args().upgrade):
        print(path)


if __name__ == "__main__":
    main()
