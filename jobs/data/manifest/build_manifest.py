"""Builds a data manifest: reads and filters every sample of a recipe's sources, and writes the result."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from starfreight.console import Console, human_count
from starfreight.data_manifest import MANIFEST_FILE, DataManifest, SourceSummary
from starfreight.errors import InputError
from starfreight.files import PARTIAL_PREFIX
from starfreight.jobs.data.dialects.describe import ConversationCounts
from starfreight.jobs.data.filters.interface import Finding
from starfreight.jobs.data.manifest.catalogue import Catalogue
from starfreight.jobs.data.manifest.little_data import counts_left_out, little_data, no_text
from starfreight.jobs.data.manifest.writer import write_manifest
from starfreight.jobs.data.sources import naming_source, open_source
from starfreight.jobs.data.sources.interface import Sample, Source, Unusable
from starfreight.jobs.data.worker_pool import BATCHING, Batching, ordered_map
from starfreight.recipe.data import Data
from starfreight.records import FileDigest

Numbered = tuple[int, Sample | Unusable]
"""A sample with the number of its source."""


@dataclass(frozen=True)
class ManifestBuild:
    """The result of a build.

    Attributes:
        manifest: the file written.
        sources: the counts in it.
        samples: number of samples read, including those left out.
        bytes: of their texts.
        seconds: duration.
        little_data: the reason to stop unless the recipe allows little data, if there is one.
        conversations: for each source, what was read of its records of instructions.
    """

    manifest: FileDigest
    sources: tuple[SourceSummary, ...]
    samples: int
    bytes: int
    seconds: float
    little_data: InputError | None = None
    conversations: tuple[ConversationCounts, ...] = ()


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
            conversations = tuple(catalogue.conversations(number) for number in range(len(sources)))
    finally:
        work.unlink(missing_ok=True)
    summaries = DataManifest.load(out / MANIFEST_FILE).sources
    for number, summary in enumerate(summaries):
        error = no_text(number, sources[number], summary)
        if error is not None:
            raise error
        _show(summary, console)
        for line in conversations[number].lines():
            console.note(f"    {line}")
    little = little_data(sources, summaries)
    return ManifestBuild(manifest, summaries, samples, size, time.monotonic() - began, little, conversations)


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
        with naming_source(number):
            return number, pipelines[number].run(sample)

    return run


def _numbered(sources: Sequence[Source]) -> Iterator[Numbered]:
    for number, source in enumerate(sources):
        samples = source.samples()
        while True:
            with naming_source(number):
                sample = next(samples, None)
            if sample is None:
                break
            yield number, sample


def _cost(item: Numbered) -> int:
    return 200 if isinstance(item[1], Unusable) else 200 + item[1].size


def _speed(samples: int, size: int, seconds: float) -> str:
    seconds = max(seconds, 1e-3)
    return f"Reading the data, {samples / seconds:,.0f} files/s, {size / seconds / 1e6:.1f} MB/s"


def _show(summary: SourceSummary, console: Console) -> None:
    counts = ", ".join(f"{count:,} {by}" for by, count in counts_left_out(summary).items())
    used, held_out = summary.train, summary.held_out
    console.note(
        f"  {summary.source}: {used.samples + held_out.samples:,} of {human_count(summary.found, 'texts')}, "
        f"{used.bytes + held_out.bytes:,} bytes, {held_out.samples:,} of them held out"
        + (f"; left out: {counts}" if counts else "")
    )
