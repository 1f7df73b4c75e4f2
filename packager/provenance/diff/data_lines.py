"""Changes of the training data in words."""

from __future__ import annotations

from collections.abc import Iterator

from starfreight.packager.provenance.diff.data_changes import KINDS, DataChanges, SourceChanges

_MARKS = {"added": "+", "removed": "-", "changed": "~", "relicensed": "(c)", "moved": ">"}
_WORDS = {
    "added": "added",
    "removed": "removed",
    "changed": "with other contents",
    "relicensed": "under another license",
    "moved": "moved between training and held-out data",
}


def change_lines(changes: DataChanges) -> Iterator[str]:
    """The changes for people: a line for each source, and the names of the first files of each kind."""
    for source in changes.sources:
        yield f"{source.source}: {', '.join(_counts(source)) or 'no files'}"
        for kind in KINDS:
            for name in source.names[kind]:
                yield f"  {_MARKS[kind]} {name}"
            more = source.counts[kind] - len(source.names[kind])
            if more > 0 and source.names[kind]:
                yield f"  {_MARKS[kind]} and {more:,} more {_WORDS[kind]}"
    if changes.renamed:
        yield f"{changes.renamed:,} added with the contents of a removed one"


def _counts(source: SourceChanges) -> Iterator[str]:
    if source.before is None:
        yield "new source"
    if source.after is None:
        yield "source removed"
    for kind in KINDS:
        if count := source.counts[kind]:
            yield f"{count:,} {_WORDS[kind]}"
