"""Comparison of the data of runs: the texts trained on, those held out, and their cut into blocks."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from starfreight.data_manifest import DataManifest
from starfreight.errors import InputError
from starfreight.files import canonical_json
from starfreight.recipe import Data
from starfreight.run import DATA_MANIFEST, Run

DataRelation = Literal[
    "same data",
    "other training data",
    "held-out data cut otherwise",
    "other held-out data",
    "other data",
]
"""The data of a run compared with another one's; ``other data`` if a manifest is missing."""

COMPARABLE: tuple[DataRelation, ...] = ("same data", "other training data")
"""Relations in which both losses are of the same held-out texts."""


@dataclass(frozen=True)
class RunData:
    """The data of one run.

    Attributes:
        manifest: digest of its data manifest, with the settings of its sources.
        train: digest of the texts trained on, with their settings; ``None`` if the manifest cannot be read.
        held_out: the same of the texts held out.
        cut: settings that cut held-out texts into blocks, apart from the seed.
        seed: of the cuts.
        tokens: number of held-out tokens measured; ``None`` if nothing was.
    """

    manifest: bytes
    train: str | None
    held_out: str | None
    cut: tuple[Any, ...]
    seed: int
    tokens: int | None

    def relation_to(self, other: RunData) -> DataRelation:
        """The gravest difference from the data of another run."""
        if self.manifest != other.manifest:
            if None in (self.train, self.held_out, other.train, other.held_out):
                return "other data"
            if self.held_out != other.held_out:
                return "other held-out data"
        if self.cut != other.cut:
            return "held-out data cut otherwise"
        if self.seed == other.seed and self.tokens and other.tokens and self.tokens != other.tokens:
            return "held-out data cut otherwise"
        if self.manifest != other.manifest and self.train != other.train:
            return "other training data"
        return "same data"  # Another seed makes other examples of the same texts.


def read_run_data(folder: Path, run: Run) -> RunData:
    """Read the data of a run from its record and its data manifest.

    Args:
        folder: the directory of the run.
        run: its record.
    """
    training, recipe = run.recipe.training, run.recipe
    tokenizer = next((file.digest for file in run.base.files if file.path == "tokenizer.json"), None)
    train = held_out = None
    try:
        manifest = DataManifest.load(folder / DATA_MANIFEST)
        train, held_out = (_texts_of(manifest, recipe.data, split) for split in ("train", "held_out"))
    except InputError:
        pass
    return RunData(
        manifest=canonical_json([run.data_manifest.digest, recipe.model_dump(mode="json", include={"data"})]),
        train=train,
        held_out=held_out,
        cut=(training.sequence_length, training.evaluation_blocks, tokenizer),
        seed=training.seed,
        tokens=run.outcome.before.tokens if run.outcome and run.outcome.before else None,
    )


def _texts_of(manifest: DataManifest, sources: tuple[Data, ...], split: str) -> str:
    """Digest of the texts of a split, with all that decides which examples are made of them."""
    whole = hashlib.sha256()
    for number in range(min(len(sources), len(manifest.sources))):
        texts = hashlib.sha256()
        count = 0
        for entry in manifest.kept(number):
            if entry.split == split:
                texts.update(entry.digest.encode())
                count += 1
        if count:
            settings = _settings(sources[number], weighted=split == "train")
            whole.update(canonical_json([settings, count, texts.hexdigest()]))
    return whole.hexdigest()


def _settings(data: Data, *, weighted: bool) -> list[Any]:
    """Settings of a source that decide which examples are made of a text."""
    plain = data.model_dump(mode="json", include={"format", "fim", "repository", "columns"})
    marks = [data.filters.secrets == "replace", data.filters.personal_data == "replace"]
    return [plain, marks, data.weight if weighted else None]
