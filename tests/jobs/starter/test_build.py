from __future__ import annotations

import json
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from starfreight.console import Console
from starfreight.errors import InputError, JobStopped
from starfreight.files import sha256_file
from starfreight.jobs.protocol.stop_request import StopRequest
from starfreight.jobs.starter.build import MANIFEST, StarterRequest, build
from starfreight.jobs.starter.corpus import read_corpus
from starfreight.jobs.starter.examples import RowReader
from starfreight.jobs.starter.pretrain import Settings, StepProgress, Trainer
from starfreight.jobs.starter.tokenizer import train_tokenizer

MakeRequest = Callable[..., StarterRequest]


class StopAfter(StopRequest):
    """A request that arrives when it has been looked for so many times."""

    def __init__(self, looks: int) -> None:
        super().__init__()
        self._looks = looks

    @property
    def requested(self) -> bool:
        self._looks -= 1
        return self._looks < 0


class Killed(Exception):
    """Stands for the end of a process in the middle of a training."""


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def trainer(library: Path, tiny_settings: Settings) -> Callable[[], Trainer]:
    files = [file for file in read_corpus(library) if not file.held_out]
    tokenizer = train_tokenizer((file.text for file in files), tiny_settings.shape.vocabulary)
    return lambda: Trainer(tiny_settings, RowReader(files, tokenizer, tiny_settings.seed))


def test_a_stopped_build_goes_on_to_the_same_bytes(
    make_request: MakeRequest, tmp_path: Path, console: Console
) -> None:
    build(make_request(), console, StopRequest())
    again = make_request(out=tmp_path / "again", work=tmp_path / "work-again")
    with pytest.raises(JobStopped) as caught:
        build(again, console, StopAfter(9))
    assert caught.value.exit_code == 75
    assert not again.out.exists()
    assert (again.work / "last.safetensors").is_file()
    build(again, console, StopRequest())
    assert contents(again.out) == contents(make_request().out)
    assert not list(tmp_path.glob(".partial-*"))


def test_the_manifest_names_every_file_and_its_digest(
    make_request: MakeRequest, library: Path, console: Console
) -> None:
    request = make_request()
    built = build(request, console, StopRequest())
    manifest = json.loads((request.out / MANIFEST).read_bytes())
    files = {path.name for path in request.out.iterdir()} - {MANIFEST}
    assert (
        files == set(manifest["model_files"]) >= {"model.safetensors", "config.json", "LICENSE", "README.md"}
    )
    for name, digest in manifest["model_files"].items():
        assert sha256_file(request.out / name) == digest
        assert stat.S_IMODE((request.out / name).stat().st_mode) == 0o644
    for entry in manifest["files"]:
        assert sha256_file(library / entry["path"]) == entry["sha256"]
    assert [entry["path"] for entry in manifest["files"] if entry["held_out"]] == ["operator.py"]
    assert (request.out / "LICENSE").read_text() == "The license.\n"
    assert built["parameters"] == manifest["parameters"]


def test_training_that_is_killed_goes_on_to_the_same_weights(
    trainer: Callable[[], Trainer], tmp_path: Path
) -> None:
    import torch

    whole, schedule = trainer(), Settings(batch_tokens=128).schedule(20)
    schedule = replace(schedule, context_length=64)
    whole.train(tmp_path / "whole", schedule, StopRequest(), lambda tick: None)

    def kill(tick: StepProgress) -> None:
        if tick.step == 14:
            raise Killed

    with pytest.raises(Killed):
        trainer().train(tmp_path / "killed", schedule, StopRequest(), kill, checkpoint_seconds=0)
    resumed = trainer()
    resumed.resume(tmp_path / "killed", schedule)
    assert resumed.step == 14
    resumed.train(tmp_path / "killed", schedule, StopRequest(), lambda tick: None)
    for one, other in zip(whole.model.parameters(), resumed.model.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_finished_training_can_be_made_longer_as_if_it_had_never_ended(
    trainer: Callable[[], Trainer], tmp_path: Path
) -> None:
    import torch

    short = replace(Settings(batch_tokens=128).schedule(10), context_length=64)
    long = replace(short, steps=20)
    trainer().train(tmp_path / "work", short, StopRequest(), lambda tick: None)
    longer, whole = trainer(), trainer()
    longer.resume(tmp_path / "work", long)
    assert longer.step == short.level_until
    longer.train(tmp_path / "work", long, StopRequest(), lambda tick: None)
    whole.train(tmp_path / "whole", long, StopRequest(), lambda tick: None)
    for one, other in zip(whole.model.parameters(), longer.model.parameters(), strict=True):
        assert torch.equal(one, other)


def test_the_loss_falls(trainer: Callable[[], Trainer], tmp_path: Path) -> None:
    losses: list[float] = []
    schedule = replace(Settings(batch_tokens=128).schedule(60), context_length=64)
    trainer().train(tmp_path, schedule, StopRequest(), lambda tick: losses.append(tick.loss))
    assert sum(losses[-10:]) / 10 < sum(losses[:5]) / 5 - 0.7


def test_a_work_directory_of_another_training_is_refused(make_request: MakeRequest, console: Console) -> None:
    request = make_request()
    build(request, console, StopRequest())
    with pytest.raises(InputError, match="another corpus, model or seed"):
        build(replace(request, settings=replace(request.settings, seed=2)), console, StopRequest())


def test_a_damaged_checkpoint_is_not_used(make_request: MakeRequest, console: Console) -> None:
    request = make_request()
    build(request, console, StopRequest())
    before = contents(request.out)
    for name in ("last.safetensors", "level.safetensors"):
        (request.work / name).write_bytes((request.work / name).read_bytes()[:1000])
    build(request, console, StopRequest())
    assert contents(request.out) == before


def test_a_directory_with_other_files_is_not_replaced(make_request: MakeRequest, console: Console) -> None:
    request = make_request()
    request.out.mkdir()
    (request.out / "thesis.tex").write_text("years of work")
    with pytest.raises(InputError, match="not a starter model"):
        build(request, console, StopRequest())
    assert (request.out / "thesis.tex").read_text() == "years of work"


def test_minutes_decide_the_steps_once(make_request: MakeRequest, console: Console) -> None:
    request = make_request(steps=None, minutes=0.005)
    first = build(request, console, StopRequest())
    assert build(request, console, StopRequest())["steps"] == first["steps"] >= 10


def test_a_device_that_is_not_there_is_an_input_error(make_request: MakeRequest, console: Console) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    request = make_request()
    with pytest.raises(InputError, match="no CUDA device"):
        build(replace(request, settings=replace(request.settings, device="cuda")), console, StopRequest())
    assert not request.out.exists()
