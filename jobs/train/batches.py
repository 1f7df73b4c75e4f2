"""Blocks as the tensors that a model takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from starfreight.jobs.data.blocks.block_file import Block

if TYPE_CHECKING:
    import torch


def collate(blocks: Sequence[Block]) -> dict[str, torch.Tensor]:
    """``input_ids``, ``labels`` and ``position_ids``, each int64 of shape (blocks, sequence length).

    There is no attention mask on purpose: without one, and without a cache, transformers keeps
    attention inside the runs of ``position_ids``; with one it silently looks across examples.
    """
    import numpy as np
    import torch

    return {
        "input_ids": torch.from_numpy(np.stack([block.ids for block in blocks])),
        "labels": torch.from_numpy(np.stack([block.labels for block in blocks])),
        "position_ids": torch.from_numpy(np.stack([block.positions for block in blocks])),
    }
