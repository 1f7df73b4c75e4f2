"""Record of the container image built last under a name: written by `images`, read by recipes and jobs.

    remember_image(BuiltImage(version=1, name="trainer", reference="starfreight/trainer:0.1.0", ...))
    image = find_image("trainer")

Each name has a file in ``$XDG_STATE_HOME/starfreight/images``, by default in
``~/.local/state/starfreight/images``.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated

from pydantic import Field

from starfreight.directories import refuse_link
from starfreight.records import Digest, Record

PROTOCOL = 2
"""Version of the contract between a job and its image: command, environment, exit codes."""

LABEL_IMAGE = "dev.starfreight.image"
LABEL_PROTOCOL = "dev.starfreight.protocol"
LABEL_KINDS = "dev.starfreight.kinds"
"""Kinds of jobs that an image has programs and libraries for, separated by spaces. Older images lack it."""

IMAGE_VARIABLE = "STARFREIGHT_IMAGE"
"""Environment variable with the digest of the container's image; set by the backend that starts it."""

_NEWEST_VERSION = 1
_LIMIT = 1 << 20


class BuiltImage(Record):
    """An image built on this machine, and possibly pushed since."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,62}$")]
    """``trainer`` or ``packager``."""
    reference: str
    """``NAME:TAG`` in the container engine."""
    id: Digest
    """Image id: the digest of its configuration."""
    platform: str
    """For example ``linux/amd64``."""
    revision: str | None = None
    """Commit of Starfreight inside."""
    pushed: str | None = None
    """``HOST/NAMESPACE/NAME@sha256:...`` once pushed."""

    @property
    def digest(self) -> str:
        """Digest of the manifest if pushed, otherwise the image id."""
        return self.pushed.rpartition("@")[2] if self.pushed else self.id


def image_digest() -> str | None:
    """The digest of this container's image, as set by the backend; ``None`` outside one."""
    digest = os.environ.get(IMAGE_VARIABLE, "")
    return digest if re.fullmatch(r"sha256:[0-9a-f]{64}", digest) else None


def images_folder() -> Path:
    """Directory of the records."""
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "starfreight" / "images"


def remember_image(image: BuiltImage) -> Path:
    """Write an image's record, replacing an earlier one of the same name; returns the file."""
    path = images_folder() / f"{image.name}.json"
    refuse_link(path.parent, below=path.parent.parent)
    path.parent.mkdir(parents=True, exist_ok=True)
    image.write(path)
    return path


def find_image(name: str) -> BuiltImage | None:
    """The image built last under ``name`` on this machine, ``None`` if there is none.

    Raises:
        InputError: its record cannot be read.
    """
    path = images_folder() / f"{name}.json"
    if not path.exists():
        return None
    return BuiltImage.read(path, newest=_NEWEST_VERSION, limit=_LIMIT, kind="image record")
