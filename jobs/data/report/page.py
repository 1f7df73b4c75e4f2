"""The data report as a self-contained HTML page, and as text for a terminal.

The contents of files are untrusted: everything is escaped, including characters that change the display of
others, and the page allows neither scripts nor external addresses.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from starfreight.console import human_count
from starfreight.data_manifest import Count
from starfreight.jobs.data.report.data_report import DataReport, SourceReport
from starfreight.pages import render_page as render
from starfreight.pages import visible


def render_page(report: DataReport) -> bytes:
    """Return the report as an HTML page."""
    return render(
        "starfreight.jobs.data.report", "page.html.jinja", report=report, total=_total(report), rows=_rows
    )


def render_text(report: DataReport) -> str:
    """Return the report as lines of text."""
    lines: list[str] = []
    for number, source in enumerate(report.sources):
        summary = source.summary
        lines += [] if number == 0 else [""]
        lines.append(f"{visible(summary.source)}  ({summary.format}, license {visible(summary.license)})")
        lines.append("                      files or records       bytes      tokens")
        for split, counted in (("train", summary.train), ("held_out", summary.held_out)):
            title = "for training" if split == "train" else "held out"
            lines.append(f"  {title:24}{_figures(counted, source.tokens.get(split))}")
        if summary.repositories > 1:
            lines.append(f"  from {human_count(summary.repositories, 'repositories')}")
        for title, counts, tokens in (
            ("by language", summary.languages, source.language_tokens),
            ("by license", summary.licenses, source.license_tokens),
        ):
            lines.append(f"  {title}")
            lines += [
                f"    {row['name']:22}{_figures(row['count'], row['tokens'])}"
                for row in _rows(counts, tokens)
            ]
        lines.append(f"  left out by the filters: {_thousands(_left(source))} of {_thousands(summary.found)}")
        for by, reasons in summary.left_out.items():
            lines.append(f"    {by:22}{_thousands(sum(reasons.values())):>16}")
            shown = [f"{name} ({detail})" for name, detail in source.left_out.get(by, [])]
            lines += [f"      {visible(each)[:100]}" for each in shown]
        lines += [f"  {visible(line)}" for line in report.build.conversations[number].lines()]
        if summary.replaced:
            pieces = ", ".join(
                f"{_thousands(count)} {visible(kind)}" for kind, count in summary.replaced.items()
            )
            lines.append(f"  redacted: {pieces}")
    lines.append("")
    if report.stops:
        lines += [
            f"Warning: a run stops here. {visible(report.stops.what)}",
            f"  where: {visible(str(report.stops.where))}",
            f"  next:  {visible(str(report.stops.fix))}",
        ]
    if report.no_tokens:
        lines.append(f"Tokens were not counted: {report.no_tokens}")
    seconds = max(report.build.seconds, 1e-3)
    texts = human_count(report.build.samples, "texts")
    read = f"{texts}, {_size(report.build.bytes)}"
    lines.append(
        f"Read and filtered {read} in {seconds:.1f} s: "
        f"{report.build.samples / seconds:,.0f} files/s, {report.build.bytes / seconds / 1e6:.1f} MB/s"
    )
    return "\n".join(lines)


def as_data(report: DataReport) -> dict[str, Any]:
    """Return the report for ``--json``, without the examples."""
    return {
        "recipe": report.recipe,
        "base": report.base,
        "manifest": report.build.manifest.digest,
        "no_tokens": report.no_tokens,
        "stops": report.stops.as_dict() if report.stops else None,
        "seconds": round(report.build.seconds, 3),
        "sources": [
            {
                **source.summary.model_dump(),
                "dialects": dict(conversations.dialects),
                "unused_keys": dict(conversations.unused),
                "tokens": source.tokens,
                "language_tokens": source.language_tokens,
                "license_tokens": source.license_tokens,
                "left_out_names": {
                    by: [{"name": name, "detail": detail} for name, detail in found]
                    for by, found in source.left_out.items()
                },
            }
            for source, conversations in zip(report.sources, report.build.conversations, strict=True)
        ],
    }


def _rows(counts: Mapping[str, Count], tokens: Mapping[str, int]) -> Iterator[dict[str, Any]]:
    whole = sum(count.bytes for count in counts.values()) or 1
    for name, count in counts.items():
        yield {
            "name": visible(name), "count": count, "tokens": tokens.get(name), "share": count.bytes / whole
        }  # fmt: skip


def _total(report: DataReport) -> dict[str, int | None]:
    summaries = [source.summary for source in report.sources]
    return {
        "train": sum(summary.train.samples for summary in summaries),
        "held_out": sum(summary.held_out.samples for summary in summaries),
        "left_out": sum(map(_left, report.sources)),
        "bytes": sum(summary.train.bytes + summary.held_out.bytes for summary in summaries),
        "tokens": None if report.no_tokens else sum(sum(each.tokens.values()) for each in report.sources),
    }


def _left(source: SourceReport) -> int:
    return sum(sum(reasons.values()) for reasons in source.summary.left_out.values())


def _figures(count: Count, tokens: int | None) -> str:
    shown = "-" if tokens is None else _thousands(tokens)
    return f"{_thousands(count.samples):>14}{_size(count.bytes):>12}{shown:>12}"


def _thousands(number: int) -> str:
    return f"{number:,}"


def _size(number: int) -> str:
    return human_count(number, "B")
