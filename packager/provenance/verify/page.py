"""A verdict on one page, for somebody who knows licenses and signatures better than registries."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from starfreight.console import human_count
from starfreight.packager.provenance.verify.verdict import CheckResult, Verdict
from starfreight.pages.visible_text import shortened, visible

_WIDTH = 110
_NAME = 21
_MOST_FINDINGS = 10
_LONGEST = 600
UNSIGNED = "UNSIGNED: the contents agree with each other, but nothing proves who made them."
_UNCHECKED = (
    "NOT CHECKED: {count} attached, none verified. Name the signer: --key FILE, "
    "or --identity NAME --issuer URL."
)


def page(verdict: Verdict) -> str:
    """The verdict in words; ends without a newline."""
    return "\n".join((*_head(verdict), "", *_checks(verdict), "", *_conclusion(verdict)))


def _head(verdict: Verdict) -> Iterator[str]:
    title = verdict.about.title if verdict.about else (verdict.package.title if verdict.package else "")
    yield f"Verification of {_clean(title) or 'a package'}"
    yield from _row("at", verdict.where + (f", manifest {verdict.asked}" if verdict.asked else ""))
    facts = verdict.about.facts if verdict.about else {}
    for name, lines in facts.items():
        for number, line in enumerate(lines):
            yield from _row("" if number else name, line)
        if name == "base":
            yield from _signers(verdict)


def _signers(verdict: Verdict) -> Iterator[str]:
    report = verdict.signatures
    if report is None:
        return
    if report.checked:
        for number, signer in enumerate(report.signers):
            at = f", {signer.signed_at:%Y-%m-%d %H:%M} UTC" if signer.signed_at else ""
            yield from _row("" if number else "signed by", f"{signer.in_words()}{at}")
        if report.signers:
            return
    elif report.unknown:
        signatures = human_count(report.unknown, "signatures")
        yield from _row("signed by", _UNCHECKED.format(count=signatures))
        return
    yield from _row("signed by", UNSIGNED)


def _checks(verdict: Verdict) -> Iterator[str]:
    for result in verdict.results:
        if result.not_made is not None:
            yield from _row(result.name, f"NOT MADE: {result.not_made}.")
        yield from _findings(result)


def _findings(result: CheckResult) -> Iterator[str]:
    # The reasons to refuse come first, and none hides behind ten notes.
    ranked = sorted(result.findings, key=lambda each: each.level != "refused")
    for number, finding in enumerate(ranked[:_MOST_FINDINGS]):
        mark = {"passed": "", "noted": "Note: ", "refused": "REFUSED: "}[finding.level]
        yield from _row("" if number else result.name, mark + finding.what)
        if finding.level == "refused":
            for label, text in (("where", finding.where), ("next", finding.fix)):
                if text:
                    yield from _row("", f"  {label}: {text}")
    if (more := len(ranked) - _MOST_FINDINGS) > 0:
        yield from _row("", f"and {more:,} more with --json.")


def _conclusion(verdict: Verdict) -> Iterator[str]:
    if verdict.refused:
        count = len(verdict.refusals)
        reasons = human_count(count, "reasons")
        yield f"Verdict: REFUSED, for {reasons}. Do not use this package."
        return
    policy = f" It meets the policy {verdict.policy}." if verdict.policy else ""
    if not verdict.unsigned and verdict.signatures is not None:
        names = ", ".join(each.in_words() for each in verdict.signatures.signers)
        yield from textwrap.wrap(_clean(f"Verdict: ACCEPTED, signed by {names}.{policy}"), _WIDTH)
    elif verdict.signatures is not None and verdict.signatures.unknown:
        yield f"Verdict: ACCEPTED as whole. Who signed it was NOT CHECKED.{policy}"
    else:
        yield f"Verdict: ACCEPTED as whole, and UNSIGNED: nothing proves who made it.{policy}"


def _row(name: str, text: str) -> Iterator[str]:
    """A line with a heading, wrapped; the words of a digest or a path stay together."""
    indent = len(text) - len(text.lstrip(" "))
    lines = textwrap.wrap(
        shortened(_clean(text.strip(" ")), _LONGEST),
        _WIDTH - _NAME - indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    for number, line in enumerate(lines or [""]):
        heading = "" if number else name
        yield f"  {heading:{_NAME - 2}}{' ' * indent}{line}".rstrip()


def _clean(text: str) -> str:
    return visible(text).replace("\n", " ")
