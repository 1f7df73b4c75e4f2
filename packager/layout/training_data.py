"""Check a package's data manifest: its lists are beside it, and its counts are those of its entries.

The statement names the counts. Without this check, the license of a file could be rewritten in the manifest
alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from starfreight.data_manifest import Count, DataManifest, SourceSummary
from starfreight.errors import GateError, InputError
from starfreight.files import open_regular
from starfreight.image_layout.reader import ImageLayout
from starfreight.package import Package
from starfreight.package_training_data import read_training_data

_SOURCE = re.compile(rb'\{"source": (0|[1-9][0-9]{0,4}), ')
_MAX_LINE = 1 << 20
_MOST_NAMES = 100_000
_LISTED = 200
"""Names that summaries count one by one; the rarer ones are counted together."""
_OTHERS, _NO_LICENSE, _NO_LANGUAGE = "others", "NOASSERTION", "unknown"

_Counts = dict[str, tuple[int, int]]


def read_checked(layout: ImageLayout, package: Package) -> tuple[DataManifest | None, tuple[str, ...]]:
    """The data manifest in a package whose files have the right digests, and its problems.

    Returns:
        the manifest, ``None`` without one; and completions of the sentence "The data manifest ...".

    Raises:
        GateError: the manifest or a list is missing or damaged.
    """
    manifest = read_training_data(layout.folder, package, verified=True)
    if manifest is None:
        return None, ()
    problems = tuple(_list_problems(manifest, package))
    if problems:
        return manifest, problems
    try:
        return manifest, tuple(_count_problems(manifest))
    except InputError as error:
        raise GateError(error.what, where=error.where, fix="get the package again from its source") from error


def _list_problems(manifest: DataManifest, package: Package) -> Iterator[str]:
    assert package.training_data is not None
    found = [(each.path, each.file.digest, each.file.size) for each in package.training_data.lists]
    records = [source.records for source in manifest.sources if source.records is not None]
    listed = [(each.path, each.digest, each.size) for each in (manifest.left_out, *records)]
    if found != listed:
        yield "has other lists than the package"
    if len({path for path, _, _ in listed}) != len(listed):
        yield "has two lists of one name"


def _count_problems(manifest: DataManifest) -> Iterator[str]:
    left_out = _left_out_by_source(manifest)
    if sum(left_out.values()) != manifest.left_out.entries or not left_out.keys() <= set(
        range(len(manifest.sources))
    ):
        yield f"counts other samples than {manifest.left_out.path} has"
    for number, summary in enumerate(manifest.sources):
        for what in _wrong_counts(manifest, number, summary):
            yield f"counts other {what} of the source {number} than it lists"
        without = sum(sum(reasons.values()) for reasons in summary.left_out.values())
        if without != left_out.get(number, 0):
            yield f"counts other samples left out of the source {number} than it lists"
        if summary.found != summary.train.samples + summary.held_out.samples + without:
            yield f"counts samples of the source {number} that it neither uses nor leaves out"


def _wrong_counts(manifest: DataManifest, number: int, summary: SourceSummary) -> Iterator[str]:
    splits: _Counts = {}
    licenses: _Counts = {}
    languages: _Counts = {}
    entries = 0
    for entry in manifest.kept(number):
        entries += 1
        _add(splits, entry.split, entry.size)
        _add(licenses, entry.license or _NO_LICENSE, entry.size)
        _add(languages, entry.language or _NO_LANGUAGE, entry.size)
        if max(len(licenses), len(languages)) > _MOST_NAMES:
            yield "licenses or languages"
            return
    wanted = {"train": summary.train, "held_out": summary.held_out}
    if splits != {name: _pair(count) for name, count in wanted.items() if count.samples}:
        yield "samples"
    if summary.records is not None:
        if entries != summary.records.entries:
            yield "records"
        if any(file.split != "records" for file in manifest.files(number)):
            yield "files of records"
    if not _agree(licenses, summary.licenses, _NO_LICENSE):
        yield "licenses"
    if not _agree(languages, summary.languages, _NO_LANGUAGE):
        yield "languages"


def _agree(counted: _Counts, summary: Mapping[str, Count], unknown: str) -> bool:
    stated = {name: _pair(count) for name, count in summary.items()}
    if len(counted) < _LISTED:  # One less: entries without a value may be counted apart from the others.
        return counted == stated
    named = stated.keys() - {_OTHERS, unknown}
    total = tuple(map(sum, zip(*counted.values(), strict=True)))
    return total == tuple(map(sum, zip(*stated.values(), strict=True))) and all(
        counted.get(name) == stated[name] for name in named
    )


def _left_out_by_source(manifest: DataManifest) -> dict[int, int]:
    counts: dict[int, int] = {}
    path = manifest.lists[manifest.left_out.path]
    with open_regular(path, "list of the data") as stream:
        while line := stream.readline(_MAX_LINE):
            found = _SOURCE.match(line)
            number = int(found[1]) if found is not None else -1
            counts[number] = counts.get(number, 0) + 1
    return counts


def _add(counts: _Counts, name: str, size: int) -> None:
    samples, total = counts.get(name, (0, 0))
    counts[name] = (samples + 1, total + size)


def _pair(count: Count) -> tuple[int, int]:
    return count.samples, count.bytes
