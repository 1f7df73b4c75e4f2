"""Signed statements against the package: they have to be the package's own, as it is now."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from starfreight.package import Package
from starfreight.packager.provenance.signing.signed_statement import SignedStatement
from starfreight.packager.provenance.statement import PREDICATE_TYPE, STATEMENT_TYPE
from starfreight.strict_json import strict_loads

_GITHUB_BUILD = "https://actions.github.io/buildtypes/workflow/v1"
"""``buildType`` of GitHub's own provenance, which workflows may attach beside ours."""


class PayloadCheck:
    """Compares signed payloads with the statements of a package.

    Args:
        package: the record.
        expected: its statements, to the byte.
    """

    def __init__(self, package: Package, expected: Iterable[SignedStatement]) -> None:
        self._expected: dict[bytes, SignedStatement] = {each.payload: each for each in expected}
        self._subjects = {
            payload: frozenset(manifest.digest for manifest in each.manifests)
            for payload, each in self._expected.items()
        }
        self._own_types = {each.predicate_type for each in self._expected.values()}
        self._digests = {each.gguf.digest for each in package.variants}
        if package.adapter is not None:
            self._digests.add(package.adapter.digest)
        # File names have the model's name in them; manifests are named by their quantization alone.
        self._names: set[str] = set()
        self._predicates: list[Any] = []
        for payload in self._expected:
            self._predicates.append(strict_loads(payload)["predicate"])
            self._names |= {name for name, _ in _subjects(strict_loads(payload))}
        for variant in package.variants:
            for each in variant.manifests:
                self._digests.add(each.manifest.digest)
                self._names.discard(f"{variant.tag}{each.suffix}")

    def is_provenance(self, payload: bytes) -> bool:
        """True for the package's own provenance."""
        found = self._expected.get(payload)
        return found is not None and found.predicate_type == PREDICATE_TYPE

    def predicate_type(self, payload: bytes) -> str:
        """The predicate type of a statement without a problem."""
        found = self._expected.get(payload)
        return found.predicate_type if found else str(strict_loads(payload)["predicateType"])

    def problem(self, payload: bytes, subject: str) -> str | None:
        """The problem with a signed payload; ``None`` without one.

        Args:
            payload: signed by a trusted signer, but otherwise anything.
            subject: digest of the manifest that its bundle is attached to.

        Returns:
            Completion of the sentence "The bundle is signed by ..., but ...".
        """
        own = self._subjects.get(payload)
        if own is not None:
            return None if subject in own else "it is attached to a manifest that its statement is not about"
        try:
            statement = strict_loads(payload)
            named = _subjects(statement)
            kind = statement["predicateType"]
            valid = (
                statement["_type"] == STATEMENT_TYPE and isinstance(kind, str) and "predicate" in statement
            )
        except (ValueError, LookupError, TypeError, AttributeError):
            valid = False
        if not valid:
            return "its payload is not an in-toto statement about files"
        digests = {digest for _, digest in named}
        if not digests & self._digests:
            if {name for name, _ in named} & self._names:
                return "its statement is about another state of this package, with other files"
            return "its statement is about another package"
        if kind not in self._own_types or _is_githubs(statement):
            if subject in digests:
                return None
            return "it is attached to a manifest that its statement is not about"
        if statement["predicate"] in self._predicates:
            return "its statement is about another state of this package, with other manifests"
        if kind == PREDICATE_TYPE:
            return "its provenance statement contradicts the package's own"
        return f"its statement ({kind}) contradicts the package's own, or is about evidence that was removed"


def _subjects(statement: Any) -> list[tuple[str, str]]:
    """Name and digest of each subject; several may be called ``_``.

    Raises:
        ValueError, LookupError, TypeError, AttributeError: the subjects are not files with SHA-256 digests.
    """
    subjects = statement["subject"]
    if not isinstance(subjects, list) or not subjects:
        raise ValueError("no subjects")
    return [(str(each["name"]), f"sha256:{each['digest']['sha256']}") for each in subjects]


def _is_githubs(statement: Any) -> bool:
    try:
        return bool(statement["predicate"]["buildDefinition"]["buildType"] == _GITHUB_BUILD)
    except (LookupError, TypeError):
        return False
