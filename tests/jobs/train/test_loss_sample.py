"""The loss sample of a finished training, and the file that is compared with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from starfreight.checkpoint import open_checkpoint
from starfreight.console import Console
from starfreight.jobs.data.blocks.block_file import Block
from starfreight.jobs.data.formats import IGNORED, Example
from starfreight.jobs.protocol.events import receive
from starfreight.jobs.protocol.stop_request import StopRequest
from starfreight.jobs.train.loss_sample import SampleSize, choose_sample, measure_sample, sample_size
from starfreight.jobs.train.training_job import run_job
from starfreight.loss_sample import LossSample
from starfreight.run import Run

torch = pytest.importorskip("torch")

Pack = Callable[..., list[Block]]
SMALL = SampleSize(counted=40, each=8, tokens=1000, longest=20)


@pytest.fixture(scope="module")
def model(bases: Mapping[str, Path]) -> Any:
    """A base with an adapter that changes its losses."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.set_num_threads(1)
    torch.manual_seed(1)
    base = AutoModelForCausalLM.from_pretrained(bases["starcoder2"], dtype=torch.float32)
    base.config.use_cache = False
    config = LoraConfig(r=2, target_modules=["q_proj", "c_fc"], init_lora_weights=False)
    return get_peft_model(base, config)


@pytest.fixture(scope="module")
def blocks(pack: Pack) -> list[Block]:
    generator = torch.Generator().manual_seed(2)
    rows = [torch.randint(7, 400, (length,), generator=generator).tolist() for length in (30, 25, 12, 9) * 3]
    # Of every example the first ten tokens are a prompt.
    return pack([Example(row, [IGNORED] * 5 + row[5:]) for row in rows], 64)


def test_a_sample_has_the_losses_of_its_documents_alone(model: Any, blocks: list[Block]) -> None:
    done: list[int] = []
    chosen = choose_sample(blocks, [], SMALL)
    sample = measure_sample(model, chosen, lambda: None, done.append)
    assert sum(done) == 2 * len(chosen)
    assert len(sample.documents) >= 5
    for document in sample.documents:
        assert len(document.ids) <= SMALL.longest and 1 <= len(document.counted) <= SMALL.each
        assert document.counted[0] >= 5 and document.counted[-1] == len(document.ids) - 1
        ids = torch.tensor([document.ids])

        def losses(ids: Any = ids, counted: Any = document.counted) -> list[float]:
            with torch.no_grad():
                logprobs = model.eval()(ids).logits[0].log_softmax(-1)
            return [-float(logprobs[place - 1, ids[0, place]]) for place in counted]

        assert list(document.losses) == pytest.approx(losses(), abs=2e-4)
        with model.disable_adapter():
            assert list(document.base_losses) == pytest.approx(losses(), abs=2e-4)
    assert abs(sample.loss - sample.base_loss) > 0.01
    assert 40 <= sample.tokens < 48


def test_held_out_documents_come_first_and_training_fills_up(model: Any, blocks: list[Block]) -> None:
    def ids(held_out: list[Block], training: list[Block], size: SampleSize) -> list[tuple[int, ...]]:
        chosen = choose_sample(held_out, training, size)
        if not chosen:
            return []
        return [document.ids for document in measure_sample(model, chosen, lambda: None).documents]

    many = replace(SMALL, counted=10_000)
    assert ids(blocks[:1], blocks[1:], many) == ids(blocks, [], many) == ids([], blocks, many)
    assert ids(blocks[1:], blocks[:1], replace(SMALL, counted=1))[0] == ids(blocks[1:2], [], many)[0]
    assert ids([], [], many) == []
    assert len(ids(blocks, [], replace(many, tokens=30))) == 2


def test_no_document_is_longer_than_the_sliding_window(bases: Mapping[str, Path]) -> None:
    shape = open_checkpoint(bases["starcoder2"]).shape
    assert sample_size(replace(shape, sliding_window=48)).longest == 48
    assert sample_size(replace(shape, sliding_window=None)).longest == shape.context_length == 256
    large = replace(shape, layers=40, hidden=2048, ffn=8192, context_length=16384, sliding_window=4096)
    assert sample_size(large).counted < sample_size(shape).counted


@pytest.mark.parametrize("architecture", ["starcoder2", "starcoder"])
@pytest.mark.parametrize("method", ["qlora", "lora"])
def test_a_job_records_a_sample_that_its_package_agrees_with(
    architecture: str,
    method: str,
    write_job: Callable[..., Path],
    prepare: Callable[[Path], Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from starfreight.packager.build.build_package import build_package

    package = {"quantizations": ["F32"], "license_files": ["LICENSE"]}
    (tmp_path / "LICENSE").write_text("The license.\n")
    training = {"steps": 4, "method": method, "evaluate_every": 10}
    run = prepare(write_job(architecture=architecture, package=package, training=training))
    run_job(run, StopRequest())
    _check_progress(capsys.readouterr().out)
    outcome = Run.load(run).outcome
    assert outcome is not None and outcome.sample is not None and outcome.after is not None
    sample = LossSample.load(run, outcome.sample)
    assert sample.loss == pytest.approx(outcome.sample.loss, abs=1e-5)
    assert sample.loss < sample.base_loss
    build_package(run, tmp_path / "p", None, Console())
    assert "agrees with training" in capsys.readouterr().err


def _check_progress(output: str) -> None:
    """The progress of the measurement ends at the total that it began with."""
    events = [event for line in output.splitlines() if (event := receive(line))]
    texts = [event.get("text", "") for event in events]
    begin = next(number for number, text in enumerate(texts) if text.startswith("Measuring a sample"))
    end = next(number for number in range(begin + 1, len(events)) if events[number]["event"] == "phase")
    plan, *advances = events[begin + 1 : end]
    assert sum(each["count"] for each in advances) == plan["steps"] > 0
