"""The base classes of the records: strict, frozen, versioned, and written atomically."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from starfreight.errors import InputError
from starfreight.files import read_limited, write_bytes
from starfreight.strict_json import strict_loads

Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]
"""``sha256:`` followed by 64 hex digits."""


def _stays_inside(path: str) -> str:
    parts = path.split("/")
    if path.startswith("/") or "\\" in path or "\0" in path or any(part in ("", ".", "..") for part in parts):
        raise ValueError("is not a path inside the directory")
    return path


class Part(BaseModel):
    """A part of a record."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class FileDigest(Part):
    """A file's path, digest and size in bytes. The path is relative, with forward slashes."""

    path: Annotated[str, Field(min_length=1, max_length=4096), AfterValidator(_stays_inside)]
    digest: Digest
    size: Annotated[int, Field(ge=0)]


class Record(Part):
    """A record in a JSON file with a ``version``."""

    version: int

    @classmethod
    def read(cls, path: Path, *, newest: int, limit: int, kind: str) -> Self:
        """Reads a record of at most ``limit`` bytes.

        Raises:
            InputError: missing, too large, not JSON or ambiguous, of a newer version, or not a valid record.
        """
        raw = read_limited(path, limit, kind)
        try:
            data = strict_loads(raw)
        except ValueError as error:
            raise InputError(
                f"The {kind} is not valid JSON: {error}.", where=str(path), fix="restore the file"
            ) from error
        version = data.get("version") if isinstance(data, dict) else None
        if isinstance(version, int) and version > newest:
            raise InputError(
                f"The {kind} has version {version}; this Starfreight reads versions up to {newest}.",
                where=str(path),
                fix="upgrade Starfreight",
            )
        try:
            return cls.model_validate_json(raw)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            key = ".".join(str(part) for part in first["loc"])
            raise InputError(
                f"The {kind} was not written by Starfreight: {key or 'it'}: {first['msg']}.",
                where=str(path),
                fix="restore the file, or create it again",
            ) from error

    def as_bytes(self) -> bytes:
        """The record as indented JSON that ends with a newline."""
        return self.model_dump_json(indent=2).encode() + b"\n"

    def write(self, path: Path) -> None:
        """Writes the record, whole or not at all."""
        write_bytes(path, self.as_bytes())
