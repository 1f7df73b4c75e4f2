"""Checks that the examples of a run fill at least one block, before training begins."""

from __future__ import annotations

from starfreight.errors import InputError
from starfreight.jobs.data.manifest.little_data import ALLOW


def require_examples(tokens: int, length: int, *, allow_little: bool) -> None:
    """Check the tokens of the first pass over the training data.

    Args:
        tokens: of all its examples.
        length: of a block, in tokens.
        allow_little: accept less than one block.

    Raises:
        InputError: there is no example, or less than one block of them.
    """
    if tokens == 0:
        raise InputError(
            "The data gives no training example.",
            where="key data",
            fix="add files, or raise training.sequence_length so that examples fit",
        )
    if tokens < length and not allow_little:
        raise InputError(
            f"The data gives {tokens:,} tokens to train on, less than one block of {length:,}.",
            where="key training.sequence_length",
            fix=f"add texts to data, or lower training.sequence_length; or {ALLOW}",
        )


def require_held_out(blocks: int, length: int, *, allow_little: bool) -> None:
    """Check the blocks made from texts that are held out.

    Args:
        blocks: their number.
        length: of a block, in tokens.
        allow_little: accept none.

    Raises:
        InputError: there is none.
    """
    if blocks == 0 and not allow_little:
        raise InputError(
            f"The held-out texts give no example of at most {length:,} tokens to evaluate on.",
            where="key training.sequence_length",
            fix=f"raise it, raise held_out of a source, or set held_out: 0; or {ALLOW}",
        )
