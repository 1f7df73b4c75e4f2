"""Base model shapes, known without fetching the weights."""

from __future__ import annotations

from pathlib import Path

from starfreight.base_model import locate_base
from starfreight.checkpoint import ModelShape
from starfreight.checkpoint.config import read_config
from starfreight.recipe import Base


def _starcoder2(
    layers: int, hidden: int, heads: int, kv_heads: int, theta: float, *, tied: bool
) -> ModelShape:
    return ModelShape(
        architecture="starcoder2", layers=layers, hidden=hidden, ffn=4 * hidden, heads=heads,
        kv_heads=kv_heads, vocab_size=49152, context_length=16384, norm_epsilon=1e-5, rope_theta=theta,
        tied=tied, dtype="BF16", sliding_window=4096,
    )  # fmt: skip


def _starcoder(layers: int, hidden: int, heads: int) -> ModelShape:
    return ModelShape(
        architecture="starcoder", layers=layers, hidden=hidden, ffn=4 * hidden, heads=heads, kv_heads=1,
        vocab_size=49152, context_length=8192, norm_epsilon=1e-5, rope_theta=None, tied=True, dtype="F32",
    )  # fmt: skip


PUBLISHED = {
    "bigcode/starcoder2-3b": _starcoder2(30, 3072, 24, 2, 999999.44, tied=True),
    "bigcode/starcoder2-7b": _starcoder2(32, 4608, 36, 4, 1e6, tied=True),
    "bigcode/starcoder2-15b": _starcoder2(40, 6144, 48, 4, 1e5, tied=False),
    "bigcode/starcoderbase-1b": _starcoder(24, 2048, 16),
    "bigcode/starcoderbase-3b": _starcoder(36, 2816, 22),
    "bigcode/starcoderbase-7b": _starcoder(42, 4096, 32),
    "bigcode/starcoderbase": _starcoder(40, 6144, 48),
    "bigcode/starcoder": _starcoder(40, 6144, 48),
}
"""BigCode's published models: the values of their ``config.json``."""


def base_shape(base: Base, folder: Path) -> ModelShape:
    """The shape of a base model: from the table if published, otherwise from its ``config.json``.

    A directory named like a published model takes precedence over the table.

    Args:
        base: the recipe's base model.
        folder: the directory of the recipe; relative paths start there.

    Raises:
        RecipeError: the base model is neither a directory nor a hub id with a commit.
        InputError: ``config.json`` does not describe a supported model.
        ServiceError: the model had to be fetched, and the hub is unreachable.
    """
    known = PUBLISHED.get(base.model)
    if known is not None and not (folder / base.model).is_dir():
        return known
    return read_config(locate_base(base, folder, ("config.json",)) / "config.json")
