"""Finds the compilers and interpreters of a language on this machine."""

from __future__ import annotations

import functools
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from starfreight.jobs.evaluate.programs.languages import Language


@dataclass(frozen=True)
class Toolchain:
    """Tools of a language.

    Attributes:
        tools: their paths, in the order of the language's.
        visible: directories outside ``/usr`` that they need.
    """

    tools: tuple[Path, ...]
    visible: tuple[Path, ...]


@functools.cache
def find_toolchain(language: Language) -> Toolchain | str:
    """The tools of a language; the name of the first one that is missing, if one is."""
    tools, visible = [], []
    for names in language.tools:
        path = next((Path(found) for name in names.split("|") if (found := shutil.which(name))), None)
        if path is None:
            return names.partition("|")[0]
        path = _real(path)
        tools.append(path)
        if not path.is_relative_to("/usr") and path.parent.name == "bin":
            visible.append(path.parent.parent)
        # Debian keeps the settings of the JVM there.
        if language.name == "java":
            visible += [each for each in Path("/etc").glob("java-*") if each.is_dir()]
    return Toolchain(tuple(tools), tuple(dict.fromkeys(visible)))


def _real(path: Path) -> Path:
    """The program itself, behind links and rustup's stand-in."""
    if path.name == "rustc" and path.resolve().name == "rustup":
        try:
            found = subprocess.run(
                [path, "--print", "sysroot"], capture_output=True, text=True, timeout=60, check=True
            )
        except (OSError, subprocess.SubprocessError):
            return path.resolve()
        return Path(found.stdout.strip()) / "bin/rustc"
    return path.resolve()
