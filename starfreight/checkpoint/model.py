"""Open a base model's directory: its shape, and the location of each weight."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from starfreight.checkpoint.config import read_config
from starfreight.checkpoint.files import INDEX_NAME, inside, require_directory, weight_files
from starfreight.checkpoint.layout import TIED_COPY, Architecture, ModelShape, expected_tensors
from starfreight.checkpoint.safetensors import StoredTensor, read_header
from starfreight.checkpoint.streamed_base import (
    StreamedBase,
    StreamedWeights,
    folder_of,
    streamed_sizes,
    weights_of,
)
from starfreight.checkpoint.tied_copy import require_copy
from starfreight.errors import InputError

WEIGHT_DTYPES = ("F32", "F16", "BF16")
"""The supported dtypes of weights."""

_FIX = "use the model's directory as published by its authors, complete and unchanged"


@dataclass(frozen=True)
class Checkpoint:
    """A base model with exactly the expected weights.

    Attributes:
        folder: its directory; of a streamed base, that of all but its weights.
        shape: its architecture and dimensions; the dtype is the embedding's.
        tensors: exactly the weights of the architecture, under transformers' names.
        streamed: the weights of a streamed base.
    """

    folder: Path
    shape: ModelShape
    tensors: Mapping[str, StoredTensor]
    streamed: StreamedWeights | None = None

    @property
    def architecture(self) -> Architecture:
        """``starcoder2`` or ``starcoder``."""
        return self.shape.architecture


def open_checkpoint(base: Path | StreamedBase) -> Checkpoint:
    """Read config and headers of a model and check them against each other.

    Reads no weights, except for a tied model with a stored copy of its output layer: both are compared.

    Args:
        base: the model's directory, or a streamed base whose files of weights are verified.

    Raises:
        InputError: the model is invalid; names the file and the tensor.
    """
    folder = folder_of(base)
    require_directory(folder)
    shape = read_config(inside(folder, "config.json"))
    stored = _stored_tensors(base)
    expected = expected_tensors(shape)
    copy = stored.pop(TIED_COPY, None) if shape.tied else None
    for name, size in expected.items():
        if name not in stored:
            raise InputError("A weight of the model is missing.", where=f"{folder}: {name}", fix=_FIX)
        tensor = stored[name]
        if tensor.shape != size:
            raise InputError(
                f"The tensor has the shape {list(tensor.shape)}; config.json implies {list(size)}.",
                where=tensor.where,
                fix=_FIX,
            )
        if tensor.dtype not in WEIGHT_DTYPES:
            raise InputError(
                f"The tensor has the dtype {tensor.dtype}; weights must be " + ", ".join(WEIGHT_DTYPES) + ".",
                where=tensor.where,
                fix="use the original weights of the model, not a quantised copy",
            )
    for name in stored:
        if name not in expected:
            raise InputError(
                f"The tensor does not belong to a {shape.architecture} model of this config.json.",
                where=stored[name].where,
                fix=_FIX,
            )
    embedding = stored[next(iter(expected))]
    if copy is not None:
        require_copy(copy, embedding)
    dtype = embedding.dtype
    tensors = {name: stored[name] for name in expected}
    return Checkpoint(folder, replace(shape, dtype=dtype), tensors, weights_of(base))


def _stored_tensors(base: Path | StreamedBase) -> dict[str, StoredTensor]:
    """All tensors of all shards, each in exactly one shard, as listed in the index."""
    folder = folder_of(base)
    files, index = weight_files(base)
    stored: dict[str, StoredTensor] = {}
    for path in files:
        streamed = weights_of(base) if path.name in streamed_sizes(base) else None
        for name, tensor in read_header(path, streamed).items():
            if name in stored:
                raise InputError(
                    f"Two files hold the same tensor: {stored[name].file.name} and {path.name}.",
                    where=tensor.where,
                    fix=_FIX,
                )
            stored[name] = tensor
    if index is None:
        return stored
    for name, file in index.items():
        if name not in stored or stored[name].file.name != file:
            raise InputError(
                f"According to the index, {file} holds this tensor, but it does not.",
                where=f"{folder / INDEX_NAME}: {name[:200]}",
                fix=_FIX,
            )
    unlisted = sorted(set(stored) - set(index))
    if unlisted:
        raise InputError(
            "The index does not list a tensor of this shard.", where=stored[unlisted[0]].where, fix=_FIX
        )
    return stored
