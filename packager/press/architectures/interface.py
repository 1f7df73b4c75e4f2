"""Interface of an architecture: its tensors and metadata in GGUF."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import TYPE_CHECKING, Protocol

from starfreight.checkpoint.layout import expected_tensors

if TYPE_CHECKING:
    from gguf import GGUFWriter

    from starfreight.checkpoint import ModelShape


class Role(Enum):
    """The function of a tensor, as far as llama.cpp's choice of type depends on it."""

    TOKEN_EMBEDDING = auto()
    POSITION_EMBEDDING = auto()
    OUTPUT = auto()
    VALUE = auto()
    """The value projection, alone or fused with query and key."""
    ATTENTION_OUTPUT = auto()
    """The projection out of the attention block."""
    DOWN = auto()
    """The projection out of the feed-forward block."""
    MATRIX = auto()
    """Any other matrix."""
    VECTOR = auto()
    """Norms and biases."""


@dataclass(frozen=True)
class TensorPlan:
    """The conversion of one tensor from the checkpoint to the GGUF file.

    Attributes:
        name: in the GGUF file.
        source: in the checkpoint.
        shape: (rows, columns) of a matrix or (columns,), as in the checkpoint.
        role: decides its type.
        layer: the decoder layer it belongs to; -1 outside the layers.
    """

    name: str
    source: str
    shape: tuple[int, ...]
    role: Role
    layer: int = -1

    @property
    def rows(self) -> int:
        """Rows, 1 for a vector."""
        return self.shape[0] if len(self.shape) == 2 else 1

    @property
    def columns(self) -> int:
        """The length of a row."""
        return self.shape[-1]

    @property
    def elements(self) -> int:
        """Number of elements."""
        return self.rows * self.columns


class ArchitecturePlan(Protocol):
    """One architecture: the mapping of its tensors, and the keys describing it."""

    pre_tokenizer: str
    """llama.cpp's name for the pre-tokenizer."""

    def tensors(self, shape: ModelShape) -> tuple[TensorPlan, ...]:
        """Every tensor of the GGUF file, in the order of llama.cpp's quantiser."""
        ...

    def write_metadata(self, writer: GGUFWriter, shape: ModelShape) -> None:
        """Add the keys describing the shape, as llama.cpp's converter does."""
        ...


Names = Mapping[str, tuple[str, Role]]
"""A module's name in transformers, and its name and role in llama.cpp."""


def plan_tensors(
    shape: ModelShape, outside: Names, layer_prefix: str, in_layer: Names
) -> tuple[TensorPlan, ...]:
    """Every tensor of a model, in the order of llama.cpp's quantiser.

    The order is by layer, tensors outside the layers first, then by name.

    Args:
        shape: the model's shape.
        outside: the modules outside the layers.
        layer_prefix: the prefix of a layer's number in transformers.
        in_layer: the modules of a layer, without prefix and number.
    """
    plans = []
    for source, size in expected_tensors(shape).items():
        module, kind = source.rsplit(".", 1)
        layer = -1
        if module in outside:
            name, role = outside[module]
        else:
            number, inner = module.removeprefix(layer_prefix).split(".", 1)
            layer = int(number)
            name, role = in_layer[inner]
            name = f"blk.{layer}.{name}"
        plans.append(
            TensorPlan(f"{name}.{kind}", source, size, role if len(size) == 2 else Role.VECTOR, layer)
        )
    return tuple(sorted(plans, key=lambda plan: (plan.layer, plan.name)))
