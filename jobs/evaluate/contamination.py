"""Problems of suites found in the training data of a run.

    found = search_all({"humaneval": problems}, Path("runs/acme-coder-0123456789"), console)
    found["humaneval"].found

There are two searches. The data manifest names every training file by its digest: files cut for problems are
looked up there, whether or not the training data are on this machine. Where they are, their texts are
searched, too, by the rule of the recipe's ``data.filters.evaluation_sets``
(:mod:`starfreight.jobs.data.filters.contamination`): a problem is found if ten of its words in a row are in a
training text. For a place in a file, these words are part of the right completion, or contain all of a
shorter one: a license header or imports in common do not give the completion away.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starfreight.console import Console, human_count
from starfreight.errors import InputError, ServiceError, StarfreightError
from starfreight.evaluation import Contamination, Figure
from starfreight.jobs.data.filters.contamination import NGRAM
from starfreight.jobs.data.sources.interface import Sample
from starfreight.jobs.data.training_text import sample_text
from starfreight.jobs.data.word_hashes import ngram_hashes, word_hashes
from starfreight.jobs.data.worker_pool import ordered_map
from starfreight.jobs.evaluate.problem_index import PLACE, Key, ProblemIndex, is_place, item_of
from starfreight.jobs.evaluate.run_data import RunData
from starfreight.jobs.evaluate.suites.interface import CompletionSuite, Problem
from starfreight.recipe.data import Data

if TYPE_CHECKING:
    from starfreight.jobs.data.word_hashes import Hashes

WITHOUT_FOUND = "not in the training data"
"""The part of figures without the problems found."""

_MOST_FOUND = 10_000
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def search(problems: Sequence[Problem], run: Path | None, console: Console) -> Contamination | None:
    """:func:`search_all` for one suite; ``None`` if there is no run."""
    return search_all({"": problems}, run, console).get("")


def search_all(
    suites: Mapping[str, Sequence[Problem]], run: Path | None, console: Console
) -> dict[str, Contamination]:
    """Searches the problems of suites in the training data, in one pass over them.

    Args:
        suites: problems by the name of their suite.
        run: the run's directory; ``None`` if it is unknown.
        console: shows progress.

    Returns:
        by suite; empty without a run, or if the record of its data cannot be read, which is noted.
    """
    if run is None or not any(suites.values()):
        return {}
    try:
        data = RunData.open(run)
    except InputError as error:
        console.note(f"  problems are not searched in the training data: {error.what}")
        return {}
    found = _whole_files(suites, data)
    index = ProblemIndex.of(suites)
    searched, missing = 0, 0
    if index.items:
        searched, missing = _search_texts(index, data, found, console)
    method = _method(data, searched, missing)
    return {
        suite: Contamination(
            data_manifest=data.run.data_manifest.digest,
            method=method,
            searched=searched,
            found=tuple(dict.fromkeys(item for each, item in sorted(found) if each == suite))[:_MOST_FOUND],
        )
        for suite, problems in suites.items()
        if problems
    }


def figures_without(
    suite: CompletionSuite,
    problems: Sequence[Problem],
    scored: Mapping[str, Sequence[Mapping[str, float]]],
    contamination: Contamination | None,
) -> tuple[Figure, ...]:
    """The figures of a suite as a whole without the problems found in the training data.

    Empty if none was found, or if all were, or too many to name.
    """
    found = frozenset(contamination.found if contamination is not None else ())
    if len(found) >= _MOST_FOUND:
        return ()
    kept = [problem for problem in problems if item_of(problem) not in found]
    if not kept or len(kept) == len(problems):
        return ()
    names = {problem["id"] for problem in kept}
    measured = suite.summarize(kept, {name: each for name, each in scored.items() if name in names})
    return tuple(
        figure.model_copy(update={"part": WITHOUT_FOUND}) for figure in measured.figures if not figure.part
    )


def _whole_files(suites: Mapping[str, Sequence[Problem]], data: RunData) -> set[Key]:
    """Problems cut from a file that is in the training data as it is."""
    digests: dict[str, set[Key]] = {}
    for suite, problems in suites.items():
        for problem in problems:
            for digest in _file_digests(problem):
                digests.setdefault(digest, set()).add((suite, item_of(problem)))
    found: set[Key] = set()
    if digests:
        for source in range(len(data.manifest.sources)):
            for entry in data.manifest.kept(source):
                if entry.split == "train" and entry.digest in digests:
                    found |= digests[entry.digest]
    return found


def _file_digests(problem: Problem) -> Iterator[str]:
    """Yield the digests that the file of a place may have."""
    if isinstance(problem.get("file_digest"), str):
        yield problem["file_digest"]
    if is_place(problem):
        text = "".join(problem[part] for part in PLACE).encode("utf-8", "surrogatepass")
        for content in (text, _BYTE_ORDER_MARK + text):
            yield f"sha256:{hashlib.sha256(content).hexdigest()}"


def make_search_worker(sources: Sequence[Data], hashes: Hashes) -> Callable[[tuple[int, Sample]], Any]:
    """Returns the worker of a process: it returns those of ``hashes`` that are in a sample."""
    import numpy as np

    def run(item: tuple[int, Sample]) -> Any:
        source, sample = item
        try:
            text = sample_text(sample, sources[source])
        except InputError:
            return np.zeros(0, np.int64)
        own = ngram_hashes(word_hashes(text), NGRAM)
        start = np.searchsorted(hashes, own)
        start[start == len(hashes)] = 0
        return np.unique(hashes[start[hashes[start] == own]])

    return run


def _search_texts(index: ProblemIndex, data: RunData, found: set[Key], console: Console) -> tuple[int, int]:
    """Adds the items found in training texts; returns the number of texts, and of training texts not read."""
    import numpy as np

    expected = sum(source.train.samples for source in data.manifest.sources)
    searched = 0

    def count(item: tuple[int, Sample]) -> int:
        return item[1].size + 200

    with console.progress("Searching the training data", total=expected, unit="texts") as advance:
        for shared in ordered_map(
            make_search_worker,
            (tuple(data.run.recipe.data), index.hashes),
            _training_samples(data),
            cost=count,
        ):
            searched += 1
            advance(1)
            for value in shared:
                first, last = (np.searchsorted(index.hashes, value, side) for side in ("left", "right"))
                found.update(index.items[owner] for owner in index.owners[first:last])
    return searched, max(0, expected - searched)


def _training_samples(data: RunData) -> Iterator[tuple[int, Sample]]:
    for source in range(len(data.manifest.sources)):
        samples = data.samples(source)
        while True:
            try:
                found = next(samples, None)
            except (StarfreightError, OSError) as error:
                if isinstance(error, ServiceError):
                    raise
                break  # The rest of the source is not searched, and counted so.
            if found is None:
                break
            if not found[1]:
                yield source, found[0]


def _method(data: RunData, searched: int, missing: int) -> str:
    said = f"runs of {NGRAM} words in {human_count(searched, 'training texts')}" if searched else ""
    if missing:
        are = "is" if missing == 1 else "are"
        said += f"{'; ' if said else ''}{human_count(missing, 'training texts')} {are} not on this machine"
    said += "; digests of whole files"
    sets = sorted({Path(name).name for each in data.run.recipe.data for name in each.filters.evaluation_sets})
    if sets:
        said += f"; evaluation sets already removed from the data: {', '.join(sets)}"
    return said[:500]


__all__ = ["WITHOUT_FOUND", "figures_without", "item_of", "search", "search_all"]
