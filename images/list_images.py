"""The images that were built on this machine, and what the engine still knows of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from starfreight.console import human_count
from starfreight.docker_engine import engine_errors
from starfreight.errors import InputError
from starfreight.image import BuiltImage, find_image, images_folder

if TYPE_CHECKING:
    import docker


@dataclass(frozen=True)
class ListedImage:
    """An image that was built here."""

    image: BuiltImage
    present: bool | None = None
    """Whether the engine still has it; ``None`` where no engine answered."""
    size: int | None = None
    """Bytes in the engine, unpacked."""
    created: str | None = None
    """When, as the image says of itself."""

    def as_dict(self) -> dict[str, Any]:
        """As ``--json`` prints it."""
        return {
            **self.image.model_dump(exclude={"version"}),
            "present": self.present,
            "size": self.size,
            "created": self.created,
        }

    def as_text(self) -> str:
        """As a person reads it, in three lines."""
        image = self.image
        if self.present:
            state = f"{human_count(self.size or 0, 'B')}, built {self.created}"
        else:
            state = "the engine does not have it any more" if self.present is False else "no engine answers"
        pushed = image.pushed or f"not pushed; next: starfreight images push {image.name} HOST/PATH:TAG"
        return f"{image.name}: {image.reference} ({image.platform}), {state}\n  {image.id}\n  {pushed}"


def last_built(name: str) -> BuiltImage:
    """The image of that name that was built last.

    Raises:
        InputError: none was built here, or its record cannot be read.
    """
    image = find_image(name)
    if image is None:
        raise InputError(
            f"No image {name} was built here.",
            where=str(images_folder()),
            fix=f"build it: starfreight images build {name}",
        )
    return image


def list_images(engine: docker.DockerClient | None) -> tuple[ListedImage, ...]:
    """All images that were built on this machine, by name.

    Args:
        engine: is asked what it still has of them; without one that stays unknown.

    Raises:
        InputError: the record of one cannot be read.
        ServiceError: the engine stopped answering.
    """
    found = (find_image(path.stem) for path in sorted(images_folder().glob("*.json")))
    return tuple(_look(engine, image) for image in found if image is not None)


def _look(engine: docker.DockerClient | None, image: BuiltImage) -> ListedImage:
    if engine is None:
        return ListedImage(image)
    import docker.errors

    with engine_errors():
        try:
            found = engine.images.get(image.id)
        except docker.errors.ImageNotFound:
            return ListedImage(image, present=False)
    created = found.labels.get("org.opencontainers.image.created") or found.attrs["Created"]
    return ListedImage(image, present=True, size=found.attrs["Size"], created=created[:19] + "Z")
