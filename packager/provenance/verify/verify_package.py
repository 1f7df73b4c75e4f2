"""Verify a package in a directory or a registry: its files, then each check of a table.

    verdict = verify_package("packages/acme-coder", console, trust=load_trust(keys=(Path("acme.pub"),)))
    print(page(verdict))
    sys.exit(3 if verdict.refused else 0)

The checks are :class:`~starfreight.packager.provenance.verify.interface.Check`, listed in
:mod:`starfreight.packager.provenance.verify.table`. They look at a package whose files are right; if the
files are not, no check is made.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from starfreight.console import Console, human_count
from starfreight.errors import GateError, InputError
from starfreight.image_layout.reader import ImageLayout
from starfreight.package import Package
from starfreight.package_source import is_reference
from starfreight.packager.layout.report import Part, Problem, VerifyReport
from starfreight.packager.layout.verify import examine_layout
from starfreight.packager.provenance.verify.interface import Check, Examined, Finding
from starfreight.packager.provenance.verify.verdict import CheckResult, Verdict

if TYPE_CHECKING:
    from starfreight.packager.provenance.policy import Policy
    from starfreight.packager.provenance.trust import Trust
    from starfreight.packager.registry.open_package import Opened

_GET_AGAIN = "make the package again, or get it again from its source"
_PARTS: dict[Part, str] = {
    "contents": "The manifests are the ones that package.json determines, byte for byte.",
    "statement": "The provenance statement is about these files, this run and this recipe.",
}


def verify_package(
    source: str,
    console: Console,
    *,
    trust: Trust | None = None,
    policy: Policy | None = None,
    insecure: bool = False,
    checks: Sequence[Check] | None = None,
) -> Verdict:
    """Verify a package.

    Args:
        source: a package's directory, or a reference to one of its manifests in a registry.
        console: shows progress.
        trust: the signers to trust; without any, signatures are only counted.
        policy: rules for packages, and more signers to trust.
        insecure: use plain http for the registry.
        checks: by default those of the table.

    Raises:
        InputError: no such package, or a library that a check needs is missing.
        GateError: the release in the registry has no record, or it is damaged.
        ServiceError: the registry cannot be reached, refuses or keeps failing, or a disk is full.
    """
    if not is_reference(source):
        report = examine_layout(Path(source), console, meanwhile=_import_checks)
        return _verdict(Path(source), source, report, trust, policy, checks)
    from starfreight.packager.registry.open_package import open_package
    from starfreight.packager.registry.read_models import read_models

    with open_package(source, console, insecure=insecure) as opened:
        wrong = read_models(opened, console)
        report = examine_layout(opened.folder, console, hashed=opened.placeholders)
        report = replace(report, problems=(*wrong, *report.problems))
        return _verdict(opened.folder, opened.where, report, trust, policy, checks, opened)


def _import_checks() -> None:
    """Import the libraries of the checks while the files are hashed: it takes longer than a gigabyte."""
    from starfreight.packager.provenance.trust import verify_signatures  # noqa: F401
    from starfreight.packager.provenance.verify.about import about  # noqa: F401
    from starfreight.packager.provenance.verify.table import all_checks

    all_checks()


def run_checks(examined: Examined, checks: Iterable[Check]) -> Iterator[CheckResult]:
    """Make each check. One that cannot read its part of the package refuses the package."""
    for check in checks:
        findings = []
        try:
            findings += list(check.findings(examined))
        except GateError as error:
            findings.append(_refusal(error))
        yield CheckResult(check.name, tuple(findings))


def _verdict(
    folder: Path,
    where: str,
    report: VerifyReport,
    trust: Trust | None,
    policy: Policy | None,
    checks: Sequence[Check] | None,
    opened: Opened | None = None,
) -> Verdict:
    from starfreight.packager.provenance.verify.about import about
    from starfreight.packager.provenance.verify.table import all_checks

    chosen = all_checks() if checks is None else tuple(checks)
    results = [*_file_results(report, where, is_local=opened is None)]
    examined = None
    if not any(each.refused for each in results):
        try:
            examined = _examined(folder, where, trust, policy, opened)
        except GateError as error:
            results.append(CheckResult("parts", (_refusal(error),)))
    if examined is None:
        results += [CheckResult(each.name, not_made="it needs the parts that are refused") for each in chosen]
    else:
        results += run_checks(examined, chosen)
    if opened is not None:
        results = [_without_folder(each, folder, where) for each in results]
    return Verdict(
        where=where,
        results=tuple(results),
        files=report.files,
        bytes=report.bytes,
        package=_record(folder),
        asked=opened.asked if opened else None,
        repository=f"{opened.reference.host}/{opened.reference.repository}"
        if opened and opened.reference
        else None,
        signatures=examined.signatures if examined else None,
        about=about(examined) if examined else None,
        policy=policy.digest if policy else None,
    )


def _without_folder(result: CheckResult, folder: Path, where: str) -> CheckResult:
    """The result with the release's name in the place of the temporary directory, which is gone soon."""
    findings = (
        replace(each, where=each.where.replace(f"{folder}/", f"{where}, ") if each.where else None)
        for each in result.findings
    )
    return replace(result, findings=tuple(findings))


def _record(folder: Path) -> Package | None:
    try:
        return Package.load(folder)
    except InputError:  # Refused already.
        return None


def _file_results(report: VerifyReport, where: str, *, is_local: bool) -> Iterator[CheckResult]:
    """The problems of the files, by part. Parts after a refused one are incomplete, and not called right."""
    whole = f"{human_count(report.files, 'files')}, {human_count(report.bytes, 'B')}: all digests match."
    refused = False
    for part, right in ({"files": whole} | _PARTS).items():
        found = tuple(
            _problem(each, report, where, is_local) for each in report.problems if each.part == part
        )
        if found:
            yield CheckResult(part, found)
        elif refused:
            yield CheckResult(part, not_made="it needs the parts that are refused")
        else:
            data = {"files": report.files, "bytes": report.bytes} if part == "files" else {}
            yield CheckResult(part, (Finding("passed", right, data=data),))
        refused = refused or bool(found)


def _problem(problem: Problem, report: VerifyReport, where: str, is_local: bool) -> Finding:
    # The place in a temporary directory would mean nothing to anybody.
    place = str(report.folder / problem.path) if is_local else f"{where}, {problem.path}"
    first, space, rest = problem.what.partition(" ")
    if first.isalpha() and first != Path(problem.path).name:  # The name of a file stays as it is.
        first = first.capitalize()
    what = f"{first}{space}{rest}."
    return Finding("refused", what, where=place, fix=_GET_AGAIN)


def _examined(
    folder: Path, where: str, trust: Trust | None, policy: Policy | None, opened: Opened | None
) -> Examined:
    """Read the parts of a package whose files are right.

    Raises:
        GateError: a part cannot be read.
    """
    from starfreight.package_training_data import read_training_data
    from starfreight.packager.provenance.compare import is_made_up
    from starfreight.packager.provenance.recorded import MAX_STATEMENT_BYTES, read_provenance
    from starfreight.packager.provenance.trust import Trust, verify_signatures

    trusted = trust or Trust()
    if policy is not None:
        trusted = trusted | policy.trust
    package, layout = Package.load(folder), ImageLayout(folder)
    made_up = is_made_up(layout.read(package.provenance, MAX_STATEMENT_BYTES), package)
    return Examined(
        folder=folder,
        package=package,
        layout=layout,
        where=where,
        provenance=None if made_up else read_provenance(folder, package),
        data=read_training_data(folder, package, verified=True),
        signatures=verify_signatures(layout, package, trusted),
        policy=policy,
        unlisted=opened.unlisted if opened else (),
        left_out=opened.left_out if opened else 0,
    )


def _refusal(error: GateError) -> Finding:
    return Finding("refused", error.what, where=error.where, fix=error.fix)
