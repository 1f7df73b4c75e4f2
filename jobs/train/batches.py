"""Blocks collated into model input tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from starfreight.jobs.data.blocks.block_file import Block

if TYPE_CHECKING:
    import torch


def collate(blocks: Sequence[Block]) -> dict[str, torch.Tensor]:
    """Collate blocks into ``input_ids``, ``labels`` and ``position_ids``.

    The attention mask is left out on purpose: without one, and without a cache, transformers confines
    attention to each sequence of ``position_ids``; with one it silently attends across examples.

    Returns:
        Three int64 tensors of shape (blocks, sequence length).
    """
    import numpy as np
    import torch

    return {
        "input_ids": torch.from_numpy(np.stack([block.ids for block in blocks])),
        "labels": torch.from_numpy(np.stack([block.labels for block in blocks])),
        "position_ids": torch.from_numpy(np.stack([block.positions for block in blocks])),
    }
