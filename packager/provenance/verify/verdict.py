"""The result of verifying a package."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starfreight.console import human_count
from starfreight.errors import GateError
from starfreight.package import Package
from starfreight.packager.provenance.signing.verified import SignatureReport
from starfreight.packager.provenance.verify.interface import Finding


@dataclass(frozen=True)
class CheckResult:
    """The findings of one check.

    Attributes:
        name: heading.
        findings: in the check's order.
        not_made: the reason why the check was not made; ``None`` if it was.
    """

    name: str
    findings: tuple[Finding, ...] = ()
    not_made: str | None = None

    @property
    def refused(self) -> bool:
        """True if a finding refuses the package."""
        return any(each.level == "refused" for each in self.findings)

    @property
    def level(self) -> str:
        """``passed``, ``noted``, ``refused`` or ``not made``."""
        if self.not_made is not None:
            return "not made"
        levels = {each.level for each in self.findings}
        return next((each for each in ("refused", "noted") if each in levels), "passed")

    def as_dict(self) -> dict[str, Any]:
        """The result as ``--json`` prints it."""
        findings = [
            {
                "level": each.level,
                "what": each.what,
                "where": each.where,
                "next": each.fix,
                "data": dict(each.data),
            }
            for each in self.findings
        ]
        return {"check": self.name, "result": self.level, "not_made": self.not_made, "findings": findings}


@dataclass(frozen=True)
class About:
    """The facts of a package for people, by heading, in order: its base, its data, its figures ...

    They are the package's claims. Whether they can be trusted is the verdict's to say.
    """

    title: str
    facts: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Verdict:
    """The result of all checks.

    Attributes:
        where: the package as the user named it.
        results: of each check, in order.
        files: number of files that were read.
        bytes: their size.
        package: the record; ``None`` if it cannot be read.
        asked: digest of the manifest that the user asked for in a registry.
        repository: ``HOST/PATH`` in a registry; ``None`` for a directory.
        signatures: result of the signatures; ``None`` if they were not checked.
        about: facts of the package; ``None`` if it cannot be read.
        policy: digest of the policy file, if there is one.
    """

    where: str
    results: tuple[CheckResult, ...]
    files: int
    bytes: int
    package: Package | None = None
    asked: str | None = None
    repository: str | None = None
    signatures: SignatureReport | None = None
    about: About | None = None
    policy: str | None = None

    @property
    def refused(self) -> bool:
        """True if a check refuses the package, or could not be made."""
        return any(each.refused or each.not_made is not None for each in self.results)

    @property
    def unsigned(self) -> bool:
        """True if no signature of a trusted signer covers the package."""
        return self.signatures is None or not self.signatures.verified

    @property
    def refusals(self) -> tuple[Finding, ...]:
        """The findings that refuse the package."""
        return tuple(
            finding for each in self.results for finding in each.findings if finding.level == "refused"
        )

    def found(self, name: str) -> Any:
        """A value in the findings' data, by name; ``None`` without one."""
        data = (finding.data for each in self.results for finding in each.findings)
        return next((each[name] for each in data if name in each), None)

    def error(self) -> GateError | None:
        """The first refusal as an error; ``None`` if there is none."""
        if not self.refusals:
            return None
        first, more = self.refusals[0], len(self.refusals) - 1
        rest = f" {human_count(more, 'more problems')} after it." if more else ""
        return GateError(first.what + rest, where=first.where, fix=first.fix)

    def digests(self) -> dict[str, str]:
        """Digest by name of each manifest and model of the package."""
        if self.package is None:
            return {}
        found = {
            variant.tag + each.suffix: each.manifest.digest
            for variant in self.package.variants
            for each in variant.manifests
        }
        found |= {f"{variant.quantization}.gguf": variant.gguf.digest for variant in self.package.variants}
        if self.package.adapter is not None:
            found["adapter.gguf"] = self.package.adapter.digest
        return found

    def as_dict(self) -> dict[str, Any]:
        """The verdict as ``--json`` prints it."""
        signed = self.signatures
        error = self.error()
        return {
            "package": self.where,
            "name": self.package.name if self.package else None,
            "verified": not self.refused,
            "signed": not self.unsigned,
            "signers": [each.as_dict() for each in signed.signers] if signed else [],
            "manifest": self.asked,
            "digests": self.digests(),
            "policy": self.policy,
            "files": self.files,
            "bytes": self.bytes,
            "signatures": len(signed.signatures) if signed is not None and signed.checked else None,
            "evaluations": self.found("evaluations"),
            "quality": self.found("quality"),
            "about": {name: list(lines) for name, lines in self.about.facts.items()} if self.about else {},
            "checks": [each.as_dict() for each in self.results],
            **({"error": error.as_dict()} if error else {}),
        }
