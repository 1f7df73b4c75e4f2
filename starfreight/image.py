"""The container image that was built last, by name: `images` writes it, recipes and jobs find it.

    remember_image(BuiltImage(version=1, name="trainer", reference="starfreight/trainer:0.1.0", ...))
    image = find_image("trainer")

A file for each name lies in ``$XDG_STATE_HOME/starfreight/images`` (``~/.local/state`` when that is not set).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from pydantic import Field

from starfreight.records import Digest, Record

PROTOCOL = 1
"""Of what a job and its image expect of one another: the command, its environment, its exit codes."""

LABEL_IMAGE = "dev.starfreight.image"
LABEL_PROTOCOL = "dev.starfreight.protocol"

_NEWEST_VERSION = 1
_LIMIT = 1 << 20


class BuiltImage(Record):
    """An image that was built on this machine, and perhaps pushed since."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,62}$")]
    """``trainer`` or ``packager``."""
    reference: str
    """What a container engine finds it by: ``NAME:TAG``."""
    id: Digest
    """Of its configuration, as a Docker Engine calls it."""
    platform: str
    """``linux/amd64``, for example."""
    revision: str | None = None
    """The commit of Starfreight that it holds."""
    pushed: str | None = None
    """``HOST/NAMESPACE/NAME@sha256:...`` once it is in a registry."""

    @property
    def digest(self) -> str:
        """The manifest's digest when it is in a registry, otherwise the image's id."""
        return self.pushed.rpartition("@")[2] if self.pushed else self.id


def images_folder() -> Path:
    """Where the records lie."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "starfreight" / "images"


def remember_image(image: BuiltImage) -> Path:
    """Writes an image's record over that of an earlier one of its name; returns the file."""
    path = images_folder() / f"{image.name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    image.write(path)
    return path


def find_image(name: str) -> BuiltImage | None:
    """The image of that name that was built last on this machine.

    Raises:
        InputError: its record cannot be read.
    """
    path = images_folder() / f"{name}.json"
    if not path.exists():
        return None
    return BuiltImage.read(path, newest=_NEWEST_VERSION, limit=_LIMIT, kind="record of an image")
