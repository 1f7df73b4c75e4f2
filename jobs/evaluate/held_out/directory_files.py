"""The files of a user's directory, filtered as training data are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from starfreight.console import Console
from starfreight.errors import InputError
from starfreight.jobs.data.filters.pipeline import FilterPipeline
from starfreight.jobs.data.redaction import redact
from starfreight.jobs.data.sources.folder import FolderSource
from starfreight.jobs.data.sources.interface import Sample, Unusable
from starfreight.jobs.data.sources.text_files import printable_name
from starfreight.jobs.evaluate.held_out.file_choice import FileChoice
from starfreight.jobs.evaluate.held_out.surroundings import Surrounding, Surroundings
from starfreight.jobs.evaluate.suites.interface import HeldOut, HeldOutFile, SkippedSuite
from starfreight.recipe.data import Data, Filters

_RULES = Data(source=".", filters=Filters(licenses="any", near_duplicates=False, exact_duplicates=False))
_NOT_CODE = frozenset({
    "ASCII armored", "BibTeX", "Darcs Patch", "Desktop file", "Diff", "E-mail", "Gettext Catalog", "Groff",
    "INI", "IRC logs", "JSON", "JSON-LD", "JSON5", "Kernel log", "LDIF", "Markdown", "NestedText", "Org Mode",
    "Properties", "Rd", "Roff", "TAP", "TOML", "TeX", "Text", "Todotxt", "Turtle", "Typst", "WDiff", "XML",
    "YAML", "reStructuredText", "reg", "scdoc",
})  # fmt: skip
"""Languages of documents, settings and data."""


class _Directory(FolderSource):
    """A directory from which links are left out, wherever they lead."""

    def _check_link(self, path: Path) -> None:
        del path


def files_of_directory(folder: Path, console: Console) -> HeldOut:
    """The files of code below a directory, without hidden, generated, minified and vendored ones.

    Args:
        folder: one repository.
        console: shows progress.

    Raises:
        SkippedSuite: no files of code.
        InputError: not a directory, or it cannot be read.
    """
    if not folder.is_dir():
        raise InputError(
            f"The directory of held-out files {'is a file' if folder.exists() else 'does not exist'}.",
            where=str(folder),
            fix="name a directory of code with --held-out",
        )
    root = folder.resolve()
    name = printable_name(root.name)[:200] or "files"
    choice: FileChoice[tuple[HeldOutFile, str | None]] = FileChoice()
    with console.progress("Reading held-out files", total=None, unit="files") as advance:
        for sample, language, license_name in _accepted(root, name, choice):
            advance(1)
            file = HeldOutFile(f"0/{sample.name}", name, sample.path or sample.name, language, _text(sample))
            choice.add(sample.name, sample.size, (file, license_name))
    found = choice.chosen()
    if not found:
        raise SkippedSuite("the directory of --held-out has no files of code")
    licenses = {each for _, each in found}
    surroundings = Surroundings(lambda: _surroundings(root, name), {name})
    license_name = licenses.pop() if len(licenses) == 1 else None
    return HeldOut(f"files of {name}", license_name, tuple(file for file, _ in found), surroundings.of)


def _accepted(
    root: Path, name: str, choice: FileChoice[tuple[HeldOutFile, str | None]] | None = None
) -> Iterator[tuple[Sample, str, str | None]]:
    """Yield the files that pass the filters, with language and license."""
    pipeline = FilterPipeline(_RULES, root)
    for sample in _Directory(root, _RULES, name).samples():
        if isinstance(sample, Unusable) or (choice is not None and not choice.wants(sample.name)):
            continue
        finding = pipeline.run(sample)
        if finding.rejected_by is None and finding.language is not None and finding.language not in _NOT_CODE:
            license_name = None if finding.license == "NOASSERTION" else finding.license
            yield sample, finding.language, license_name


def _surroundings(root: Path, name: str) -> Iterator[Surrounding]:
    for sample, _, _ in _accepted(root, name):
        yield name, sample.path or sample.name, _text(sample)


def _text(sample: Sample) -> str:
    content, _ = redact(sample.content, _RULES.filters)
    return content if isinstance(content, str) else ""
