"""Opening a base model's folder: its shape, and where each of its weights lies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from starfreight.checkpoint.config import read_config
from starfreight.checkpoint.files import INDEX_NAME, inside, weight_files
from starfreight.checkpoint.layout import TIED_COPY, Architecture, ModelShape, expected_tensors
from starfreight.checkpoint.safetensors import StoredTensor, read_header
from starfreight.errors import InputError

WEIGHT_DTYPES = ("F32", "F16", "BF16")
"""The dtypes that weights may have."""

_FIX = "use the folder of the model as its authors published it, complete and unchanged"


@dataclass(frozen=True)
class Checkpoint:
    """A base model whose every weight is where it should be.

    Attributes:
        folder: where it lies.
        shape: its architecture and size; the dtype is the one its embedding is stored in.
        tensors: its weights under transformers' names, exactly those that the architecture has.
    """

    folder: Path
    shape: ModelShape
    tensors: Mapping[str, StoredTensor]

    @property
    def architecture(self) -> Architecture:
        """``starcoder2`` or ``starcoder``."""
        return self.shape.architecture


def open_checkpoint(folder: Path) -> Checkpoint:
    """Reads config and headers of a model's folder and checks that both agree. Reads no weights.

    Raises:
        InputError: anything about it that is not as it must be, naming the file and the tensor.
    """
    if not folder.is_dir():
        what = "is not a folder" if folder.exists() else "does not exist"
        raise InputError(f"The base model {what}.", where=str(folder), fix="check the path")
    shape = read_config(inside(folder, "config.json"))
    stored = _stored_tensors(folder)
    expected = expected_tensors(shape)
    if shape.tied:
        stored.pop(TIED_COPY, None)
    for name, size in expected.items():
        if name not in stored:
            raise InputError("A weight of the model is missing.", where=f"{folder}: {name}", fix=_FIX)
        tensor = stored[name]
        if tensor.shape != size:
            raise InputError(
                f"The tensor has the shape {list(tensor.shape)}, but config.json asks for {list(size)}.",
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
    dtype = stored[next(iter(expected))].dtype
    return Checkpoint(folder, replace(shape, dtype=dtype), {name: stored[name] for name in expected})


def _stored_tensors(folder: Path) -> dict[str, StoredTensor]:
    """All tensors of all shards, each in exactly one, and where the index says so."""
    files, index = weight_files(folder)
    stored: dict[str, StoredTensor] = {}
    for path in files:
        for name, tensor in read_header(path).items():
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
                f"The index says that {file} holds this tensor, but it does not.",
                where=f"{folder / INDEX_NAME}: {name[:200]}",
                fix=_FIX,
            )
    unlisted = sorted(set(stored) - set(index))
    if unlisted:
        raise InputError(
            "A shard holds a tensor that the index does not list.", where=stored[unlisted[0]].where, fix=_FIX
        )
    return stored
