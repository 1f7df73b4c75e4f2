"""Builds a data manifest: reads and filters every sample of a recipe's sources, and writes the result."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from starfreight.console import Console
from starfreight.errors import InputError
from starfreight.files import PARTIAL_PREFIX
from starfreight.jobs.data.filters.interface import Finding
from starfreight.jobs.data.manifest.catalogue import Catalogue
from starfreight.jobs.data.manifest.manifest import MANIFEST_FILE, DataManifest, SourceSummary
from starfreight.jobs.data.manifest.writer import write_manifest
from starfreight.jobs.data.sources import open_source
from starfreight.jobs.data.sources.interface import Sample, Source, Unusable
from starfreight.jobs.data.worker_pool import BATCHING, Batching, ordered_map
from starfreight.recipe.data import Data
from starfreight.records import FileDigest

Numbered = tuple[int, Sample | Unusable]
"""A sample with the number of its source."""

_FIXES = {
    "license": "set data.license to the license of the source, or allow more in data.filters.licenses",
    "opt_out": "remove this source, which is on the list in data.filters.opt_out",
    "vendored": "set data.filters.vendored: false if the code is your own",
    "generated": "set data.filters.generated: false",
    "minified": "set data.filters.minified: false",
    "secrets": "remove the secrets, or set data.filters.secrets: replace",
    "personal_data": "set data.filters.personal_data: replace",
    "contamination": "remove this source, or the overlapping set from data.filters.evaluation_sets",
    "held_out": "remove this source, whose texts are held out of another one",
    "unusable": "check the path and the include and exclude patterns of this source",
    "exact_duplicates": "remove this source, or set data.filters.exact_duplicates: false",
    "near_duplicates": "remove this source, or set data.filters.near_duplicates: false",
}


@dataclass(frozen=True)
class ManifestBuild:
    """The result of a build.

    Attributes:
        manifest: the file written.
        samples: number of samples read, including those left out.
        bytes: of their texts.
        seconds: duration.
    """

    manifest: FileDigest
    samples: int
    bytes: int
    seconds: float


def build_manifest(
    sources: Sequence[Data],
    paths: Sequence[Path],
    recipe_folder: Path,
    out: Path,
    console: Console,
    processes: int | None = None,
    batching: Batching = BATCHING,
) -> ManifestBuild:
    """Write the manifest of a recipe's data and its lists into ``out``.

    Args:
        sources: of the recipe.
        paths: the local path of each source.
        recipe_folder: the base of the paths in their filters.
        out: an empty directory; the catalogue is kept there temporarily.
        console: shows progress and a summary.
        processes: see :func:`ordered_map`; the result does not depend on it.
        batching: see :func:`ordered_map`.

    Raises:
        InputError: a source has no usable sample, or a forbidden file.
        ServiceError: the disk is full, or a process was killed for lack of memory.
    """
    began = time.monotonic()
    opened = [open_source(data, path) for data, path in zip(sources, paths, strict=True)]
    containers = [source.containers() for source in opened]
    work = out / f"{PARTIAL_PREFIX}catalogue"
    work.unlink(missing_ok=True)
    samples = size = 0
    try:
        with Catalogue(work, sources) as catalogue:
            with console.progress("Reading the data", total=None, unit="files") as advance:
                for number, found in ordered_map(
                    make_filter_worker, (tuple(sources), recipe_folder), _numbered(opened),
                    cost=_cost, processes=processes, batching=batching,
                ):  # fmt: skip
                    catalogue.add(number, found)
                    samples += 1
                    size += 0 if isinstance(found, Unusable) else found.size
                    advance(1, _speed(samples, size, time.monotonic() - began))
            catalogue.split([bool(files) for files in containers])
            manifest = write_manifest(catalogue, sources, containers, out)
    finally:
        work.unlink(missing_ok=True)
    for summary in DataManifest.load(out / MANIFEST_FILE).sources:
        _check_and_show(summary, console)
    return ManifestBuild(manifest, samples, size, time.monotonic() - began)


def make_filter_worker(
    sources: Sequence[Data], recipe_folder: Path
) -> Callable[[Numbered], tuple[int, Finding | Unusable]]:
    """Return the worker of a process, which filters a sample by the rules of its source."""
    from starfreight.jobs.data.filters.pipeline import FilterPipeline

    pipelines: dict[int, FilterPipeline] = {}

    def run(item: Numbered) -> tuple[int, Finding | Unusable]:
        number, sample = item
        if isinstance(sample, Unusable):
            return number, sample
        if number not in pipelines:
            pipelines[number] = FilterPipeline(sources[number], recipe_folder)
        return number, pipelines[number].run(sample)

    return run


def _numbered(sources: Sequence[Source]) -> Iterator[Numbered]:
    for number, source in enumerate(sources):
        for sample in source.samples():
            yield number, sample


def _cost(item: Numbered) -> int:
    return 200 if isinstance(item[1], Unusable) else 200 + item[1].size


def _speed(samples: int, size: int, seconds: float) -> str:
    seconds = max(seconds, 1e-3)
    return f"Reading the data, {samples / seconds:,.0f} files/s, {size / seconds / 1e6:.1f} MB/s"


def _check_and_show(summary: SourceSummary, console: Console) -> None:
    out = {by: sum(reasons.values()) for by, reasons in summary.left_out.items()}
    counts = ", ".join(f"{count:,} {by}" for by, count in sorted(out.items(), key=lambda pair: -pair[1]))
    if summary.train.samples == 0:
        most = max(out, key=lambda by: out[by], default="unusable")
        reasons = summary.left_out.get(most, {})
        detail = max(reasons, key=lambda reason: reasons[reason], default="")
        raise InputError(
            "The source has no text to train on: "
            + (
                f"of {summary.found:,} texts the filters left out {counts} (most often: {detail})."
                if out
                else "it is empty."
            ),
            where=f"key data.source, {summary.source}",
            fix=_FIXES[most],
        )
    used, held_out = summary.train, summary.held_out
    console.note(
        f"  {summary.source}: {used.samples + held_out.samples:,} of {summary.found:,} texts, "
        f"{used.bytes + held_out.bytes:,} bytes, {held_out.samples:,} of them held out"
        + (f"; left out: {counts}" if counts else "")
    )
