"""The stored copy of a tied output layer.

A ``config.json`` ties the output layer to the embedding, and yet the weights hold both. If they are equal,
nothing is lost. If they differ, transformers 5 does not tie them and uses both, against its own config, while
llama.cpp has only what the GGUF file holds: one of the two is a mistake, and nothing says which.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from starfreight.checkpoint.safetensors import StoredTensor, TensorReader
from starfreight.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_VALUES = 1 << 22
"""Values compared at a time."""


def require_copy(copy: StoredTensor, embedding: StoredTensor) -> None:
    """Check that the output layer of a tied model has the values of its embedding.

    Raises:
        InputError: it differs in shape or in a value.
    """
    if copy.shape != embedding.shape or not _equal(copy, embedding):
        raise InputError(
            f"config.json ties the output layer to the embedding, but the weights hold another {copy.name}.",
            where=copy.where,
            fix="if the model was trained with an output layer of its own, set tie_word_embeddings to false "
            f"in config.json; otherwise remove {copy.name} from the weights",
        )


def _equal(copy: StoredTensor, embedding: StoredTensor) -> bool:
    import numpy as np

    count = embedding.shape[0]
    rows = max(1, _VALUES // max(1, embedding.shape[-1]))
    with TensorReader() as reader:
        return all(
            np.array_equal(
                _float32(reader.rows(copy, start, min(start + rows, count))),
                _float32(reader.rows(embedding, start, min(start + rows, count))),
            )
            for start in range(0, count, rows)
        )


def _float32(values: npt.NDArray[np.generic]) -> npt.NDArray[np.float32]:
    """The values as numbers; 16-bit integers hold bfloat16."""
    import numpy as np

    if values.dtype == np.uint16:
        return (values.astype(np.uint32) << 16).view(np.float32)
    return values.astype(np.float32)
