"""The images built on this machine, and their state in the engine."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from starfreight.console import human_count
from starfreight.docker_engine import engine_errors
from starfreight.errors import InputError
from starfreight.image import BuiltImage, find_image, images_folder

if TYPE_CHECKING:
    import docker


@dataclass(frozen=True)
class ListedImage:
    """An image built on this machine."""

    image: BuiltImage
    present: bool | None = None
    """True if the engine still has it; ``None`` if no engine answered."""
    size: int | None = None
    """Bytes in the engine, uncompressed."""
    created: str | None = None
    """Time in the image's labels or configuration: of the commit that it was built from."""
    built: str | None = None
    """Time of the build, from the engine or else from the record's file."""

    def as_dict(self) -> dict[str, Any]:
        """The entry in the output of ``--json``."""
        return {
            **self.image.model_dump(exclude={"version"}),
            "present": self.present,
            "size": self.size,
            "created": self.created,
            "built": self.built,
        }

    def as_text(self) -> str:
        """Three lines for people."""
        image = self.image
        if self.present:
            state = f"{human_count(self.size or 0, 'B')}, of the sources of {self.created}"
        else:
            state = "no longer in the engine" if self.present is False else "no engine answers"
        if self.built is not None:
            state = f"built {self.built}, {state}"
        pushed = image.pushed or f"not pushed; next: starfreight images push {image.name} HOST/PATH:TAG"
        return f"{image.name}: {image.reference} ({image.platform}), {state}\n  {image.id}\n  {pushed}"


def last_built(name: str) -> BuiltImage:
    """The latest image of that name.

    Raises:
        InputError: none was built on this machine, or its record is unreadable.
    """
    image = find_image(name)
    if image is None:
        raise InputError(
            f"No {name} image was built on this machine.",
            where=str(images_folder()),
            fix=f"build it: starfreight images build {name}",
        )
    return image


def list_images(engine: docker.DockerClient | None) -> tuple[ListedImage, ...]:
    """All images built on this machine, by name.

    Args:
        engine: used to look up their state; without it, the state is unknown.

    Raises:
        InputError: a record is unreadable.
        ServiceError: the engine stopped answering.
    """
    found = (find_image(path.stem) for path in sorted(images_folder().glob("*.json")))
    return tuple(_look(engine, image) for image in found if image is not None)


def _look(engine: docker.DockerClient | None, image: BuiltImage) -> ListedImage:
    recorded = _record_time(image)
    if engine is None:
        return ListedImage(image, built=recorded)
    import docker.errors

    with engine_errors():
        try:
            found = engine.images.get(image.id)
        except docker.errors.ImageNotFound:
            return ListedImage(image, present=False, built=recorded)
    created = found.labels.get("org.opencontainers.image.created") or found.attrs["Created"]
    built = _engine_time((found.attrs.get("Metadata") or {}).get("LastTagTime")) or recorded
    return ListedImage(image, present=True, size=found.attrs["Size"], created=created[:19] + "Z", built=built)


def _engine_time(text: object) -> str | None:
    """The time at which the engine named the image; ``None`` for the year 1, which stands for never."""
    try:
        time = datetime.fromisoformat(str(text)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return time.strftime("%Y-%m-%dT%H:%M:%SZ") if time.year >= 1970 else None


def _record_time(image: BuiltImage) -> str | None:
    """Time of the image's record. A push writes the record again."""
    try:
        seconds = (images_folder() / f"{image.name}.json").stat().st_mtime
    except OSError:
        return None
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
