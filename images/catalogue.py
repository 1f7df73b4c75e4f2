"""Which images there are, and where their files lie."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from starfreight.errors import InputError

DOCKERFILE = "Dockerfile"


@dataclass(frozen=True)
class ImageSource:
    """An image that can be built: a folder with a Dockerfile and lock files."""

    name: str
    purpose: str
    """In a few words, for people."""

    @property
    def folder(self) -> Path:
        """Where its Dockerfile and lock files are."""
        return Path(__file__).parent / self.name


_SOURCES = {
    source.name: source
    for source in (
        ImageSource("trainer", "trains: torch and all that training needs, for NVIDIA GPUs and for CPUs"),
        ImageSource("packager", "presses, packs, verifies and publishes; without torch"),
    )
}

NAMES = tuple(_SOURCES)


def find_source(name: str) -> ImageSource:
    """The image of that name.

    Raises:
        InputError: there is none.
    """
    if name not in _SOURCES:
        raise InputError(f"There is no image {name!r}.", fix=f"choose one of {', '.join(NAMES)}")
    return _SOURCES[name]
