"""An importance matrix: the relative importance of each column of each weight in quantisation.

    importance = read_importance(Path("imatrix.gguf"))
    importance.weights["blk.0.ffn_up.weight"]      # the mean square of each input, float32

The format is that of llama.cpp's ``llama-imatrix`` (its older ``.dat`` files are not supported): for each
weight ``<name>.in_sum2``, the sum of the squares of its inputs by column, and ``<name>.counts``, the number
of inputs. ``llama-quantize`` passes their quotient to the kernels. Everything in the file is validated
before use.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType, GGUFType, GGUFWriter, Keys

from starfreight.console import human_count
from starfreight.errors import InputError
from starfreight.files import read_limited, sha256_bytes
from starfreight.gguf.keys import read_keys, take, text
from starfreight.packager.press.architectures import TensorPlan
from starfreight.packager.press.kernels import Floats

_LIMIT = 256 << 20
"""In bytes. A model of 15 billion parameters has one of 9 MB."""

_LARGEST = 1e20
"""Inputs of ten billion. The kernels' own sums begin to overflow at 1e30."""

_MOST_TENSORS, _LONGEST_VALUE = 100_000, 127
_SUMS, _COUNTS = ".in_sum2", ".counts"


@dataclass(frozen=True)
class Importance:
    """A validated importance matrix.

    Attributes:
        file: the file's name, without its directory.
        digest: of its bytes.
        dataset: the first data set named in it, if any.
        chunks: number of pieces of text it was computed on.
        weights: by a weight's name in GGUF, one non-negative number per column.
    """

    file: str
    digest: str
    dataset: str | None
    chunks: int
    weights: Mapping[str, Floats]

    def check(self, plans: Sequence[TensorPlan], where: str) -> None:
        """Check that it belongs to the model with these tensors.

        Raises:
            InputError: it names an unknown tensor, or a vector, or has another number of columns.
        """
        by_name = {plan.name: plan for plan in plans}
        fix = "compute it again from the model to be pressed"
        for name, weights in self.weights.items():
            plan = by_name.get(name)
            if plan is None:
                raise InputError(
                    f"The importance matrix belongs to another model: this one has no tensor {name[:100]!r}.",
                    where=where,
                    fix=fix,
                )
            if len(weights) != plan.columns or len(plan.shape) != 2:
                raise InputError(
                    f"The importance matrix belongs to another model: its {name} has {len(weights):,} "
                    f"columns, the model's {plan.columns:,}.",
                    where=where,
                    fix=fix,
                )

    def missing(self, plans: Sequence[TensorPlan]) -> list[str]:
        """The layers' matrices without an entry; they are quantised without weighting."""
        return [
            plan.name
            for plan in plans
            if plan.layer >= 0 and len(plan.shape) == 2 and plan.name not in self.weights
        ]

    def write_keys(self, writer: GGUFWriter) -> None:
        """Add the same keys as ``llama-quantize``, with the file's name instead of its path."""
        writer.add_string("quantize.imatrix.file", _truncated(self.file))
        if self.dataset is not None:
            writer.add_string("quantize.imatrix.dataset", _truncated(self.dataset))
        writer.add_uint32("quantize.imatrix.entries_count", len(self.weights))
        if self.chunks > 0:
            writer.add_uint32("quantize.imatrix.chunks_count", self.chunks)


def read_importance(path: Path) -> Importance:
    """Read an importance matrix.

    Raises:
        InputError: the file cannot be read, or is not a valid importance matrix of a dense model.
    """
    data = read_limited(path, _LIMIT, "importance matrix")
    try:
        return _parse(data, path.name)
    except (ValueError, struct.error) as error:
        raise InputError(
            f"The file is not a valid importance matrix: {error}.",
            where=str(path),
            fix="make it again with llama-imatrix --output-format gguf, "
            "or with package.imatrix in the recipe",
        ) from error


def _parse(data: bytes, file: str) -> Importance:
    stream = io.BytesIO(data)
    header = read_keys(stream)
    count, keys = header.tensors, header.values
    if keys.get(Keys.General.TYPE) != GGUFType.IMATRIX:
        raise ValueError("it is another kind of GGUF file")
    chunks = keys.get(Keys.IMatrix.CHUNK_COUNT)
    if type(chunks) is not int or not 0 <= chunks < 2**32 or Keys.IMatrix.CHUNK_SIZE not in keys:
        raise ValueError("it has no number of chunks or no chunk size")
    alignment = keys.get(Keys.General.ALIGNMENT, 32)
    if type(alignment) is not int or not 0 < alignment <= 1 << 16:
        raise ValueError("its alignment is out of range")
    if not 0 < count <= _MOST_TENSORS:
        raise ValueError(f"it holds {human_count(count, 'tensors')}")
    table = [_entry(stream) for _ in range(count)]
    begin = stream.tell() + -stream.tell() % alignment
    tensors: dict[str, Floats] = {}
    for name, size, offset in table:
        if name in tensors:
            raise ValueError(f"it has {name[:100]!r} twice")
        # Compared as Python integers, which cannot overflow.
        if offset % alignment or begin + offset + 4 * size > len(data):
            raise ValueError(f"{name[:100]!r} extends beyond the file")
        tensors[name] = np.frombuffer(data, "<f4", size, begin + offset)
    dataset = header.texts.get(Keys.IMatrix.DATASETS)
    return Importance(file, sha256_bytes(data), dataset, chunks, _weights(tensors))


def _entry(stream: io.BytesIO) -> tuple[str, int, int]:
    """Name, number of elements and offset of the next tensor of the table."""
    name = text(stream)
    (dimensions,) = struct.unpack("<I", take(stream, 4))
    if not 0 < dimensions <= 4:
        raise ValueError(f"{name[:100]!r} has {dimensions:,} dimensions")
    sizes = struct.unpack(f"<{dimensions}Q", take(stream, 8 * dimensions))
    kind, offset = struct.unpack("<IQ", take(stream, 12))
    if kind != GGMLQuantizationType.F32:
        raise ValueError(f"{name[:100]!r} is not stored as F32")
    if any(size != 1 for size in sizes[1:]) or not prod(sizes):
        raise ValueError(f"{name[:100]!r} is not one row of numbers")
    return name, sizes[0], offset


def _weights(tensors: Mapping[str, Floats]) -> dict[str, Floats]:
    """The mean squares: sums divided by counts in float32, or 1 for a count of zero (as llama.cpp)."""
    names = {name.removesuffix(_SUMS) for name in tensors if name.endswith(_SUMS)}
    counted = {name.removesuffix(_COUNTS) for name in tensors if name.endswith(_COUNTS)}
    if names != counted:
        odd = min(names ^ counted)
        raise ValueError(f"{odd[:100]!r} has sums or counts, but not both")
    if not names:
        raise ValueError("it holds no sums of squares")
    made = {}
    for name in sorted(names):
        sums, counts = tensors[name + _SUMS], tensors[name + _COUNTS]
        if len(counts) != 1 or not 0 <= counts[0] < 2**62:
            raise ValueError(f"{name[:100]!r} has an invalid count")
        if not bool(np.isfinite(sums).all()) or bool((sums < 0).any()):
            raise ValueError(f"{name[:100]!r} has a sum of squares that is negative or not finite")
        if not bool(sums.any()):
            # The kernels would store only zeros.
            raise ValueError(f"{name[:100]!r} has no sum of squares above zero")
        count = np.float32(np.floor(float(counts[0]) + 0.5))
        made[name] = sums / count if count > 0 else np.ones_like(sums)
        if made[name].max() > _LARGEST:
            raise ValueError(f"{name[:100]!r} has a sum of squares that is too large")
    if not any(tensors[name + _COUNTS][0] >= 0.5 for name in names):
        raise ValueError("no input was counted")
    return made


def _truncated(value: str) -> str:
    """A text truncated as llama.cpp's quantiser does."""
    return value.encode("utf-8", "replace")[:_LONGEST_VALUE].decode("utf-8", "ignore")
