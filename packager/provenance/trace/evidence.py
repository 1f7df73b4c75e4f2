"""The chain of evidence behind an answer: data manifest, statement, signatures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from starfreight.console import human_count
from starfreight.package import Package
from starfreight.packager.provenance.recorded import Provenance
from starfreight.packager.provenance.statement import PREDICATE_TYPE
from starfreight.packager.provenance.trace.training_data import TrainingData

if TYPE_CHECKING:
    from starfreight.packager.provenance.signing.verified import SignatureReport


@dataclass(frozen=True)
class Evidence:
    """The chain of evidence.

    Attributes:
        entries: the list of samples, for people; ``None`` if there is none.
        complete_for: kinds of questions that the list answers completely.
        data_manifest: digest of the data manifest, from the statement.
        statement: digest of the statement in the package.
        signers: names of the trusted signers of the statement, if every manifest has such a signature.
        bundles: number of signatures by others, or by nobody that the user trusts.
        checked: true if the user named a signer to trust.
    """

    entries: str | None
    complete_for: frozenset[str]
    data_manifest: str | None
    statement: str
    signers: tuple[str, ...]
    bundles: int
    checked: bool

    @property
    def signature(self) -> str:
        """The state of the signatures, in a sentence."""
        if self.signers:
            return f"The statement is signed by {', '.join(self.signers)}."
        if self.checked:
            return "The statement is not signed by a signer that you trust."
        if self.bundles:
            count = human_count(self.bundles, "signatures")
            return f"The package has {count}, not checked here: name a signer to trust, such as --key FILE."
        return "The statement is unsigned: it proves nothing about who made it."

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "entries": self.entries,
            "complete_for": sorted(self.complete_for),
            "data_manifest": self.data_manifest,
            "statement": self.statement,
            "signed_by": list(self.signers),
            "signatures_of_others": self.bundles,
            "signatures_checked": self.checked,
        }


def evidence_of(
    package: Package, provenance: Provenance, data: TrainingData | None, signatures: SignatureReport
) -> Evidence:
    """The chain of evidence of a package.

    Args:
        package: its record.
        provenance: its statement.
        data: its samples.
        signatures: the result of checking its signatures.
    """
    signers = {
        each.signer.in_words(): None
        for each in signatures.signatures
        if signatures.verified and each.predicate_type == PREDICATE_TYPE
    }
    return Evidence(
        entries=None if data is None else data.where,
        complete_for=frozenset() if data is None else data.complete_for,
        data_manifest=provenance.data_manifest,
        statement=package.provenance.digest,
        signers=tuple(signers),
        bundles=signatures.unknown,
        checked=signatures.checked,
    )
