"""The training data: its files, and shifts between licenses and languages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from starfreight.console import human_count, printable
from starfreight.data_manifest import SourceSummary
from starfreight.package_training_data import read_training_data
from starfreight.packager.provenance.diff.data_changes import compare_data
from starfreight.packager.provenance.diff.data_lines import change_lines
from starfreight.packager.provenance.diff.interface import Section, Side
from starfreight.packager.provenance.diff.training_files import (
    TrainingFiles,
    files_of_manifest,
    files_of_statement,
)
from starfreight.packager.provenance.diff.values import changed_values, value_line

_MOST_LICENSES, _OTHERS = 1000, "other licenses"


class DataPart:
    """Files and records that were added, removed or changed, by source; licenses, languages, filters."""

    name = "data"

    def compare(self, before: Side, after: Side, names: int) -> Section | None:
        """See :class:`ComparedPart`."""
        digests = [side.provenance.data_manifest if side.provenance else None for side in (before, after)]
        if digests[0] is not None and digests[0] == digests[1]:
            return None
        data: dict[str, Any]
        manifests: dict[str, Any] = {"before": digests[0], "after": digests[1]}
        one, two = _files(before), _files(after)
        if one is None or two is None:
            if digests == [None, None]:
                return None
            which = " and ".join(
                name for name, files in (("the first", one), ("the second", two)) if files is None
            )
            line = f"the data differ; the files are unknown: {which} package does not hold its data manifest"
            licenses = changed_values(_claimed_licenses(before), _claimed_licenses(after))
            shifts = [_shift_line("license", name, each) for name, each in licenses.items()]
            data = {"manifest": manifests, "entries": None, "licenses": licenses}
            return Section(tuple(map(printable, [line, *shifts])), data)
        changes = compare_data(one, two, names)
        lines = list(change_lines(changes))
        data = {"manifest": manifests, "entries": changes.as_dict()}
        licenses = changed_values(_licenses(one), _licenses(two))
        data["licenses"] = licenses
        lines += [_shift_line("license", name, each) for name, each in licenses.items()]
        if one.summaries and two.summaries:
            languages = changed_values(
                _shares(one.summaries, "languages"), _shares(two.summaries, "languages")
            )
            data["languages"] = languages
            lines += [_shift_line("language", name, each) for name, each in languages.items()]
            filters = changed_values(_left_out(one.summaries), _left_out(two.summaries))
            data["left_out"] = filters
            lines += [value_line(f"left out by {name}", each) for name, each in filters.items()]
        if not lines:
            lines.append("the same texts, in manifests of another form")
        return Section(tuple(map(printable, lines)), data)


def _files(side: Side) -> TrainingFiles | None:
    manifest = read_training_data(side.opened.folder, side.package)
    if manifest is not None:
        return files_of_manifest(manifest)
    return files_of_statement(side.provenance) if side.provenance is not None else None


def _licenses(files: TrainingFiles) -> dict[str, dict[str, int]]:
    """Samples of each license. Statements of earlier versions have no sizes."""
    if files.summaries:
        return {
            name: {"samples": each["samples"]} for name, each in _shares(files.summaries, "licenses").items()
        }
    totals: dict[str, dict[str, int]] = {}
    for entry in files.entries():
        name = entry.license or "NOASSERTION"
        place = name if name in totals or len(totals) < _MOST_LICENSES else _OTHERS
        totals.setdefault(place, {"samples": 0})["samples"] += 1
    return totals


def _claimed_licenses(side: Side) -> dict[str, dict[str, int]]:
    """Samples of each license as the statement counts them."""
    totals: dict[str, dict[str, int]] = {}
    for source in side.provenance.sources if side.provenance else ():
        for name, (samples, _) in source.licenses.items():
            totals.setdefault(name, {"samples": 0})["samples"] += samples
    return totals


def _shares(
    summaries: Iterable[SourceSummary], kind: Literal["licenses", "languages"]
) -> dict[str, dict[str, int]]:
    """Samples and bytes of each license or language in all sources."""
    totals: dict[str, dict[str, int]] = {}
    for source in summaries:
        for name, count in getattr(source, kind).items():
            total = totals.setdefault(name, {"samples": 0, "bytes": 0})
            total["samples"] += count.samples
            total["bytes"] += count.bytes
    return totals


def _left_out(summaries: Iterable[SourceSummary]) -> dict[str, int]:
    """Samples that each filter left out of all sources."""
    totals: dict[str, int] = {}
    for source in summaries:
        for name, reasons in source.left_out.items():
            totals[name] = totals.get(name, 0) + sum(reasons.values())
    return totals


def _shift_line(kind: str, name: str, change: Mapping[str, Any]) -> str:
    one, two = (change.get(side, {"samples": 0}) for side in ("before", "after"))
    line = f"{kind} {name}: {one['samples']:,} -> {human_count(two['samples'], 'samples')}"
    grown = two.get("bytes", 0) - one.get("bytes", 0)
    return f"{line} ({grown:+,} bytes)" if grown else line
