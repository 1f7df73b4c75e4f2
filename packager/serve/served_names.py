"""Names of served packages: ``[NAMESPACE/NAME[:TAG]=]DIRECTORY`` on a command line."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from starfreight.errors import InputError
from starfreight.image_layout.index import DEFAULT_NAME
from starfreight.package import Package
from starfreight.registry import parse_reference

DEFAULT_NAMESPACE = "starfreight"


@dataclass(frozen=True)
class ServedName:
    """A package's directory and its name in the served registry."""

    folder: Path
    repository: str
    """``namespace/name``."""
    tag: str
    """The default variant's tag."""

    def variant_tag(self, name: str) -> str:
        """The tag of a manifest from its name inside the layout: ``latest-oci``, ``q4_K_M``."""
        if name == DEFAULT_NAME or name.startswith(f"{DEFAULT_NAME}-"):
            return self.tag + name.removeprefix(DEFAULT_NAME)
        return name if self.tag == DEFAULT_NAME else f"{self.tag}-{name}"


def parse_served(text: str) -> tuple[Path, str | None]:
    """A directory and its name from ``[NAMESPACE/NAME[:TAG]=]DIRECTORY``."""
    if Path(text).exists():
        return Path(text), None
    name, equals, folder = text.partition("=")
    return (Path(folder), name) if equals and folder else (Path(text), None)


def served_name(folder: Path, package: Package, name: str | None) -> ServedName:
    """The name of a package: the given one, or ``starfreight/`` and the package's own.

    Raises:
        InputError: a name that some client could not pull.
    """
    full = name or f"{DEFAULT_NAMESPACE}/{package.name}"
    path, colon, tag = full.partition(":")
    try:
        parse_reference(f"localhost/{path}:{tag if colon else DEFAULT_NAME}")
    except InputError as error:
        raise InputError(
            f"The name {full[:200]!r} cannot be pulled. {error.what}",
            where=str(folder),
            fix=f"name the package: NAMESPACE/NAME={folder}",
        ) from error
    return ServedName(folder, path, tag if colon else DEFAULT_NAME)
