"""A bounded look at data on this machine, through the reading and filters of a run. Nothing is fetched."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starfreight.console import Console, human_count
from starfreight.errors import InputError
from starfreight.recipe import Data, Recipe

if TYPE_CHECKING:
    from starfreight.data_manifest import SourceSummary
    from starfreight.jobs.data.sources import Sample, Unusable
    from starfreight.jobs.planning.token_count import TextSize, TokenCount


@dataclass(frozen=True)
class Bounds:
    """Limits of a look at one source.

    Attributes:
        texts: number of texts.
        size: bytes of texts.
        seconds: duration.
    """

    texts: int = 2_000
    size: int = 64 << 20
    seconds: float = 3.0


BOUNDS = Bounds()


@dataclass(frozen=True)
class SourceLook:
    """The part of one source that was read.

    Attributes:
        source: as written in the recipe.
        summary: counts of that part; ``None`` if the source is not on this machine.
        whole: true if it is all of the source.
        dialect: a line about records of instructions; ``None`` for other formats.
    """

    source: str
    summary: SourceSummary | None
    whole: bool
    dialect: str | None

    def as_dict(self) -> dict[str, Any]:
        """The source for ``--json``; ``held_out`` is known of a whole source only."""
        from starfreight.jobs.data.manifest.little_data import counts_left_out

        found = self.summary
        return {
            "source": self.source,
            "here": found is not None,
            "whole": self.whole,
            "texts": found.found if found else None,
            "left_out": counts_left_out(found) if found else None,
            "train": found.train.samples if found and self.whole else None,
            "held_out": found.held_out.samples if found and self.whole else None,
            "records": self.dialect,
        }

    def as_text(self) -> str:
        """The source in one line."""
        from starfreight.jobs.data.manifest.little_data import counts_left_out

        found = self.summary
        if found is None:
            return f"{self.source}: not looked at, because it is not here yet"
        counts = counts_left_out(found)
        out = sum(counts.values())
        texts = human_count(found.found, "texts")
        line = f"{found.source}: " + (texts if self.whole else f"of the first {texts}")
        if out:
            by = ", ".join(f"{count:,} {name}" for name, count in counts.items())
            line += f"{', ' if self.whole else ' '}{out / found.found:.0%} left out ({by})"
        else:
            line += ", none left out" if self.whole else " none is left out"
        if self.whole:
            line += f", {found.held_out.samples:,} held out"
        return line + (f"; {self.dialect}" if self.dialect else "")


@dataclass(frozen=True)
class DataLook:
    """The sources of one recipe.

    Attributes:
        sources: in the order of the recipe.
        error: the reason for which a run stops, if the data seen suffice to know it.
        warnings: reasons for which a run may stop; only parts of the sources were read.
        tokens: of a pass over the training data; ``None`` if they cannot be counted here.
    """

    sources: tuple[SourceLook, ...]
    error: InputError | None
    warnings: tuple[str, ...]
    tokens: TokenCount | None = None


def look_at_data(
    recipe: Recipe,
    folder: Path,
    paths: Sequence[Path | None],
    base: Path | None,
    console: Console,
    bounds: Bounds = BOUNDS,
) -> DataLook:
    """Read and filter the sources that are on this machine, each within bounds.

    Args:
        recipe: without a sweep.
        folder: the base of its relative paths.
        paths: the local path of each source; ``None`` for one that is not here.
        base: the directory of the base model, for its tokenizer; ``None`` if it is not here.
        console: shows progress.
        bounds: limits for each source.

    Raises:
        InputError: the reason for which a run cannot read the data: a missing column, a forbidden file.
    """
    from starfreight.jobs.data.dialects import describe_dialect
    from starfreight.jobs.data.filters.pipeline import FilterPipeline
    from starfreight.jobs.data.manifest.catalogue import Catalogue
    from starfreight.jobs.data.manifest.writer import summary_of
    from starfreight.jobs.data.sources import Unusable, naming_source, open_source
    from starfreight.jobs.planning.first_examples import FirstTexts
    from starfreight.jobs.planning.token_count import TokenSample

    drawn = TokenSample(recipe, base)
    first = FirstTexts(recipe, base)
    parts = [_Part(bounds) for _ in recipe.data]
    with (
        tempfile.TemporaryDirectory(prefix="starfreight-") as work,
        Catalogue(Path(work) / "catalogue", recipe.data) as catalogue,
    ):
        with console.progress("Looking at the data", total=None, unit="texts") as advance:
            for number, (data, path) in enumerate(zip(recipe.data, paths, strict=True)):
                pipeline = FilterPipeline(data, folder)
                with naming_source(number):
                    for found in parts[number].read(open_source(data, path).samples()) if path else ():
                        if isinstance(found, Unusable):
                            catalogue.add(number, found)
                        else:
                            catalogue.add(number, pipeline.run(found))
                            first.add(number, found)
                            drawn.add(number, found)
                        advance(1)
        catalogue.split([_has_records(data, path) for data, path in zip(recipe.data, paths, strict=True)])
        summaries = [summary_of(catalogue, number, data) for number, data in enumerate(recipe.data)]
        kept: list[set[str]] = [set() for _ in recipe.data]
        held_out: list[set[str]] = [set() for _ in recipe.data]
        for number in range(len(recipe.data)):
            for entry in catalogue.kept(number):
                (held_out if entry.held_out else kept)[number].add(entry.name)
    looks = tuple(
        SourceLook(
            source=data.source,
            summary=summaries[number] if paths[number] else None,
            whole=bool(paths[number]) and parts[number].whole,
            dialect=None,
        )
        for number, data in enumerate(recipe.data)
    )
    tokens = None
    error, warnings = _judge(recipe, looks, summaries)
    if error is None:
        error = first.check(kept, held_out, whole=all(look.whole for look in looks))
        dialects = [
            describe_dialect(data, folder) if path else None
            for data, path in zip(recipe.data, paths, strict=True)
        ]
        looks = tuple(replace(look, dialect=found) for look, found in zip(looks, dialects, strict=True))
        if error is None:
            sizes = [
                _training_text(data, path, part, summary.train.bytes)
                for data, path, part, summary in zip(recipe.data, paths, parts, summaries, strict=True)
            ]
            tokens = drawn.count(kept, sizes)
            error = tokens.error(recipe) if tokens else None
    return DataLook(looks, error, warnings, tokens)


def _judge(
    recipe: Recipe, looks: Sequence[SourceLook], summaries: Sequence[SourceSummary]
) -> tuple[InputError | None, tuple[str, ...]]:
    from starfreight.jobs.data.manifest.little_data import little_data, most_left_out, no_text

    for number, look in enumerate(looks):
        error = no_text(number, recipe.data[number], summaries[number]) if look.whole else None
        if error is not None:
            return error, ()
    seen = [number for number, look in enumerate(looks) if look.summary is not None]
    if all(look.whole for look in looks):
        error = little_data(recipe.data, summaries)
        if error is not None and recipe.run.allow_little_data:
            return None, (error.what,)
        return error, ()
    warnings = []
    for number in seen:
        error = most_left_out(number, summaries[number])
        if error is None:
            continue
        if looks[number].whole and not recipe.run.allow_little_data:
            return error, ()
        warnings.append(f"{error.what.rstrip('.')}, as far as the source was read; {error.fix}")
    return None, tuple(warnings)


def _training_text(data: Data, path: Path | None, part: _Part, kept: int) -> TextSize | None:
    """The size of a source's training texts, ``kept`` bytes of which are in the part that was read."""
    from starfreight.jobs.planning.source_size import source_size
    from starfreight.jobs.planning.token_count import TextSize

    if path is None:
        return None
    if part.whole:
        return TextSize(kept, True)
    size = source_size(data, path)
    return TextSize(size * kept / part.size, False) if size is not None and part.size else None


class _Part:
    """The bounded part of one source."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self.whole = True
        self.size = 0

    def read(self, samples: Iterator[Sample | Unusable]) -> Iterator[Sample | Unusable]:
        """Yield samples until a bound is reached."""
        end = None
        for texts, each in enumerate(samples):
            # From the first sample on: a dataset's reader takes seconds to start.
            end = end or time.monotonic() + self._bounds.seconds
            if texts >= self._bounds.texts or self.size >= self._bounds.size or time.monotonic() > end:
                self.whole = False
                return
            self.size += getattr(each, "size", 0)
            yield each


def _has_records(data: Data, path: Path | None) -> bool:
    from starfreight.jobs.data.sources import open_source
    from starfreight.jobs.data.sources.folder import FolderSource
    from starfreight.jobs.data.sources.git_commit import CommitSource

    return path is not None and not isinstance(open_source(data, path), FolderSource | CommitSource)
