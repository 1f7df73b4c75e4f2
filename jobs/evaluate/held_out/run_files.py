"""The held-out files of a run, found again in its sources.

Their context is the rest of their repository that training used or held out, with the same redactions. Files
that training saw are among it: in an editor, too, most of the files around were trained on. Files left out of
the data (secrets, licenses, copies of held-out texts) are not.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from starfreight.console import Console, human_count
from starfreight.data_manifest import ManifestEntry, OtherVersionError
from starfreight.errors import InputError
from starfreight.jobs.data.dialects.triple import TRIPLE
from starfreight.jobs.data.formats.windows import file_text
from starfreight.jobs.data.redaction import redact
from starfreight.jobs.data.sources.interface import Sample
from starfreight.jobs.evaluate.held_out.file_choice import FileChoice
from starfreight.jobs.evaluate.held_out.surroundings import Surrounding, Surroundings
from starfreight.jobs.evaluate.run_data import RunData
from starfreight.jobs.evaluate.suites.interface import HeldOut, HeldOutFile, SkippedSuite
from starfreight.recipe.data import Filters

_ADVICE = "name a directory of files that training did not see with --held-out"
_OTHER = "other"
"""Language of a file whose name does not tell it."""


def files_of_run(folder: Path, console: Console) -> HeldOut:
    """The held-out files of a run.

    Args:
        folder: the run's directory.
        console: shows progress.

    Raises:
        SkippedSuite: the run holds out no code, its sources are not on this machine, or its data manifest is
            of an earlier release.
        InputError: the run is damaged, or most of the files have changed.
    """
    try:
        data = RunData.open(folder)
    except OtherVersionError as error:
        raise SkippedSuite(f"{error.what.rstrip('.')}: {_ADVICE}") from error
    chosen = _chosen(data)
    if not chosen:
        raise SkippedSuite(f"the run {data.run.id} holds out no files of code: {_ADVICE}")
    if not any(data.paths[source] is not None for source, _ in chosen):
        raise SkippedSuite(f"the data of the run {data.run.id} are not on this machine: {_ADVICE}")
    files: dict[tuple[int, str], HeldOutFile] = {}
    with console.progress("Reading held-out files", total=len(chosen), unit="files") as advance:
        for source in sorted({source for source, _ in chosen}):
            filters = data.run.recipe.data[source].filters
            for sample, held_out in data.samples(source):
                entry = chosen.get((source, sample.name))
                if held_out and entry is not None:
                    advance(1)
                    text = _text(sample, filters)
                    if text.strip():
                        files[source, sample.name] = _file(source, sample, entry, text)
    _require_most(data, len(files), len(chosen), console)
    found = tuple(files[key] for key in chosen if key in files)
    licenses = {chosen[key].license for key in chosen if key in files}
    surroundings = Surroundings(lambda: _surroundings(data), {file.repository for file in found})
    license_name = licenses.pop() if len(licenses) == 1 else None
    window = data.run.recipe.training.sequence_length
    return HeldOut(f"held-out files of {data.run.id}", license_name, found, surroundings.of, window)


def _chosen(data: RunData) -> dict[tuple[int, str], ManifestEntry]:
    """Held-out entries by source and name, in the order of their choice."""
    choice: FileChoice[tuple[int, ManifestEntry]] = FileChoice()
    for source, described in enumerate(data.manifest.sources):
        if described.format == "instruct":
            continue
        for entry in data.manifest.kept(source):
            if entry.split == "held_out":
                choice.add(f"{source}/{entry.path}", entry.size, (source, entry))
    return {(source, entry.path): entry for source, entry in choice.chosen()}


def _file(source: int, sample: Sample, entry: ManifestEntry, text: str) -> HeldOutFile:
    return HeldOutFile(
        id=f"{source}/{entry.path}",
        repository=sample.repository or "",
        path=sample.path or sample.name,
        language=entry.language or _OTHER,
        text=text,
    )


def _text(sample: Sample, filters: Filters) -> str:
    """The text of a file as training reads it; of a triple, its three parts together."""
    found = file_text(sample)
    if found is None and not isinstance(sample.content, str):
        found = "".join(str(sample.content.get(part, "")) for part in TRIPLE)
    content, _ = redact(found or "", filters)
    return content if isinstance(content, str) else ""


def _require_most(data: RunData, found: int, expected: int, console: Console) -> None:
    gone = expected - found
    if gone * 2 > expected:
        raise InputError(
            f"Most held-out files of the run have changed or are gone: {gone:,} of {expected:,}.",
            where=data.run.id,
            fix=f"restore the sources of its recipe, or {_ADVICE}",
        )
    if gone:
        files = human_count(expected, "held-out files")
        console.note(f"  left out: {gone:,} of {files}, which changed or are gone")


def _surroundings(data: RunData) -> Iterator[Surrounding]:
    for source, recipe in enumerate(data.run.recipe.data):
        if recipe.format == "instruct":
            continue
        for sample, _ in data.samples(source):
            if sample.repository and sample.path:
                yield sample.repository, sample.path, _text(sample, recipe.filters)
