"""Open a base model once, however many files are made from it."""

from __future__ import annotations

from pathlib import Path

from starfreight.checkpoint import Checkpoint, StreamedBase, check_tokenizer, open_checkpoint


def open_checked(base: Path | StreamedBase) -> Checkpoint:
    """The base model of a package: opened, and its tokenizer checked to be the same in llama.cpp.

    Args:
        base: its directory, or a streamed base whose files of weights are verified.

    Raises:
        InputError: the base model or its tokenizer is invalid.
    """
    checkpoint = open_checkpoint(base)
    check_tokenizer(checkpoint.folder, checkpoint.architecture)
    return checkpoint


def open_base(base: Path | Checkpoint) -> Checkpoint:
    """The base model of a request, opened unless it is already.

    Raises:
        InputError: the base model is invalid.
    """
    return base if isinstance(base, Checkpoint) else open_checkpoint(base)
