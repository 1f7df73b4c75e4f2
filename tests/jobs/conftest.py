"""Small models, small code, and recipes that train in seconds."""

from __future__ import annotations

import multiprocessing
import runpy
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_jobs import CODE, steps_of

from starfreight.console import Console
from starfreight.data_manifest import DataManifest
from starfreight.jobs.data.blocks.block_file import Block, join_examples, parse_block
from starfreight.jobs.data.blocks.examples_file import encode_example
from starfreight.jobs.data.blocks.packing import best_fit
from starfreight.jobs.data.blocks.training_data import Corpus, TrainingData, make_blocks
from starfreight.jobs.data.encoder import Encoder
from starfreight.jobs.data.formats import Example
from starfreight.jobs.data.sources.interface import Sample
from starfreight.jobs.prepare.prepare_runs import prepare_runs
from starfreight.recipe import load_recipe
from starfreight.run import DATA_MANIFEST, Inputs, Run


@pytest.fixture(scope="session")
def encoder(bases: Mapping[str, Path]) -> Encoder:
    """The tokenizer of the StarCoder2 base."""
    return Encoder(bases["starcoder2"])


@pytest.fixture(scope="session")
def code_sample() -> Sample:
    """A file of code."""
    text = CODE.format(number=7)
    return Sample("basket.py", text, "sha256:" + "0" * 64, len(text), path="basket.py")


@pytest.fixture(scope="session")
def make_sample() -> Callable[..., Sample]:
    """Makes a sample of a text or a record."""

    def make(
        content: str | Mapping[str, Any], path: str | None = None, repository: str | None = None
    ) -> Sample:
        return Sample(path or "row", content, "sha256:" + "0" * 64, len(str(content)), path, repository)

    return make


@pytest.fixture(scope="session")
def pack() -> Callable[..., list[Block]]:
    """Packs a few examples in memory, by the steps that a block file is made in."""

    def pack_examples(examples: Sequence[Example], length: int, fill: int = 0) -> list[Block]:
        lengths = np.array([len(example.ids) for example in examples], dtype=np.uint32)
        block_of, count = best_fit(lengths, length, 0)
        blocks = []
        for number in range(count):
            members = [encode_example(examples[place], 2) for place in np.flatnonzero(block_of == number)]
            record = join_examples(members, length, 2, fill)
            ids = np.frombuffer(record, "<u2", length)
            blocks.append(parse_block(ids, np.frombuffer(record, "u1", length, 2 * length)))
        return blocks

    return pack_examples


@pytest.fixture(scope="session")
def read_blocks() -> Callable[..., TrainingData]:
    """Makes or finds the blocks of a prepared run, in its folder or in another one."""

    def read(
        run: Path, folder: Path | None = None, expected: str | None = None, **options: Any
    ) -> TrainingData:
        record, inputs = Run.load(run), Inputs.load(run)
        manifest = DataManifest.load(run / DATA_MANIFEST)
        paths = [Path(path) for path in inputs.data]
        corpus = Corpus(record.recipe, manifest, paths, Path(inputs.base), **options)
        return make_blocks(corpus, folder or run, expected)

    return read


@pytest.fixture(scope="session")
def prepare() -> Callable[[Path], Path]:
    """Prepares a recipe's run in ``runs`` beside it and returns its folder."""

    def prepare_recipe(recipe: Path) -> Path:
        file = load_recipe(recipe)
        (run,) = prepare_runs([file.recipe], file.folder, recipe.parent / "runs", Console(quiet=True))
        return run

    return prepare_recipe


class Job:
    """The training program in a process of its own, forked from one that has the libraries loaded.

    It is the real program with real signals; only the ten seconds of imports are saved.
    """

    def __init__(self, run: Path) -> None:
        self.run = run
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(
            [
                "starfreight.jobs.train.loop",
                "starfreight.jobs.train.model",
                "starfreight.jobs.train.training_job",
                "peft",
                "bitsandbytes",
            ]
        )
        earlier, sys.argv = sys.argv, ["starfreight.jobs.train", str(run)]
        try:
            self.process = context.Process(
                target=runpy.run_module, args=("starfreight.jobs.train",), kwargs={"run_name": "__main__"}
            )
            self.process.start()
        finally:
            sys.argv = earlier

    def wait(self) -> int:
        """Waits for the end and returns the exit code."""
        self.process.join(120)
        assert self.process.exitcode is not None
        return self.process.exitcode

    def wait_for_step(self, step: int) -> None:
        """Returns when the metrics have a row of ``step``."""
        end = time.monotonic() + 120
        while max((row["step"] for row in steps_of(self.run)), default=0) < step:
            assert self.process.is_alive(), "the job ended early"
            assert time.monotonic() < end
            time.sleep(0.002)


@pytest.fixture(scope="session")
def start_job() -> Callable[[Path], Job]:
    """Starts the training program on a prepared run."""
    return Job
