"""The size of a GGUF file, predicted from the model's shape alone."""

from __future__ import annotations

from starfreight.checkpoint import ModelShape
from starfreight.packager.press.architectures import architecture_plan
from starfreight.packager.press.metadata import ALIGNMENT
from starfreight.packager.press.tensor_types import tensor_bytes, tensor_type
from starfreight.quantization import Quantization

_BYTES_PER_TOKEN = 40
"""A token, its type and about one merge in the header, measured on StarCoder2's vocabulary."""


def predict_size(shape: ModelShape, quantization: Quantization | str, *, imatrix: bool = False) -> int:
    """The size in bytes: exact for the weights, an estimate for the header (a few MB at most).

    Args:
        shape: of the model.
        quantization: of the file.
        imatrix: true for a file made with an importance matrix, which changes the type of some tensors.

    Raises:
        RecipeError: the quantization is unknown.
    """
    chosen = Quantization.parse(quantization)
    total = 4096 + shape.vocab_size * _BYTES_PER_TOKEN
    for plan in architecture_plan(shape.architecture).tensors(shape):
        size = tensor_bytes(plan, tensor_type(plan, shape, chosen, imatrix=imatrix))
        total += size + -size % ALIGNMENT + len(plan.name) + 24 + 8 * len(plan.shape)
    return total
