"""The figures of a recipe's data, and how they are computed."""

from __future__ import annotations

import importlib.util
import itertools
import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from starfreight.base_model import locate_base
from starfreight.console import Console
from starfreight.data_manifest import MANIFEST_FILE, DataManifest, SourceSummary
from starfreight.errors import InputError, ServiceError
from starfreight.jobs.data.manifest.build_manifest import ManifestBuild, build_manifest
from starfreight.jobs.data.manifest.samples import verified_samples
from starfreight.jobs.data.report.examples import RenderedExample, draw_examples
from starfreight.jobs.data.sources import locate_source, open_source
from starfreight.jobs.data.sources.interface import Sample
from starfreight.jobs.data.worker_pool import ordered_map
from starfreight.recipe import Recipe
from starfreight.recipe.data import Data

_NAMES = 5
"""Samples named for each filter."""


@dataclass(frozen=True)
class SourceReport:
    """The figures of one source.

    Attributes:
        summary: its counts.
        tokens: of the samples used, by split (``train``, ``held_out``); empty if they were not counted.
        language_tokens: the same by language.
        license_tokens: the same by license.
        left_out: by filter, the names of the first samples left out, with the reasons.
        examples: as training reads them, drawn at random from the source.
    """

    summary: SourceSummary
    tokens: dict[str, int]
    language_tokens: dict[str, int]
    license_tokens: dict[str, int]
    left_out: dict[str, list[tuple[str, str]]]
    examples: list[RenderedExample] = field(default_factory=list)


@dataclass(frozen=True)
class DataReport:
    """The figures of all sources.

    Attributes:
        recipe: its name.
        base: the base model, as written in the recipe.
        sources: their figures.
        build: counts of all of them.
        no_tokens: the reason if tokens were not counted, else ``None``.
        stops: the error with which a run of this recipe stops for too little data; ``None`` if it does not.
    """

    recipe: str
    base: str
    sources: tuple[SourceReport, ...]
    build: ManifestBuild
    no_tokens: str | None
    stops: InputError | None


def build_data_report(recipe: Recipe, folder: Path, examples: int, console: Console) -> DataReport:
    """Read, filter and count the data like a run. Nothing is left on the disk.

    Args:
        recipe: without a sweep.
        folder: the base of its relative paths.
        examples: number of examples to draw from each source.
        console: shows progress.

    Raises:
        RecipeError: the recipe names a missing file or source.
        InputError: the data cannot be used.
    """
    paths = [locate_source(data, folder, console) for data in recipe.data]
    base, no_tokens = _find_tokenizer(recipe, folder)
    with tempfile.TemporaryDirectory(prefix="starfreight-") as work:
        processes = recipe.run.threads
        build = build_manifest(recipe.data, paths, folder, Path(work), console, processes)
        manifest = DataManifest.load(Path(work) / MANIFEST_FILE)
        tallies = _count_tokens(recipe.data, paths, manifest, base, console, processes) if base else {}
        sources = []
        for number, data in enumerate(recipe.data):
            drawn: list[RenderedExample] = []
            if base and examples:
                source = open_source(data, paths[number])
                drawn = draw_examples(
                    data, source, manifest, number, base, recipe.training.sequence_length, examples
                )
            sources.append(
                SourceReport(
                    manifest.sources[number],
                    tokens=_tally(tallies, number, 0),
                    language_tokens=_tally(tallies, number, 1),
                    license_tokens=_tally(tallies, number, 2),
                    left_out=_names(manifest, number),
                    examples=drawn,
                )
            )
    stops = None if recipe.run.allow_little_data else build.little_data
    return DataReport(recipe.name, recipe.base.model, tuple(sources), build, no_tokens, stops)


def _find_tokenizer(recipe: Recipe, folder: Path) -> tuple[Path | None, str | None]:
    """Return the directory of the base model's tokenizer, or the reason for its absence."""
    if importlib.util.find_spec("tokenizers") is None:
        return None, "this needs the extra train: pip install 'starfreight[train]'"
    try:
        return locate_base(recipe.base, folder, ("tokenizer.json",)), None
    except ServiceError as error:
        return None, f"the tokenizer of the base model is not available: {error.what}"


_Kind = tuple[int, str, str, str]
"""Source number, split, language and license."""


def make_token_counter(sources: Sequence[Data], base: str) -> Callable[[tuple[int, Sample]], int]:
    """Return the worker of a process, which counts the tokens of a sample's training text."""
    from starfreight.jobs.data.encoder import Encoder
    from starfreight.jobs.data.redaction import redact
    from starfreight.jobs.data.training_text import sample_text

    encoder = Encoder(Path(base))

    def count(item: tuple[int, Sample]) -> int:
        number, sample = item
        data = sources[number]
        redacted = replace(sample, content=redact(sample.content, data.filters)[0])
        return len(encoder.encode(sample_text(redacted, data)))

    return count


def _count_tokens(
    sources: Sequence[Data],
    paths: Sequence[Path],
    manifest: DataManifest,
    base: Path,
    console: Console,
    processes: int | None,
) -> dict[_Kind, int]:
    def items() -> Iterator[tuple[int, Sample]]:
        for number, data in enumerate(sources):
            for sample, _ in verified_samples(open_source(data, paths[number]), manifest, number):
                yield number, sample

    kinds = (
        (number, entry.split, entry.language or "unknown", entry.license or "NOASSERTION")
        for number in range(len(sources))
        for entry in manifest.kept(number)
    )
    total = sum(source.train.bytes + source.held_out.bytes for source in manifest.sources)
    tallies: dict[_Kind, int] = {}
    with console.progress("Counting tokens", total=total, unit="B") as advance:
        sized, counted = itertools.tee(items())  # At most a few batches apart.
        counts = ordered_map(
            make_token_counter, (tuple(sources), str(base)), counted, cost=_cost, processes=processes
        )
        for kind, (_, sample), count in zip(kinds, sized, counts, strict=True):
            tallies[kind] = tallies.get(kind, 0) + count
            advance(sample.size)
    return tallies


def _cost(item: tuple[int, Sample]) -> int:
    return 200 + item[1].size


def _tally(tallies: dict[_Kind, int], source: int, position: int) -> dict[str, int]:
    found: dict[str, int] = {}
    for (number, *kind), count in tallies.items():
        if number == source:
            name = str(kind[position])
            found[name] = found.get(name, 0) + count
    return dict(sorted(found.items(), key=lambda pair: (-pair[1], pair[0])))


def _names(manifest: DataManifest, source: int) -> dict[str, list[tuple[str, str]]]:
    names: dict[str, list[tuple[str, str]]] = {}
    for line in manifest.left_out_lines(source):
        each = json.loads(line)
        found = names.setdefault(each["filter"], [])
        if len(found) < _NAMES:
            twin = each.get("twin")
            found.append((each["name"], f"like {twin['name']}" if twin else each["detail"]))
    return names
