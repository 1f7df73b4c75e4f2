"""The plug point of suites.

A suite is prepared once, on the machine with the data: its problems are then JSON lines in the job's
directory, and the job needs nothing but them and the model. A :class:`CompletionSuite` makes the prompts and
scores the completions; the runner generates and keeps them, and resumes. A :class:`MeasuredSuite` does all of
its work itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from starfreight.console import Advance, Console
from starfreight.evaluation import Figure
from starfreight.jobs.evaluate.models.interface import Completion, Model, Request
from starfreight.jobs.evaluate.sandbox.interface import Sandbox

Problem = Mapping[str, Any]
"""A problem as a JSON object: its ``id``, and ``problem`` (its source problem) if it is a part of one."""


class SkippedSuite(Exception):
    """A suite cannot be run here or with this model; the message is the reason. Others go on."""


@dataclass(frozen=True)
class HeldOutFile:
    """A file of the recipe's data that training did not see.

    Attributes:
        id: unique: the source's number and the path.
        repository: name of its repository.
        path: in the repository.
        language: as the data manifest names it.
        text: its text.
    """

    id: str
    repository: str
    path: str
    language: str
    text: str


@dataclass(frozen=True)
class HeldOut:
    """Held-out files, with the rest of their repositories.

    Attributes:
        name: for records, e.g. ``held-out files of acme-coder-0123456789``.
        license: of the files, if they have one license.
        files: the files.
        others: other files of a repository by its name, for context: path and text.
        window: tokens of a training sequence of the run; ``None`` if it is unknown.
    """

    name: str
    license: str | None
    files: tuple[HeldOutFile, ...]
    others: Callable[[str], Sequence[tuple[str, str]]]
    window: int | None = None


@dataclass(frozen=True)
class SuiteOptions:
    """Options of a user.

    Attributes:
        limit: most problems, a random sample of them; ``None`` for all.
        samples: completions of each problem.
        temperature: of sampling; 0 for the most likely token each time.
        seed: of sampling, and of the choice of problems.
        file: file or directory with the problems, or a hub id; ``None`` for the suite's own.
        seconds: wall-clock time of a program.
    """

    limit: int | None = None
    samples: int = 1
    temperature: float = 0.0
    seed: int = 0
    file: str | None = None
    seconds: float = 10.0

    @property
    def settings(self) -> dict[str, Any]:
        """For the record."""
        return {
            "limit": self.limit,
            "samples": self.samples,
            "temperature": self.temperature,
            "seed": self.seed,
        }


@dataclass(frozen=True)
class Preparation:
    """All that a suite may use to make its problems.

    Attributes:
        folder: the directory where relative paths start.
        options: of the user.
        held_out: finds the held-out files on first use; raises :class:`SkippedSuite` if there are none.
        console: shows progress.
        local: the job runs on this machine, with its toolchains.
    """

    folder: Path
    options: SuiteOptions
    held_out: Callable[[], HeldOut]
    console: Console
    local: bool = True


@dataclass(frozen=True)
class PreparedSuite:
    """The problems of a suite.

    Attributes:
        name: of their source, for the record.
        license: of the problems.
        problems: all of them, before the user's limit.
        settings: added to the record's.
    """

    name: str
    license: str | None
    problems: Sequence[Problem]
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Machinery:
    """All that a suite may use while it runs.

    Attributes:
        options: of the user.
        model: opens the model with a number of slots; it is closed by the runner. ``None`` for the default.
        gguf: the model's file; ``None`` behind a server.
        adapter: a LoRA file beside it.
        reference: the model in 16 bits, for comparison; ``None`` if unknown.
        threads: number of threads to use.
        sandbox: the sandbox for generated code; raises ServiceError where there is none.
        scratch: a directory of the suite's own, kept until the job is done: work in it can be resumed.
        check: called often; raises JobStopped when the job is to stop.
        advance: shows progress in problems.
        instructs: ``instructs`` of the model that made the completions; ``None`` if it is still to be opened.
    """

    options: SuiteOptions
    model: Callable[[int | None], Model]
    gguf: Path | None
    adapter: Path | None
    reference: Path | None
    threads: int
    sandbox: Callable[[], Sandbox]
    scratch: Path
    check: Callable[[], None]
    advance: Advance
    instructs: bool | None = None


@dataclass(frozen=True)
class Example:
    """A completion to show.

    Attributes:
        id: of its item.
        prefix: the end of the text before it.
        suffix: the beginning of the text after it; ``None`` without one.
        expected: the right completion, if there is one.
        text: the completion.
        scores: its scores.
    """

    id: str
    prefix: str
    suffix: str | None
    expected: str | None
    text: str
    scores: Mapping[str, float]


@dataclass(frozen=True)
class Measured:
    """The outcome of a suite.

    Attributes:
        figures: with their intervals.
        scores: values by figure and item.
        problems: source problem of each item that is not one itself.
        settings: added to the record's.
        examples: a few, for pages.
    """

    figures: Sequence[Figure]
    scores: Mapping[str, Mapping[str, float]]
    problems: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    examples: Sequence[Example] = ()


class Suite(Protocol):
    """A suite."""

    @property
    def name(self) -> str:
        """Name in commands, recipes and records."""
        ...

    def prepare(self, preparation: Preparation) -> PreparedSuite:
        """Makes the problems.

        Raises:
            SkippedSuite: it cannot be run; the reason is recorded.
            InputError: the user's file is wrong.
        """
        ...


class CompletionSuite(Suite, Protocol):
    """A suite of places to complete, each scored by itself."""

    def request(self, problem: Problem, model: Model) -> Request:
        """The completion to generate. The runner sets id, temperature and seed.

        Raises:
            SkippedSuite: the model cannot do it, e.g. has no fill-in-the-middle tokens.
        """
        ...

    def open_scorer(self, machinery: Machinery) -> Scorer:
        """A scorer of completions, for one thread.

        Raises:
            SkippedSuite: e.g. a toolchain is missing.
        """
        ...

    def summarize(
        self, problems: Sequence[Problem], scored: Mapping[str, Sequence[Mapping[str, float]]]
    ) -> Measured:
        """Figures of all completions.

        Args:
            problems: all of them.
            scored: scores of each completion by the problem's id, in the order of samples.
        """
        ...

    def example(self, problem: Problem) -> Example:
        """The problem for people, without a completion."""
        ...


class Scorer(Protocol):
    """Scores completions."""

    def score(self, problem: Problem, completion: Completion) -> Mapping[str, float]:
        """Scores by figure; pass or fail is 1 or 0. Never raises because of the completion.

        Raises:
            ServiceError: e.g. no process can be started.
        """
        ...

    def close(self) -> None:
        """Ends it."""
        ...


class MeasuredSuite(Suite, Protocol):
    """A suite that measures by itself."""

    def measure(self, problems: Sequence[Problem], machinery: Machinery) -> Measured:
        """Measures; may keep work in the scratch directory. A resumption gives the same figures.

        Raises:
            SkippedSuite: the model cannot do it.
            JobStopped: by ``machinery.check``.
        """
        ...
