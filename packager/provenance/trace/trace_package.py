"""Answer questions about the training data of an opened package."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starfreight.console import Console
from starfreight.errors import GateError
from starfreight.files import canonical_json
from starfreight.image_layout.reader import ImageLayout
from starfreight.packager.provenance.compare import is_about
from starfreight.packager.provenance.known_bases import KnownBase, known_base
from starfreight.packager.provenance.recorded import read_provenance
from starfreight.packager.provenance.trace.answers import Answer, answer
from starfreight.packager.provenance.trace.evidence import Evidence, evidence_of
from starfreight.packager.provenance.trace.interface import Question
from starfreight.packager.provenance.trace.page import page
from starfreight.packager.provenance.trace.training_data import find_training_data

if TYPE_CHECKING:
    from starfreight.packager.provenance.trust import Trust
    from starfreight.packager.registry.open_package import Opened


@dataclass(frozen=True)
class Traced:
    """The answers, and their evidence.

    Attributes:
        where: the package as the user named it.
        package: name in its record.
        answers: one for each question.
        evidence: the chain behind them.
        base_name: the base model's name in the record.
        base: published facts about the base model.
    """

    where: str
    package: str
    answers: tuple[Answer, ...]
    evidence: Evidence
    base_name: str
    base: KnownBase | None

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "package": self.where,
            "name": self.package,
            "answers": [each.as_dict() for each in self.answers],
            "evidence": self.evidence.as_dict(),
            "base": {"name": self.base_name, "known": self.base.as_dict() if self.base else None},
        }

    def as_text(self) -> str:
        """For people."""
        return page(self.where, self.answers, self.evidence, self.base_name, self.base)


def trace(
    opened: Opened,
    questions: Sequence[Question],
    trust: Trust,
    console: Console,
    data_manifest: Path | None = None,
) -> Traced:
    """Answer questions about the training data of a package.

    Args:
        opened: the package.
        questions: all are answered in one pass over the data.
        trust: the signers that the user trusts; may be empty.
        console: shows progress.
        data_manifest: a run's ``data`` directory, for a package without its data manifest.

    Raises:
        InputError: the given directory has no data manifest, or a damaged one.
        GateError: a part of the package is missing or damaged, the manifest is not the one that the statement
            names, or a trusted signature is wrong.
    """
    from starfreight.packager.provenance.trust import verify_signatures

    package = opened.package
    layout = ImageLayout(opened.folder)
    provenance = read_provenance(opened.folder, package)
    if not is_about(canonical_json(provenance.statement), [each.gguf.digest for each in package.variants]):
        raise GateError(
            "The provenance statement is about another package's files.",
            where=layout.where(package.provenance),
            fix="get the package again from its source",
        )
    data = find_training_data(opened.folder, package, provenance, data_manifest)
    signatures = verify_signatures(layout, package, trust)
    if signatures.problems:
        raise GateError(
            signatures.problems[0],
            where=opened.where,
            fix="verify the package: starfreight package verify; or get it again from its source",
        )
    return Traced(
        where=opened.where,
        package=package.name,
        answers=answer(data, questions, console),
        evidence=evidence_of(package, provenance, data, signatures),
        base_name=package.base.name,
        base=known_base(package.base.name),
    )
