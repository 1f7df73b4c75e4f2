"""Blocks depend on the recipe, the files and the seed alone."""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from starfreight.data_manifest import DataManifest
from starfreight.errors import InputError, JobStopped, ServiceError
from starfreight.jobs.data.blocks import block_file
from starfreight.jobs.data.blocks import example_worker as making
from starfreight.jobs.data.blocks.block_file import BlocksRecord, summary
from starfreight.jobs.data.blocks.example_worker import groups, seeds
from starfreight.jobs.data.blocks.training_data import TrainingData
from starfreight.jobs.data.encoder import Encoder
from starfreight.jobs.data.formats import IGNORED, Probe
from starfreight.jobs.data.sources.interface import Sample
from starfreight.jobs.data.worker_pool import Batching
from starfreight.run import BLOCKS_FILE, DATA_MANIFEST

Read = Callable[..., TrainingData]
ALIKE = {"near_duplicates": False}


@pytest.fixture
def make(write_job: Callable[..., Path], prepare: Callable[[Path], Path], read_blocks: Read) -> Read:
    """Prepares a recipe and makes its blocks."""

    def make_run(**changes: Any) -> TrainingData:
        return read_blocks(prepare(write_job(**changes)))

    return make_run


def test_the_same_recipe_gives_the_same_blocks_wherever_the_files_lie(
    write_job: Callable[..., Path], prepare: Callable[[Path], Path], read_blocks: Read, tmp_path: Path
) -> None:
    recipe = write_job()
    run = prepare(recipe)
    data = read_blocks(run)
    (tmp_path / "elsewhere").mkdir()
    shutil.copytree(tmp_path / "code", tmp_path / "elsewhere/code")
    again = prepare(Path(shutil.copy(recipe, tmp_path / "elsewhere/recipe.yaml")))
    assert again != run
    assert read_blocks(again).record == data.record
    assert str(tmp_path) not in (again / BLOCKS_FILE).with_suffix(".json").read_text()


@pytest.mark.parametrize("form", ["fim", "repository", "code"])
def test_any_number_of_processes_gives_the_same_bytes(
    write_job: Callable[..., Path],
    prepare: Callable[[Path], Path],
    read_blocks: Read,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    form: str,
) -> None:
    # Small batches, so that several processes have something to do.
    monkeypatch.setattr(
        "starfreight.jobs.data.worker_pool.ordered_map.__kwdefaults__",
        {"processes": None, "batching": Batching(1, 0, 1)},
    )
    source = {"source": "./code", "license": "MIT", "format": form, "weight": 2.5, "filters": ALIKE}
    run = prepare(write_job(data=source, training={"steps": None, "epochs": 2}))
    alone = read_blocks(run, tmp_path / "one", processes=1)
    several = read_blocks(run, tmp_path / "three", processes=3)
    assert alone.record == several.record
    assert (tmp_path / "one" / BLOCKS_FILE).read_bytes() == (tmp_path / "three" / BLOCKS_FILE).read_bytes()


def test_another_seed_gives_other_blocks_of_the_same_files(make: Read) -> None:
    assert make().record.digest != make(training={"seed": 43}).record.digest


def test_nothing_that_is_held_out_is_learned(
    write_job: Callable[..., Path], prepare: Callable[[Path], Path], read_blocks: Read, encoder: Encoder
) -> None:
    run = prepare(write_job(training={"steps": 50}))
    data = read_blocks(run)
    files = DataManifest.load(run / DATA_MANIFEST).files(0)
    apart = [file.path for file in files if file.split == "held_out"]
    assert len(apart) == 2
    learned = " ".join(encoder.decode(block.ids.tolist()) for block in data.blocks)
    for number in range(8):
        name = f"Basket_{number}"
        assert (name in learned) == (f"basket_{number}.py" not in apart)
    assert data.probes
    assert data.held_out


def test_steps_and_epochs_give_whole_steps(make: Read) -> None:
    by_steps = make(training={"steps": 7, "batch_size": 3, "gradient_accumulation": 2})
    assert len(by_steps.blocks) == 7 * 3 * 2
    counts = {}
    for epochs in (0.5, 1, 2):
        data = make(training={"steps": None, "epochs": epochs, "batch_size": 4})
        assert len(data.blocks) % 8 == 0
        counts[epochs] = len(data.blocks)
    assert counts[0.5] == pytest.approx(counts[1] / 2, abs=8)
    assert counts[2] == pytest.approx(counts[1] * 2, abs=16)


def test_a_last_step_that_is_not_full_is_filled_with_the_first_blocks(make: Read) -> None:
    data = make(training={"steps": None, "epochs": 1, "batch_size": 64, "gradient_accumulation": 1})
    rows = [tuple(block.ids.tolist()) for block in data.blocks]
    once = 64 - data.record.repeated
    assert 0 < once < 64
    assert rows == [rows[number % once] for number in range(64)]
    assert summary(data.record)["fill"] > 0.7


def test_each_pass_makes_new_cuts(make: Read) -> None:
    data = make(training={"steps": None, "epochs": 2, "batch_size": 1, "gradient_accumulation": 1})
    half = len(data.blocks) // 2
    first = {tuple(block.ids.tolist()) for block in data.blocks[:half]}
    again = [block for block in data.blocks[half:] if tuple(block.ids.tolist()) in first]
    assert len(again) < half / 10, "a pass repeats the one before it"


def test_at_most_as_much_is_measured_as_the_recipe_says(make: Read) -> None:
    data = make(training={"evaluation_blocks": 1, "evaluation_completions": 0})
    assert (len(data.held_out), len(data.probes)) == (1, 0)
    none = {"source": "./code", "license": "MIT", "held_out": 0, "filters": ALIKE}
    data = make(data=none)
    assert (len(data.held_out), len(data.probes)) == (0, 0)


def test_a_few_steps_over_much_data_read_a_sample_of_it_from_everywhere(
    make: Read, tmp_path: Path, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "much").mkdir()
    for number in range(400):
        body = "\n".join(f"value_{number}_{line} = {line * number}" for line in range(20))
        (tmp_path / f"much/file_{number:03}.py").write_text(body + "\n")
    tasks = []
    original = making.redact
    monkeypatch.setattr(
        making, "redact", lambda content, filters: tasks.append(1) or original(content, filters)
    )
    source = {
        "source": "./much",
        "license": "MIT",
        "held_out": 0,
        "filters": {**ALIKE, "generated": False, "minified": False},
    }
    data = make(data=source, training={"steps": 5})
    assert len(data.blocks) == 5 * 2 * 2
    assert len(tasks) < 100
    text = "".join(encoder.decode(block.ids.tolist()) for block in data.blocks)
    found = {number for number in range(400) if f"value_{number}_" in text}
    assert min(found) < 100
    assert max(found) > 300


def test_data_that_gives_no_example_is_refused(make: Read, tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"prefix": "a", "middle": "' + "word " * 100 + '", "suffix": "b"}\n')
    with pytest.raises(InputError, match="no training example"):
        make(data={"source": "./a.jsonl", "license": "MIT", "held_out": 0, "filters": {"minified": False}})


def test_blocks_that_are_made_are_not_made_again(
    write_job: Callable[..., Path], prepare: Callable[[Path], Path], read_blocks: Read, tmp_path: Path
) -> None:
    run = prepare(write_job())
    data = read_blocks(run)
    shutil.rmtree(tmp_path / "code")  # What is read again would be missed.
    assert read_blocks(run, expected=data.record.digest).record == data.record


def test_blocks_that_are_lost_or_damaged_are_made_again_and_others_are_refused(
    write_job: Callable[..., Path], prepare: Callable[[Path], Path], read_blocks: Read
) -> None:
    run = prepare(write_job())
    data = read_blocks(run)
    path = run / BLOCKS_FILE
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + b"\x07")
    assert read_blocks(run, expected=data.record.digest).record == data.record
    assert path.read_bytes() == whole
    with pytest.raises(InputError, match="differ from those that the run began with"):
        read_blocks(run, expected="sha256:" + "0" * 64)


def test_a_full_disk_or_a_stop_leaves_nothing_behind(
    write_job: Callable[..., Path],
    prepare: Callable[[Path], Path],
    read_blocks: Read,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = prepare(write_job())
    before = sorted(path.name for path in (run / "data").iterdir())

    def stop() -> None:
        raise JobStopped("Stopped.")

    with pytest.raises(JobStopped):
        read_blocks(run, check=stop)

    class Full:
        def __init__(self, stream: Any) -> None:
            self.stream = stream

        def write(self, data: bytes) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    original = block_file.BlockWriter.__init__
    monkeypatch.setattr(
        block_file.BlockWriter,
        "__init__",
        lambda self, stream, path: original(self, Full(stream), path),  # type: ignore[arg-type]
    )
    with pytest.raises(ServiceError, match="No space left to write"):
        read_blocks(run)
    assert sorted(path.name for path in (run / "data").iterdir()) == before


def test_the_file_is_laid_out_as_the_documentation_says(make: Read, tmp_path: Path, encoder: Encoder) -> None:
    data = make()
    (path,) = tmp_path.glob("runs/*/data/blocks.bin")
    record = json.loads(path.with_suffix(".json").read_text())
    assert BlocksRecord.load(path.with_suffix(".json")) == data.record
    raw, size = path.read_bytes(), record["length"] * (record["id_bytes"] + 1)
    assert len(raw) == size * (record["train"] + record["held_out"] + record["probes"])
    first = raw[:size]
    ids = [int.from_bytes(first[2 * place : 2 * place + 2], "little") for place in range(record["length"])]
    flags = first[2 * record["length"] :]
    block = data.blocks[0]
    assert ids == block.ids.tolist()
    assert [bool(flag & 2) for flag in flags] == (block.positions == 0).tolist()
    assert [bool(flag & 1) for flag in flags] == (block.labels != IGNORED).tolist()
    assert 0.5 < summary(data.record)["fill"] <= 1


def test_a_probe_comes_back_as_it_went(tmp_path: Path, make: Read) -> None:
    probes = [Probe([1, 5, 3, 6, 2, 7, 0], 5), Probe(list(range(1, 65)), 60), Probe([1, 2, 2], 2)]
    path = tmp_path / "blocks.bin"
    path.write_bytes(b"".join(block_file.encode_probe(probe, 64, 2, 0) for probe in probes))
    nothing = "sha256:" + "0" * 64
    record = BlocksRecord(
        version=1, digest=nothing, made_from=nothing, length=64, id_bytes=2, train=0, held_out=0, probes=3,
        repeated=0, examples=0, tokens=0, left_out={},
    )  # fmt: skip
    assert block_file.Blocks(path, record, 0, 3).probes() == probes


@pytest.mark.parametrize("weight", [0.3, 1, 2.5])
def test_a_weight_is_how_often_a_text_is_read(weight: float) -> None:
    found = [len(seeds(f"text {number}", weight, (0, 1))) for number in range(4000)]
    assert sum(found) / 4000 == pytest.approx(weight, abs=0.03)
    assert max(found) - min(found) <= 1


def test_parts_of_a_pass_are_the_pass_together() -> None:
    for number in range(100):
        whole = seeds(f"text {number}", 2.5, (0, 1))
        parts = [
            seed for part in ((0, 0.2), (0.2, 0.7), (0.7, 1.0)) for seed in seeds(f"text {number}", 2.5, part)
        ]
        assert sorted(parts) == sorted(whole)


def test_samples_of_one_repository_come_together_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(making, "MAX_REPOSITORY_BYTES", 25)
    digest = "sha256:" + "0" * 64
    samples = [
        Sample(f"{place}.py", "x" * 10, digest, 10, f"{place}.py", repository)
        for place, repository in enumerate(["a", "a", "a", "b", None, None])
    ]
    found = list(groups(samples, whole_repositories=True))
    assert [[sample.repository for sample in group] for group in found] == [
        ["a", "a"],
        ["a"],
        ["b"],
        [None],
        [None],
    ]
    assert [len(group) for group in groups(samples, whole_repositories=False)] == [1] * 6


def test_data_of_less_than_one_block_stops_a_run_unless_its_recipe_allows_it(
    write_job: Callable[..., Path], prepare: Callable[[Path], Path], read_blocks: Read, tmp_path: Path
) -> None:
    source = {"source": "./code", "license": "MIT", "filters": ALIKE, "include": ["short_*.py"]}
    recipe = write_job(data=source, training={"steps": 9})
    for number in range(4):
        (tmp_path / f"code/short_{number}.py").write_text(f"x = {number}\n")
    run = prepare(recipe)
    with pytest.raises(
        InputError, match=r"gives \d+ tokens to train on, less than one block of 64"
    ) as caught:
        read_blocks(run)
    assert caught.value.where == "key training.sequence_length"
    assert "--allow-little-data" in str(caught.value.fix)
    assert read_blocks(run, has_begun=True).record.train == 36
    allowed = json.loads(recipe.read_text()) | {"run": {"allow_little_data": True}}
    recipe.write_text(json.dumps(allowed))
    assert prepare(recipe) == run
    assert read_blocks(run).record.train == 36


def test_held_out_texts_without_an_example_stop_a_run(
    write_job: Callable[..., Path], prepare: Callable[[Path], Path], read_blocks: Read, tmp_path: Path
) -> None:
    source = {"source": "./pairs.jsonl", "format": "instruct", "license": "MIT", "filters": ALIKE}
    recipe = write_job(data=source)

    def write(held_out: str) -> Path:
        records = [
            {"prompt": f"Q{number}", "response": "ok" * (99 if str(number) in held_out else 1)}
            for number in range(10)
        ]
        (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(each) + "\n" for each in records))
        return prepare(recipe)

    def held_out_of(run: Path) -> str:
        found = DataManifest.load(run / DATA_MANIFEST).kept(0)
        return "".join(str(number) for number, entry in enumerate(found) if entry.split == "held_out")

    # The choice depends on the texts: make longer whatever is chosen until it stays.
    run = write("")
    read_blocks(run)
    chosen = ""
    while held_out_of(run) not in chosen:
        chosen += held_out_of(run)
        run = write(chosen)
    with pytest.raises(InputError, match="The held-out texts give no example of at most 64 tokens"):
        read_blocks(run)
    assert not read_blocks(run, has_begun=True).held_out
