"""Examples that share a block are blind to one another, in both architectures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from starfreight.jobs.data.blocks.block_file import Block
from starfreight.jobs.data.formats import IGNORED, Example
from starfreight.jobs.train.batches import collate

torch = pytest.importorskip("torch")

Pack = Callable[..., list[Block]]
LENGTHS = (23, 17, 11, 9)


def load(folder: Path) -> Any:
    from transformers import AutoModelForCausalLM

    torch.set_num_threads(1)
    no_dropout = {"attn_pdrop": 0, "resid_pdrop": 0, "embd_pdrop": 0} if folder.name == "starcoder" else {}
    model = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="sdpa", **no_dropout
    )
    model.config.use_cache = False
    return model


def token_losses(model: Any, batch: Mapping[str, Any], **options: Any) -> list[float]:
    """The loss of each token that counts, smallest first."""
    inputs = {name: tensor for name, tensor in batch.items() if name != "labels"}
    logits = model(**inputs, **options).logits
    losses = torch.nn.functional.cross_entropy(
        logits[:, :-1].flatten(0, 1), batch["labels"][:, 1:].flatten(), ignore_index=IGNORED, reduction="none"
    )
    return sorted(losses[batch["labels"][:, 1:].flatten() != IGNORED].tolist())


def random_examples() -> list[Example]:
    generator = torch.Generator().manual_seed(1)
    rows = [torch.randint(7, 400, (length,), generator=generator).tolist() for length in LENGTHS]
    return [Example(row, row) for row in rows]


@pytest.fixture(params=["starcoder2", "starcoder"])
def model(request: pytest.FixtureRequest, bases: Mapping[str, Path]) -> Any:
    return load(bases[request.param])


@pytest.mark.parametrize("training", [False, True], ids=["measuring", "training"])
def test_the_loss_of_packed_examples_is_that_of_the_examples_alone(
    model: Any, training: bool, pack: Pack
) -> None:
    model.train(training)
    examples = random_examples()
    packed = collate(pack(examples, 64))
    assert packed["input_ids"].shape == (1, 64)
    alone = [collate(pack([example], len(example.ids))) for example in examples]
    with torch.no_grad():
        together = token_losses(model, packed)
        apart = sorted(loss for batch in alone for loss in token_losses(model, batch))
    assert len(together) == sum(LENGTHS) - len(LENGTHS)
    assert together == pytest.approx(apart, abs=1e-4)


def test_an_attention_mask_of_ones_or_a_cache_would_leak(model: Any, pack: Pack) -> None:
    # This is what the test above would see, were the batches ever made in the usual way.
    packed = collate(pack(random_examples(), 64))
    with torch.no_grad():
        blind = token_losses(model.eval(), packed)
        masked = token_losses(model, {**packed, "attention_mask": torch.ones(1, 64, dtype=torch.long)})
        cached = token_losses(model, packed, use_cache=True)
    assert masked != pytest.approx(blind, abs=1e-2)
    assert cached != pytest.approx(blind, abs=1e-2)


def test_the_loss_that_training_uses_is_the_mean_over_the_tokens_that_count(model: Any, pack: Pack) -> None:
    packed = collate(pack(random_examples(), 64))
    with torch.no_grad():
        losses = token_losses(model.eval(), packed)
        assert model(**packed).loss.item() == pytest.approx(sum(losses) / len(losses), abs=1e-5)
