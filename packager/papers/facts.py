"""The facts of a package that forms ask for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from starfreight.data_manifest import SourceSummary
from starfreight.errors import GateError
from starfreight.package import Package
from starfreight.package_training_data import read_training_data
from starfreight.packager.papers.compute import Compute
from starfreight.packager.provenance.known_bases import known_base
from starfreight.packager.provenance.recorded import Provenance, read_provenance
from starfreight.packager.provenance.shown_source import shown_source
from starfreight.recipe import Data

if TYPE_CHECKING:
    from starfreight.packager.registry.open_package import Opened


@dataclass(frozen=True)
class SourceFacts:
    """A source of the training data.

    Attributes:
        data: its part of the recipe.
        summary: its counts; ``None`` if the package has no data manifest.
    """

    data: Data
    summary: SourceSummary | None

    @property
    def name(self) -> str:
        """Without the directories of a local path, and without secrets in an address."""
        return shown_source(self.data.source)

    @property
    def kind(self) -> str:
        """``git``, ``dataset``, ``python``, ``oci``, or ``local`` for a directory or a file."""
        kind, colon, name = self.data.source.partition(":")
        if not colon or kind not in ("git", "dataset", "python", "oci"):
            return "local"
        local = name.startswith((".", "/", "~")) or (kind == "git" and name.startswith("file:"))
        return "local" if local else kind


@dataclass(frozen=True)
class Facts:
    """All facts.

    Attributes:
        package: the record.
        provenance: its statement.
        where: the package as the user named it.
        published: true if that is a reference to a registry.
        sources: of the training data, in the recipe's order.
        compute: the training operations.
    """

    package: Package
    provenance: Provenance
    where: str
    published: bool
    sources: tuple[SourceFacts, ...]
    compute: Compute

    @property
    def counted(self) -> tuple[SourceSummary, ...]:
        """The summaries of the sources; empty if the package has no data manifest."""
        return tuple(each.summary for each in self.sources if each.summary is not None)

    def total(self, field: str) -> Mapping[str, int]:
        """Bytes used of all sources, by a summary's ``licenses`` or ``languages``, the largest first."""
        found: dict[str, int] = {}
        for summary in self.counted:
            for name, count in getattr(summary, field).items():
                found[name] = found.get(name, 0) + count.bytes
        return dict(sorted(found.items(), key=lambda each: (-each[1], each[0])))

    def left_out(self, name: str) -> int:
        """Number of samples that a filter left out of all sources."""
        return sum(sum(each.left_out.get(name, {}).values()) for each in self.counted)


def read_facts(opened: Opened) -> Facts:
    """The facts of an opened package.

    Raises:
        GateError: a part of the package is missing or damaged, or the data manifest is not the one that the
            statement names.
    """
    package = opened.package
    provenance = read_provenance(opened.folder, package)
    manifest = read_training_data(opened.folder, package)
    if manifest is not None and (
        manifest.digest != provenance.data_manifest or len(manifest.sources) != len(provenance.recipe.data)
    ):
        raise GateError(
            "The data manifest is not the one that the provenance statement names.",
            where=opened.where,
            fix="get the package again from its source",
        )
    summaries = manifest.sources if manifest is not None else (None,) * len(provenance.recipe.data)
    base = known_base(package.base.name)
    return Facts(
        package,
        provenance,
        opened.where,
        opened.reference is not None,
        tuple(map(SourceFacts, provenance.recipe.data, summaries)),
        Compute(package.parameters, _tokens(provenance), base),
    )


def _tokens(provenance: Provenance) -> int | None:
    """Tokens of the run: recorded, or planned by the recipe."""
    recorded: Any = (provenance.training or {}).get("tokens")
    if type(recorded) is int and 0 <= recorded < 1 << 63:
        return recorded
    training = provenance.recipe.training
    if training.steps is None:
        return None
    return training.steps * training.batch_size * training.gradient_accumulation * training.sequence_length
