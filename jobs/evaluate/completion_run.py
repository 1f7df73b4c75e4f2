"""Runs a suite of completions: generates in this thread, scores in others, keeps everything as it comes."""

from __future__ import annotations

import contextlib
import hashlib
import os
import queue
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from starfreight.errors import JobStopped
from starfreight.evaluation import Contamination
from starfreight.jobs.evaluate.models.interface import Completion, Model, Request
from starfreight.jobs.evaluate.store import Store
from starfreight.jobs.evaluate.suites.interface import (
    CompletionSuite,
    Example,
    Machinery,
    Measured,
    Problem,
    Scorer,
)

_MOST_EXAMPLES = 12
_PAUSE = 0.2
_SHOWN = 4000
"""Characters of each text of an example."""


@dataclass(frozen=True)
class Sample:
    """A completion to make: a problem, and the number of the sample."""

    problem: Problem
    number: int

    @property
    def name(self) -> str:
        """The id of its problem."""
        return str(self.problem["id"])


def sample_seed(seed: int, problem: str, sample: int) -> int:
    """The seed of a sample: of 31 bits, and the same in every attempt."""
    text = f"{seed}\n{problem}\n{sample}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.sha256(text).digest()[:4], "big") >> 1


def run_completions(
    suite: CompletionSuite,
    problems: Sequence[Problem],
    machinery: Machinery,
    store: Store,
    contamination: Contamination | None = None,
) -> Measured:
    """Generates and scores all completions that are not in the store.

    Problems that were found in the training data are counted, and left out of additional figures.

    Raises:
        SkippedSuite: the model cannot do it, or a toolchain is missing.
        ServiceError: the model's server, the sandbox or the disk failed; what was made is kept.
        JobStopped: by ``machinery.check``; what was made is kept.
    """
    scored = all_completions(suite, problems, machinery, store)
    measured = suite.summarize(problems, scored)
    figures = list(measured.figures)
    if contamination is not None and contamination.found:
        from starfreight.jobs.evaluate.contamination import figures_without

        figures += figures_without(suite, problems, scored, contamination)
    examples = measured.examples or _examples(suite, problems, store)
    return replace(measured, figures=figures, examples=examples)


def all_completions(
    suite: CompletionSuite, problems: Sequence[Problem], machinery: Machinery, store: Store
) -> Mapping[str, Sequence[Mapping[str, float]]]:
    """The scores of all completions by problem, in the order of samples."""
    options = machinery.options
    samples = [Sample(problem, number) for problem in problems for number in range(options.samples)]
    missing = [each for each in samples if store.completion(each.name, each.number) is None]
    unscored = [each for each in samples if store.scores(each.name, each.number) is None]
    if unscored:
        machinery.advance(len(samples) - len(unscored))
        model = machinery.model(None) if missing else None
        if model is not None:
            machinery = replace(machinery, instructs=model.instructs)
        with _Scorers(suite, machinery, store, len(unscored)) as scorers:
            for each in unscored:
                kept = store.completion(each.name, each.number)
                if kept is not None:
                    scorers.add(each, kept)
            if model is not None:
                _generate(suite, missing, model, machinery, store, scorers)
            scorers.finish()
    return {
        str(problem["id"]): [
            store.scores(str(problem["id"]), number) or {} for number in range(options.samples)
        ]
        for problem in problems
    }


def _generate(
    suite: CompletionSuite,
    missing: Sequence[Sample],
    model: Model,
    machinery: Machinery,
    store: Store,
    scorers: _Scorers,
) -> None:
    by_id = {f"{number}": each for number, each in enumerate(missing)}
    answers = model.complete(_requests(suite, by_id, model, machinery))
    try:
        with _closed_by_a_stop(model, machinery):
            for request, completion in answers:
                sample = by_id[request.id]
                kept = store.keep_completion(sample.name, sample.number, request.seed, completion)
                scorers.add(sample, kept)
                machinery.check()
                scorers.check()
    except Exception:
        machinery.check()  # A stop has ended the model.
        raise
    finally:
        close = getattr(answers, "close", None)
        if close is not None:
            close()


@contextlib.contextmanager
def _closed_by_a_stop(model: Model, machinery: Machinery) -> Iterator[None]:
    """Closes the model when a stop is requested: a completion may take minutes, and parts are not kept."""
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(_PAUSE):
            try:
                machinery.check()
            except JobStopped:
                model.close()
                return

    thread = threading.Thread(target=watch, name="stop", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _requests(
    suite: CompletionSuite, by_id: Mapping[str, Sample], model: Model, machinery: Machinery
) -> Iterator[Request]:
    options = machinery.options
    for name, sample in by_id.items():
        machinery.check()
        yield replace(
            suite.request(sample.problem, model),
            id=name,
            temperature=options.temperature,
            seed=sample_seed(options.seed, sample.name, sample.number),
        )


def _examples(suite: CompletionSuite, problems: Sequence[Problem], store: Store) -> Sequence[Example]:
    """Problems at even distances, with their first completions."""
    step = max(1, len(problems) // _MOST_EXAMPLES)
    found = []
    for problem in list(problems)[::step][:_MOST_EXAMPLES]:
        name = str(problem["id"])
        completion, scores = store.completion(name, 0), store.scores(name, 0)
        if completion is not None and scores is not None:
            example = suite.example(problem)
            found.append(
                replace(
                    example,
                    prefix=example.prefix[-_SHOWN:],
                    suffix=None if example.suffix is None else example.suffix[:_SHOWN],
                    expected=None if example.expected is None else example.expected[:_SHOWN],
                    text=completion.text[:_SHOWN],
                    scores=dict(scores),
                )
            )
    return found


class _Scorers:
    """Threads that score completions, each with a scorer of its own.

    Args:
        suite: opens the scorers.
        machinery: for them.
        store: keeps the scores.
        work: the number of completions to score.
    """

    def __init__(self, suite: CompletionSuite, machinery: Machinery, store: Store, work: int) -> None:
        self._machinery, self._store = machinery, store
        self._queue: queue.SimpleQueue[tuple[Sample, Completion] | None] = queue.SimpleQueue()
        self._failure: BaseException | None = None
        self._leave = False
        self._lock = threading.Lock()
        self._open = contextlib.ExitStack()
        count = max(1, min(len(os.sched_getaffinity(0)), work))
        with contextlib.ExitStack() as stack:
            scorers = []
            for _ in range(count):
                scorers.append(suite.open_scorer(machinery))
                stack.callback(scorers[-1].close)
            self._open = stack.pop_all()
        self._threads = [
            threading.Thread(target=self._work, args=(each,), name="scorer", daemon=True) for each in scorers
        ]

    def add(self, sample: Sample, completion: Completion) -> None:
        """Scores a completion soon."""
        self._queue.put((sample, completion))

    def check(self) -> None:
        """Raises the first error of a thread."""
        if self._failure is not None:
            raise self._failure

    def finish(self) -> None:
        """Waits until all are scored.

        Raises:
            ServiceError: a scorer failed.
            JobStopped: a stop was requested.
        """
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            while thread.is_alive():
                thread.join(0.1)
                self.check()
                self._machinery.check()
        self.check()

    def _work(self, scorer: Scorer) -> None:
        try:
            while (work := self._queue.get()) is not None and not self._leave:
                sample, completion = work
                scores = scorer.score(sample.problem, completion)
                self._store.keep_scores(sample.name, sample.number, scores)
                with self._lock:
                    self._machinery.advance(1)
        except BaseException as error:  # Raised again by the thread that generates.
            self._failure = self._failure or error

    def __enter__(self) -> _Scorers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *arguments: object) -> None:
        self._leave = True
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            thread.join()
        self._open.close()
