"""What the records have in common: strict, frozen, versioned, and written whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from starfreight.errors import InputError
from starfreight.files import read_json, write_bytes

Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
"""``sha256:`` and 64 hex digits."""


def _stays_inside(path: str) -> str:
    parts = path.split("/")
    if path.startswith("/") or "\\" in path or "\0" in path or any(part in ("", ".", "..") for part in parts):
        raise ValueError("is not a path inside the folder")
    return path


class Part(BaseModel):
    """A piece of a record."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class FileDigest(Part):
    """A file by its name, digest and size in bytes. The path is relative and uses slashes."""

    path: Annotated[str, Field(min_length=1, max_length=4096), AfterValidator(_stays_inside)]
    digest: Digest
    size: Annotated[int, Field(ge=0)]


class Record(Part):
    """A record that is a JSON file with a ``version``."""

    version: int

    @classmethod
    def read(cls, path: Path, *, newest: int, limit: int, kind: str) -> Self:
        """Reads a record of at most ``limit`` bytes.

        Raises:
            InputError: missing, too large, not JSON, of a newer version, or not of this shape.
        """
        data = read_json(path, limit, kind)
        version = data.get("version") if isinstance(data, dict) else None
        if isinstance(version, int) and version > newest:
            raise InputError(
                f"The {kind} has version {version}, and this Starfreight reads up to {newest}.",
                where=str(path),
                fix="upgrade Starfreight",
            )
        try:
            return cls.model_validate_json(path.read_bytes())
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            key = ".".join(str(part) for part in first["loc"])
            raise InputError(
                f"The {kind} is not one that Starfreight wrote: {key or 'it'}: {first['msg']}.",
                where=str(path),
                fix="restore the file, or make it again",
            ) from error

    def write(self, path: Path) -> None:
        """Writes the record as indented JSON."""
        write_bytes(path, self.model_dump_json(indent=2).encode() + b"\n")
