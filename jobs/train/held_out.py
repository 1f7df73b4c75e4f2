"""Evaluation on the held-out data: loss, and the number of lines completed exactly."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from starfreight.jobs.data.blocks.block_file import Block
from starfreight.jobs.data.formats import IGNORED, Probe
from starfreight.jobs.train.batches import collate
from starfreight.jobs.train.process_group import SINGLE_PROCESS, ProcessGroup
from starfreight.run import Measurement

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

_BATCH_TOKENS = 8192
_LOGITS = 1 << 27
"""Most elements in the logits of one batch: half a gigabyte as float32."""


def measure(
    model: Any,
    blocks: Sequence[Block],
    probes: Sequence[Probe],
    check: Callable[[], None],
    processes: ProcessGroup = SINGLE_PROCESS,
    advance: Callable[[int], None] = lambda count: None,
) -> Measurement | None:
    """Measure the model in its current state, with dropout off.

    Args:
        model: a causal language model of transformers, with or without an adapter.
        blocks: blocks to measure the loss on.
        probes: lines to complete.
        check: called between batches; may raise to stop, but only in a single process.
        processes: processes sharing the work. All must call this, and all get the same result.
        advance: called with the number of blocks and probes done, by all processes at the speed of this one.

    Returns:
        ``None`` when there are no blocks.
    """
    import torch

    if not blocks:
        return None
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            shared = processes.count
            loss, tokens = _loss(model, processes.shard(blocks), check, lambda count: advance(shared * count))
            matches = 0.0
            for probe in processes.shard(probes):
                matches += _completes(model, probe, check)
                advance(shared)
    finally:
        model.train(was_training)
    loss, tokens, matches = processes.sum([loss, tokens, matches])
    exact = matches / len(probes) if probes else None
    return Measurement(
        loss=loss / max(tokens, 1), tokens=int(tokens), exact_match=exact, completions=len(probes)
    )


def token_losses(
    model: Any, blocks: Sequence[Block], check: Callable[[], None]
) -> Iterator[NDArray[np.float32]]:
    """Measure each token of some blocks, with dropout off.

    Args:
        model: a causal language model of transformers, with or without an adapter.
        blocks: blocks of equal length.
        check: called between batches; may raise to stop.

    Yields:
        For each block the losses of its tokens in nats, of shape (sequence length); 0 where none counts.
    """
    import torch

    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            for logits, labels in _batches(model, blocks, check):
                losses = torch.nn.functional.cross_entropy(
                    logits[:, :-1].flatten(0, 1),
                    labels[:, 1:].flatten(),
                    ignore_index=IGNORED,
                    reduction="none",
                ).view(len(labels), -1)
                yield from torch.nn.functional.pad(losses, (1, 0)).cpu().numpy()
    finally:
        model.train(was_training)


def _loss(
    model: Any, blocks: Sequence[Block], check: Callable[[], None], advance: Callable[[int], None]
) -> tuple[float, float]:
    """The summed loss over all tokens with a label, and their number."""
    import torch

    total, tokens = 0.0, 0
    for logits, labels in _batches(model, blocks, check):
        losses = torch.nn.functional.cross_entropy(
            logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), ignore_index=IGNORED, reduction="sum"
        )
        total += losses.item()
        tokens += int((labels[:, 1:] != IGNORED).sum())
        advance(len(labels))
    return total, tokens


def _batches(
    model: Any, blocks: Sequence[Block], check: Callable[[], None]
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """The logits in float32 and the labels of each batch."""
    tokens_at_once = min(_BATCH_TOKENS, _LOGITS // model.config.vocab_size)
    step = max(1, tokens_at_once // len(blocks[0].ids)) if blocks else 1
    for start in range(0, len(blocks), step):
        check()
        batch = {k: v.to(model.device) for k, v in collate(blocks[start : start + step]).items()}
        labels = batch.pop("labels")
        yield model(**batch, use_cache=False).logits.float(), labels


def _completes(model: Any, probe: Probe, check: Callable[[], None]) -> bool:
    """True if greedy decoding gives the rest of the probe, including its end.

    Greedy decoding gives exactly these tokens if and only if each is the most likely one after those before
    it, so one forward pass decides it and nothing is generated.
    """
    import torch

    check()
    ids = torch.tensor([probe.ids], device=model.device)
    best = model(input_ids=ids, use_cache=False).logits[0, probe.start - 1 : -1].argmax(-1)
    return bool(torch.equal(best, ids[0, probe.start :]))
