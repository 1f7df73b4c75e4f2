"""The index of a result: its files with their digests. It is read from untrusted stores."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError, model_validator

from starfreight.errors import GateError, InputError
from starfreight.files import canonical_json, sha256_bytes
from starfreight.records import FileDigest, Part
from starfreight.results.address import RESULT_NAME
from starfreight.run import INPUTS_FILE
from starfreight.strict_json import strict_loads

NEWEST_VERSION = 1
MAX_INDEX_BYTES = 4 << 20
MAX_FILES = 9_000
"""One manifest has a layer for each file; see :data:`starfreight.registry.manifests.MAX_ENTRIES`."""
_LARGEST_FILE = 1 << 50

OF_THE_MACHINE = (INPUTS_FILE, "job.json")
"""Files that describe the machine of a run. They are never sent, and refused in an index: they name paths."""


class ResultFile(FileDigest):
    """A file of a result."""

    resume: bool = False
    """True for a file needed only to resume the run."""


class ResultIndex(Part):
    """Contents of a result."""

    version: Literal[1] = 1
    kind: Literal["run", "package", "note"]
    """A note is what a pod leaves for the next one of its job."""
    name: Annotated[str, Field(pattern=f"^{RESULT_NAME}$")]
    """Name of its directory: the run's id, also for a package."""
    job: Annotated[str, Field(pattern=f"^{RESULT_NAME}$")]
    """Name of the job that has sent it, with the number of its variant."""
    files: Annotated[tuple[ResultFile, ...], Field(min_length=1, max_length=MAX_FILES)]

    @model_validator(mode="after")
    def _one_tree(self) -> Self:
        paths = {one.path for one in self.files}
        if len(paths) != len(self.files):
            raise ValueError("lists a file twice")
        for path in paths:
            parts = path.split("/")
            if any("/".join(parts[:count]) in paths for count in range(1, len(parts))):
                raise ValueError(f"lists {path[:200]!r} below a file")
            if path in OF_THE_MACHINE or any(part.startswith(".") for part in parts):
                raise ValueError(f"lists {path[:200]!r}, which is never sent")
        return self

    @property
    def size(self) -> int:
        """Total size in bytes."""
        return sum(one.size for one in self.files)

    def without_resume(self) -> ResultIndex:
        """The same result without the files needed only to resume."""
        return self.model_copy(update={"files": tuple(one for one in self.files if not one.resume)})

    def contents(self) -> Iterable[ResultFile]:
        """One file for each digest, without empty ones, which stores need not keep."""
        return {one.digest: one for one in self.files if one.size}.values()

    def as_bytes(self) -> bytes:
        """Canonical JSON: equal results have equal bytes."""
        return canonical_json(self.model_dump(mode="json"))

    @property
    def digest(self) -> str:
        """Digest of :meth:`as_bytes`."""
        return sha256_bytes(self.as_bytes())


def read_index(data: bytes, where: str) -> ResultIndex:
    """Parse an index.

    Raises:
        InputError: it is of a newer version.
        GateError: it is not a valid index.
    """
    try:
        value = strict_loads(data)
        version = value.get("version") if isinstance(value, dict) else None
        if isinstance(version, int) and version > NEWEST_VERSION:
            raise InputError(
                f"The result has version {version}; this Starfreight reads versions up to {NEWEST_VERSION}.",
                where=where,
                fix="upgrade Starfreight",
            )
        index = ResultIndex.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(str(part) for part in first["loc"])
        raise _invalid(f"{key or 'it'}: {first['msg']}", where) from error
    except ValueError as error:
        raise _invalid(str(error), where) from error
    if any(one.size > _LARGEST_FILE for one in index.files):
        raise _invalid("a file is too large", where)
    return index


def _invalid(why: str, where: str) -> GateError:
    return GateError(
        f"The index of the result was not written by Starfreight: {why[:300]}.",
        where=where,
        fix="check the address; if it is right, do not use this result",
    )
