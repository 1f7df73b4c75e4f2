"""The images that can be built, and the directories of their files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from starfreight.errors import InputError

DOCKERFILE = "Dockerfile"


@dataclass(frozen=True)
class ImageSource:
    """An image: a directory with a Dockerfile and lock files."""

    name: str

    @property
    def folder(self) -> Path:
        """The directory of its Dockerfile and lock files."""
        return Path(__file__).parent / self.name


NAMES = ("trainer", "packager", "gateway")


def find_source(name: str) -> ImageSource:
    """The image called ``name``.

    Raises:
        InputError: no image has that name.
    """
    if name not in NAMES:
        raise InputError(f"No image is called {name!r}.", fix=f"choose one of {', '.join(NAMES)}")
    return ImageSource(name)
