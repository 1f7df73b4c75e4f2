"""From a recipe to the figures of its data."""

from __future__ import annotations

import importlib.util
import itertools
import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from starfreight.base_model import locate_base
from starfreight.console import Console
from starfreight.errors import ServiceError
from starfreight.jobs.data.manifest.gather import Gathered, gather_data
from starfreight.jobs.data.manifest.manifest import MANIFEST_FILE, DataManifest, SourceSummary
from starfreight.jobs.data.manifest.samples import used_samples
from starfreight.jobs.data.report.examples import RenderedExample, draw_examples
from starfreight.jobs.data.sources import locate_source, open_source
from starfreight.jobs.data.sources.interface import Sample
from starfreight.jobs.data.worker_pool import ordered_map
from starfreight.recipe import Recipe
from starfreight.recipe.data import Data

_NAMES = 5
"""Names that are shown of what a filter leaves out."""


@dataclass(frozen=True)
class SourceReport:
    """One source.

    Attributes:
        summary: its counts.
        tokens: of what is used, by side (``train``, ``held_out``); empty when they were not counted.
        language_tokens: the same by language.
        license_tokens: the same by license.
        left_out: by filter, the first few samples that it leaves out: a name and a few words.
        examples: what training reads, drawn from all over the source.
    """

    summary: SourceSummary
    tokens: dict[str, int]
    language_tokens: dict[str, int]
    license_tokens: dict[str, int]
    left_out: dict[str, list[tuple[str, str]]]
    examples: list[RenderedExample] = field(default_factory=list)


@dataclass(frozen=True)
class Report:
    """All sources of a recipe. ``no_tokens`` says why nothing was counted in tokens, or is ``None``."""

    recipe: str
    base: str
    sources: tuple[SourceReport, ...]
    gathered: Gathered
    no_tokens: str | None


def make_report(recipe: Recipe, folder: Path, examples: int, console: Console) -> Report:
    """Reads and examines the data as a run would, and counts it. Nothing is left on the disk.

    Args:
        recipe: without a sweep.
        folder: where its relative paths start.
        examples: how many to draw from each source.
        console: shows progress.

    Raises:
        RecipeError: the recipe names something that is not there.
        InputError: the data cannot be used.
    """
    paths = [locate_source(data, folder, console) for data in recipe.data]
    base, no_tokens = _find_tokenizer(recipe, folder)
    with tempfile.TemporaryDirectory(prefix="starfreight-") as work:
        processes = recipe.run.threads
        gathered = gather_data(recipe.data, paths, folder, Path(work), console, processes)
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
    return Report(recipe.name, recipe.base.model, tuple(sources), gathered, no_tokens)


def _find_tokenizer(recipe: Recipe, folder: Path) -> tuple[Path | None, str | None]:
    """The folder of the base model's tokenizer, or why there is none."""
    if importlib.util.find_spec("tokenizers") is None:
        return None, "that needs the extra train: pip install 'starfreight[train]'"
    try:
        return locate_base(recipe.base, folder, ("tokenizer.json",)), None
    except ServiceError as error:
        return None, f"the base model's tokenizer is not at hand: {error.what}"


_Kind = tuple[int, str, str, str]


def make_counter(sources: Sequence[Data], base: str) -> Callable[[tuple[int, Sample]], int]:
    """The worker of a process: how many tokens a sample's text has, as it is trained on."""
    from starfreight.jobs.data.encoder import Encoder
    from starfreight.jobs.data.examine import text_of
    from starfreight.jobs.data.redaction import redact

    encoder = Encoder(Path(base))

    def count(item: tuple[int, Sample]) -> int:
        number, sample = item
        return len(encoder.encode(text_of(redact(sample.content, sources[number].filters)[0])))

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
            for sample, _ in used_samples(open_source(data, paths[number]), manifest, number):
                yield number, sample

    kinds = (
        (number, used.split, used.language or "unknown", used.license or "NOASSERTION")
        for number in range(len(sources))
        for used in manifest.kept(number)
    )
    total = sum(source.train.bytes + source.held_out.bytes for source in manifest.sources)
    tallies: dict[_Kind, int] = {}
    with console.progress("Counting tokens", total=total, unit="B") as advance:
        sized, counted = itertools.tee(items())  # At most a few batches apart.
        counts = ordered_map(
            make_counter, (tuple(sources), str(base)), counted, cost=_cost, processes=processes
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
