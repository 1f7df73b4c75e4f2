"""Records in JSON: of runs, jobs, packages, inputs, blocks and images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fuzzing import changed_json, fuzz, holds
from hypothesis import given
from hypothesis import strategies as st

from starfreight.image import BuiltImage, find_image, images_folder
from starfreight.jobs.backends.interface import Location
from starfreight.jobs.backends.local.backend import LocalBackend
from starfreight.jobs.data.blocks.block_file import BlocksRecord
from starfreight.jobs.protocol.record import JOB_FILE
from starfreight.jobs.report.compare import compare, table
from starfreight.jobs.train.kind import TRAIN
from starfreight.package import PACKAGE_FILE, Package
from starfreight.run import INPUTS_FILE, RUN_FILE, Inputs, Run

GOLDEN = Path(__file__).parents[1] / "golden"
(RUN_FOLDER,) = (GOLDEN / "finished-runs").glob("golden-fim-*")
(PACKAGE_FOLDER,) = (GOLDEN / "finished-packages").glob("golden-fim-*[0-9a-f]")


def read(path: Path) -> Any:
    return json.loads(path.read_bytes())


def put(folder: Path, name: str, data: bytes) -> Path:
    (folder / name).write_bytes(data)
    return folder


@fuzz
@given(data=changed_json(read(RUN_FOLDER / RUN_FILE)))
def test_the_record_of_a_run(folder: Path, data: bytes) -> None:
    put(folder, RUN_FILE, data)
    holds(lambda: (Run.load(folder).recipe_digests, TRAIN.is_done(folder)))
    holds(lambda: (TRAIN.headline(folder), TRAIN.progress(folder, active=True)))
    holds(lambda: table(compare([folder, RUN_FOLDER])))


@fuzz
@given(
    data=st.sampled_from(
        [read(GOLDEN / name) for name in ("job-running.json", "job-docker.json")]
    ).flatmap(changed_json)
)  # fmt: skip
def test_the_record_of_a_job(folder: Path, data: bytes) -> None:
    put(folder, JOB_FILE, data)
    backend = LocalBackend(Location(folder))
    holds(lambda: backend.job_state(folder))


@fuzz
@given(data=changed_json(read(PACKAGE_FOLDER / PACKAGE_FILE)))
def test_the_record_of_a_package(folder: Path, data: bytes) -> None:
    put(folder, PACKAGE_FILE, data)
    holds(lambda: Package.load(folder).descriptors())


@fuzz
@given(data=changed_json(read(RUN_FOLDER / INPUTS_FILE)))
def test_the_inputs_of_a_run(folder: Path, data: bytes) -> None:
    put(folder, INPUTS_FILE, data)
    holds(lambda: Inputs.load(folder))


@fuzz
@given(data=changed_json(read(RUN_FOLDER / "data" / "blocks.json")))
def test_the_record_of_the_blocks(folder: Path, data: bytes) -> None:
    put(folder, "blocks.json", data)
    holds(lambda: BlocksRecord.load(folder / "blocks.json"))


def test_the_record_of_an_image(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(folder))
    images_folder().mkdir(parents=True)
    valid = BuiltImage(
        version=1, name="trainer", reference="acme/trainer:1", id="sha256:" + "1" * 64,
        platform="linux/amd64",
        pushed="registry.example.org/acme/trainer@sha256:" + "2" * 64,
    )  # fmt: skip

    @fuzz
    @given(data=changed_json(valid.model_dump(mode="json")))
    def read_image(data: bytes) -> None:
        put(images_folder(), "trainer.json", data)
        holds(lambda: (image := find_image("trainer")) and image.digest)

    read_image()
