"""Parts of a provenance statement's claims: dependencies, sources of data, the recipe's commit."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_SOURCE = re.compile(r"data/(0|[1-9][0-9]{0,4})")


@dataclass(frozen=True)
class Dependency:
    """A resolved dependency of the statement.

    Attributes:
        name: such as ``base/model.safetensors``, ``data/manifest.json``, ``image/trainer``,
            ``training/torch``.
        digest: ``sha256:...``; ``None`` for a library, or for a digest of another kind.
        uri: a package URL or the address of a repository.
        annotations: further facts.
        git_commit: of a git repository.
    """

    name: str
    digest: str | None = None
    uri: str | None = None
    annotations: Mapping[str, Any] | None = None
    git_commit: str | None = None


@dataclass(frozen=True)
class SourceClaim:
    """A source of training data, without its files.

    Attributes:
        number: in the recipe, from 0.
        source: as the data manifest names it.
        uri: its address; ``None`` for local files, and in version 1.
        revision: its commit.
        license: of files without a license of their own.
        licenses: samples and bytes used, by license. Version 1 has no bytes: they are 0 there.
    """

    number: int
    source: str
    uri: str | None
    revision: str | None
    license: str | None
    licenses: Mapping[str, tuple[int, int]]


@dataclass(frozen=True)
class SourceCommit:
    """The commit of the recipe's repository.

    Attributes:
        uri: ``git+https://...``; ``None`` for a repository without a public address.
        commit: its id.
        dirty: true if files differed from the commit; ``None`` if unknown.
    """

    uri: str | None
    commit: str
    dirty: bool | None


def source_claim(dependency: Dependency) -> SourceClaim | None:
    """The source that a dependency of the statement is; ``None`` for anything else."""
    from starfreight.packager.provenance.predicate import SourceNotes

    number = _SOURCE.fullmatch(dependency.name)
    if number is None:
        return None
    notes = SourceNotes.model_validate(dependency.annotations or {})
    uri = dependency.uri
    return SourceClaim(
        number=int(number[1]),
        source=notes.source,
        uri=None if uri is None or uri.startswith("urn:") else uri,
        revision=notes.revision,
        license=notes.license,
        licenses={name: (count.samples, count.bytes) for name, count in notes.licenses.items()},
    )
