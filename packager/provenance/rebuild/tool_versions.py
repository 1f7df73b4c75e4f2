"""Versions recorded in a statement that differ from the installed ones: the likely cause of other bytes."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from starfreight import __version__
from starfreight.packager.provenance.recorded import Provenance


@dataclass(frozen=True)
class OtherVersion:
    """A tool of another version.

    Attributes:
        name: of the tool.
        recorded: version in the statement.
        installed: version here; ``None`` if it is not installed.
    """

    name: str
    recorded: str
    installed: str | None

    def __str__(self) -> str:
        return f"{self.name} {self.recorded} recorded, {self.installed or 'none'} here"


def other_versions(provenance: Provenance, *, training: bool) -> tuple[OtherVersion, ...]:
    """The recorded tools that are not installed in the same version.

    Args:
        provenance: the statement.
        training: true for the libraries of the training, too; false for those that made the files alone.
    """
    recorded = {**provenance.packaging_versions, **provenance.builder_version}
    if training:
        recorded |= provenance.versions
    found = []
    for name, expected in sorted(recorded.items()):
        here = _installed(name)
        if here != expected:
            found.append(OtherVersion(name, str(expected), here))
    return tuple(found)


def _installed(name: str) -> str | None:
    if name == "starfreight":
        return __version__
    if name == "python":
        return platform.python_version()
    try:
        return version(name)
    except (PackageNotFoundError, ValueError):
        return None
