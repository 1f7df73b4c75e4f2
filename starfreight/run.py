"""The second record: a job's inputs and results, in ``runs/<id>/run.json``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer

from starfreight.directories import refuse_links_in
from starfreight.files import sha256_file
from starfreight.loss_sample import SampleRecord
from starfreight.origin import Origin
from starfreight.recipe import Recipe, earlier_recipe_digest, recipe_digest
from starfreight.records import Digest, FileDigest, Part, Record

RUN_FILE = "run.json"
ADAPTER_FOLDER = "adapter"
METRICS_FILE = "metrics.jsonl"
DATA_MANIFEST = "data/manifest.json"
BLOCKS_FILE = "data/blocks.bin"
IMATRIX_FILE = "imatrix.gguf"
INPUTS_FILE = "inputs.json"
"""Paths of the inputs on this machine. Never shipped."""

NEWEST_VERSION = 1
_LIMIT = 64 << 20


class BaseInput(Part):
    """The base model at the time of preparation, with the files that training and packaging read."""

    model: str
    revision: str | None
    license: str
    architecture: Literal["starcoder2", "starcoder"]
    digest: Digest
    """Digest of the canonical JSON of ``files``."""
    files: tuple[FileDigest, ...]


class Machine(Part):
    """The hardware of the training."""

    processor: str
    device: str
    threads: Annotated[int, Field(ge=1)]
    processes: Annotated[int, Field(ge=1)] = 1
    """Number of processes that trained together, each on one such device."""
    attention: str | None = None
    """The attention kernel, by its name in transformers."""
    driver: str | None = None
    """Version of the GPU's driver."""
    cuda: str | None = None
    """Version of CUDA that torch was built with."""

    @model_serializer(mode="wrap")
    def _omit_absent(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Records of machines without a GPU are written as they were before these fields."""
        return _without(handler(self), "driver", "cuda")


class Measurement(Part):
    """An evaluation of the model on the held-out data."""

    loss: float
    """Mean cross-entropy in nats per counted token."""
    tokens: int
    exact_match: float | None
    """Fraction of the held-out lines that greedy decoding completes exactly."""
    completions: int


class Outcome(Part):
    """The result of the training."""

    steps: int
    """Number of the last step."""
    kept_step: int | None = None
    """Step of the kept adapter; ``None`` for the last one."""
    tokens: int
    seconds: float
    before: Measurement | None
    after: Measurement | None
    adapter: tuple[FileDigest, ...]
    sample: SampleRecord | None = None
    """Losses to compare the finished file with; ``None`` in runs of earlier versions."""


class Calibration(Part):
    """Input and result of the calibration after training."""

    imatrix: FileDigest
    """The importance matrix, in llama.cpp's GGUF format."""
    blocks: Annotated[int, Field(ge=1)]
    """Blocks of the training data."""
    tokens: Annotated[int, Field(ge=1)]
    """Counted tokens, without the fill at the end of blocks."""


class Run(Record):
    """A training job, from its recipe to its adapter."""

    id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,127}$")]
    status: Literal["prepared", "running", "stopped", "failed", "done"]
    recipe: Recipe
    recipe_digest: Digest
    """The digest by the identity in use when ``recipe`` was written; see :attr:`recipe_digests`."""
    base: BaseInput
    data_manifest: FileDigest
    blocks: Digest | None = None
    """Digest of the token blocks that training reads, once they exist."""
    versions: dict[str, str] = Field(default_factory=dict)
    machine: Machine | None = None
    image: Digest | None = None
    started: str | None = None
    ended: str | None = None
    outcome: Outcome | None = None
    calibration: Calibration | None = None
    origin: Origin | None = None
    """``None`` in runs of earlier versions, and for a run outside any repository and CI job."""

    @model_serializer(mode="wrap")
    def _omit_absent(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Runs without an origin are written as they were before runs could have one."""
        return _without(handler(self), "origin")

    @property
    def license(self) -> str:
        """License of the tuned model: the recipe's, or else the base model's."""
        return self.recipe.package.license or self.base.license

    @property
    def recipe_digests(self) -> frozenset[str]:
        """The digests of the recipe by all versions of the identity, and the recorded one.

        A package with any of them was built from this recipe.
        """
        digests = (self.recipe_digest, recipe_digest(self.recipe), earlier_recipe_digest(self.recipe))
        return frozenset(filter(None, digests))

    @property
    def imatrix(self) -> Calibration | None:
        """The calibration for the package; ``None`` unless the recipe has a ``package.imatrix``."""
        return self.calibration if self.recipe.package.imatrix is not None else None

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Reads ``run.json`` from a run's directory.

        Raises:
            InputError: as :meth:`Record.read`, or a symbolic link is in the directory: results would be read
                or written elsewhere.
        """
        refuse_links_in(folder)
        return cls.read(folder / RUN_FILE, newest=NEWEST_VERSION, limit=_LIMIT, kind="run")

    def is_done(self, folder: Path) -> bool:
        """True if ``folder`` contains all results that the recipe requires, unchanged."""
        return self.is_trained(folder) and self.is_calibrated(folder)

    def is_trained(self, folder: Path) -> bool:
        """True if training has finished and its adapter is in ``folder``, unchanged."""
        if self.status != "done" or self.outcome is None:
            return False
        return all(_is_there(folder, file) for file in self.outcome.adapter)

    def is_calibrated(self, folder: Path) -> bool:
        """True if the recipe requires no importance matrix, or the one in ``folder``."""
        asked, made = self.recipe.package.imatrix, self.imatrix
        if asked is None:
            return True
        if made is None or self.outcome is None:
            return False
        there = self.outcome.tokens // self.recipe.training.sequence_length
        return made.blocks == min(asked.blocks, there) and _is_there(folder, made.imatrix)

    def save(self, folder: Path) -> None:
        """Writes ``run.json`` to a run's directory."""
        self.write(folder / RUN_FILE)


def _without(data: dict[str, Any], *optional: str) -> dict[str, Any]:
    return {name: value for name, value in data.items() if value is not None or name not in optional}


def _is_there(folder: Path, file: FileDigest) -> bool:
    path = folder / file.path
    return path.is_file() and sha256_file(path) == file.digest


class Inputs(Record):
    """Paths of a run's inputs on this machine."""

    recipe_folder: str
    """Directory where the recipe's relative paths start."""
    base: str
    data: tuple[str, ...]
    """One path per source of the recipe, in its order."""

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Reads ``inputs.json`` from a run's directory.

        Raises:
            InputError: as :meth:`Record.read`.
        """
        return cls.read(folder / INPUTS_FILE, newest=NEWEST_VERSION, limit=1 << 20, kind="list of inputs")

    def save(self, folder: Path) -> None:
        """Writes ``inputs.json`` to a run's directory."""
        self.write(folder / INPUTS_FILE)
