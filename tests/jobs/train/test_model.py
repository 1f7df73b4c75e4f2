"""QLoRA on both architectures, on any CPU."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from starfreight.jobs.data.blocks.block_file import Block
from starfreight.jobs.data.encoder import Encoder
from starfreight.jobs.data.formats import Example, Probe, make_format
from starfreight.jobs.data.sources.interface import Sample
from starfreight.jobs.train.batches import collate
from starfreight.jobs.train.held_out import measure
from starfreight.jobs.train.model import TARGET_MODULES, load_model
from starfreight.recipe import Data, Training

torch = pytest.importorskip("torch")

Pack = Callable[..., list[Block]]
CPU = torch.device("cpu")
TRAINING = Training(rank=4, alpha=8, dropout=0.0, sequence_length=64)


def load(bases: Mapping[str, Path], architecture: str, training: Training = TRAINING) -> Any:
    torch.set_num_threads(1)
    return load_model(bases[architecture], architecture, training, CPU)


@pytest.fixture
def batch(pack: Pack) -> dict[str, Any]:
    rng = random.Random(0)
    rows = [[rng.randrange(7, 400) for _ in range(30)] for _ in range(4)]
    return collate(pack([Example(row, row) for row in rows], 64))


@pytest.mark.parametrize("architecture", ["starcoder2", "starcoder"])
def test_every_linear_layer_of_attention_and_mlp_is_adapted_and_nothing_else_is_trained(
    bases: Mapping[str, Path], architecture: str
) -> None:
    model = load(bases, architecture)
    trained = {name for name, weight in model.named_parameters() if weight.requires_grad}
    assert all(".lora_A." in name or ".lora_B." in name for name in trained)
    adapted = {name.split(".lora_")[0].removeprefix("base_model.model.") for name in trained}
    linear = {
        name.removesuffix(".base_layer").removeprefix("base_model.model.")
        for name, module in model.named_modules()
        if type(module).__name__ == "Linear4bit" and ".lora_" not in name
    }
    assert adapted == linear
    assert len(adapted) == 2 * len({name.rsplit(".", 2)[-2] + name.rsplit(".", 1)[-1] for name in adapted})
    assert {name.rsplit(".", 1)[-1] for name in adapted} == set(TARGET_MODULES[architecture])


def test_the_recipes_target_modules_are_kept(bases: Mapping[str, Path]) -> None:
    model = load(bases, "starcoder2", TRAINING.model_copy(update={"target_modules": ("q_proj",)}))
    trained = {name for name, weight in model.named_parameters() if weight.requires_grad}
    assert len(trained) == 4
    assert all("q_proj" in name for name in trained)


def test_the_adapter_begins_with_the_recipes_seed(bases: Mapping[str, Path]) -> None:
    def first(seed: int) -> Any:
        model = load(bases, "starcoder2", TRAINING.model_copy(update={"seed": seed}))
        return next(weight for name, weight in model.named_parameters() if "lora_A" in name)

    assert torch.equal(first(1), first(1))
    assert not torch.equal(first(1), first(2))


def packed_weights(model: Any) -> list[bytes]:
    import bitsandbytes

    return [
        module.weight.data.view(torch.uint8).numpy().tobytes()
        for module in model.modules()
        if isinstance(module, bitsandbytes.nn.Linear4bit)
    ]


def gradients(model: Any, batch: Mapping[str, Any]) -> dict[str, Any]:
    model.zero_grad()
    model.train()
    model(**batch).loss.backward()
    return {
        name: w.grad.clone() for name, w in model.named_parameters() if w.requires_grad and w.grad is not None
    }


def measured_in_between(model: Any, batch: Mapping[str, Any]) -> None:
    model.eval()
    with torch.no_grad():
        model(**batch)


def without_dropout(model: Any) -> Any:
    for module in model.modules():
        # GPT-BigCode's attention has a number of its own, which would make two passes differ.
        if hasattr(module, "attn_dropout"):
            module.attn_dropout = 0.0
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    return model


@pytest.mark.parametrize("architecture", ["starcoder2", "starcoder"])
def test_measuring_in_the_middle_of_training_changes_no_weight_and_no_gradient(
    bases: Mapping[str, Path], architecture: str, batch: Mapping[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    # As on a CPU with AVX512-BF16, where bitsandbytes would repack the weights.
    monkeypatch.setattr("bitsandbytes.nn.modules.has_avx512bf16", lambda: True)
    model = without_dropout(load(bases, architecture))
    before, weights = gradients(model, batch), packed_weights(model)
    measured_in_between(model, batch)
    after = gradients(model, batch)
    assert packed_weights(model) == weights
    assert len(after) == sum(weight.requires_grad for weight in model.parameters())
    assert all(torch.equal(after[name], before[name]) for name in before)
    assert all(gradient.abs().max() > 0 for name, gradient in after.items() if "lora_B" in name)


@pytest.mark.parametrize("architecture", ["starcoder2", "starcoder"])
def test_bitsandbytes_would_change_the_weights_if_it_were_let(
    bases: Mapping[str, Path], architecture: str, batch: Mapping[str, Any]
) -> None:
    # The reason for keep_weights_in_place. When this fails, bitsandbytes is cured, and that can go.
    import bitsandbytes

    if not bitsandbytes.functional.has_avx512bf16():
        pytest.skip("needs a CPU with AVX512-BF16")
    model = without_dropout(load(bases, architecture))
    before, weights = gradients(model, batch), packed_weights(model)
    for module in model.modules():
        if isinstance(module, bitsandbytes.nn.Linear4bit):
            module.support_avx512bf16_for_cpu = True
    measured_in_between(model, batch)
    assert packed_weights(model) != weights
    try:
        after = gradients(model, batch)
    except RuntimeError:
        return
    assert not all(name in after and torch.equal(after[name], before[name]) for name in before)


def test_a_line_counts_as_completed_when_greedy_generation_gives_it_to_the_letter(
    bases: Mapping[str, Path], encoder: Encoder, code_sample: Sample, pack: Pack
) -> None:
    model = load(bases, "starcoder2").eval()
    rng = random.Random(0)
    form = make_format(Data(source="x"), encoder, 64)
    asked = [probe for _ in range(3) for probe in form.probes([code_sample], rng)][:6]
    # A model of random weights completes nothing, so some probes ask for what it says anyway, and
    # one of those for something else in its last token.
    said = [Probe(generate(model, probe, 8), probe.start) for probe in asked[:4]]
    wrong = Probe([*said[0].ids[:-1], (said[0].ids[-1] + 1) % 400], said[0].start)
    probes = [*asked, *said, wrong]
    expected = [generate(model, probe, len(probe.ids) - probe.start) == probe.ids for probe in probes]
    assert expected[len(asked) :] == [True] * 4 + [False]
    examples = [made for made in form.examples([code_sample], rng) if isinstance(made, Example)]
    block = pack(examples, 64)[0]
    for probe, exact in zip(probes, expected, strict=True):
        measured = measure(model, [block], [probe], lambda: None)
        assert measured is not None
        assert measured.exact_match == exact
    together = measure(model, [block], probes, lambda: None)
    assert together is not None
    assert together.exact_match == pytest.approx(sum(expected) / len(expected))


def generate(model: Any, probe: Probe, count: int) -> list[int]:
    with torch.no_grad():
        ids = model.generate(
            input_ids=torch.tensor([probe.ids[: probe.start]]),
            attention_mask=torch.ones(1, probe.start, dtype=torch.long),
            do_sample=False, use_cache=False, max_new_tokens=count, min_new_tokens=count,
            eos_token_id=None, pad_token_id=0,
        )  # fmt: skip
    return [int(number) for number in ids[0]]


def test_measuring_leaves_the_model_in_the_mode_it_was_in(bases: Mapping[str, Path], pack: Pack) -> None:
    model = load(bases, "starcoder2")
    blocks = pack([Example([9, 10, 11, 12], [9, 10, 11, 12])], 64)
    for training in (True, False):
        model.train(training)
        measure(model, blocks, (), lambda: None)
        assert model.training is training
    assert measure(model, (), (), lambda: None) is None
