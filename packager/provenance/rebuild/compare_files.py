"""Find the first part in which two GGUF files differ: a key, or a tensor."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from gguf import GGML_QUANT_SIZES
from gguf.quants import dequantize

from starfreight.console import human_count
from starfreight.packager.provenance.rebuild.gguf_parts import GgufParts, Tensor, read_parts

_BLOCKS = 1 << 15
"""Blocks of a tensor compared at a time."""
_SHOWN = 80
_NAMED = 20


@dataclass(frozen=True)
class FileDifference:
    """Differences between a published file and the rebuilt one.

    Attributes:
        part: ``key``, ``tensor`` or ``bytes``.
        name: of the first key or tensor that differs; of ``bytes``, empty.
        offset: of the first differing byte of that part in the published file; ``None`` if it is absent.
        what: completes the sentence "The <part> <name> ...".
        keys: names of the differing keys, at most 20.
        keys_differing: their number.
        tensors: names of the differing tensors, at most 20.
        tensors_differing: their number.
        tensors_compared: number of tensors in both files.
        weights_differing: number of weights with another value.
        largest: largest difference of a weight; ``None`` if no weights differ, or some cannot be decoded.
    """

    part: str
    name: str
    offset: int | None
    what: str
    keys: tuple[str, ...] = ()
    keys_differing: int = 0
    tensors: tuple[str, ...] = ()
    tensors_differing: int = 0
    tensors_compared: int = 0
    weights_differing: int = 0
    largest: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return asdict(self)

    def as_lines(self) -> list[str]:
        """For people."""
        place = f", at byte {self.offset:,}" if self.offset is not None else ""
        name = f" {self.name}" if self.name else ""
        lines = [f"first difference: the {self.part}{name} {self.what}{place}"]
        if self.keys_differing:
            verb = "differs" if self.keys_differing == 1 else "differ"
            lines.append(f"{human_count(self.keys_differing, 'keys')} {verb}: {', '.join(self.keys)}")
        if self.tensors_differing:
            verb = "differs" if self.tensors_differing == 1 else "differ"
            found = f"{self.tensors_differing:,} of {human_count(self.tensors_compared, 'tensors')} {verb}"
            if self.largest is not None:
                found += (
                    f", {human_count(self.weights_differing, 'weights')}, by at most {self.largest:.3g}"
                    if self.weights_differing
                    else ", but all weights have the same values"
                )
            lines.append(found)
        return lines


def compare_files(published: Path, rebuilt: Path) -> FileDifference | None:
    """Compare two GGUF files part by part, in the order of the published one.

    Returns:
        ``None`` if their bytes are the same.

    Raises:
        ValueError: one of them is not a valid GGUF file.
        OSError: one of them cannot be read.
    """
    before, after = read_parts(published), read_parts(rebuilt)
    keys = list(_keys(before, after))
    table = list(_table(before, after))
    compared = _Tensors(published, rebuilt)
    for name, tensor in before.tensors.items():
        other = after.tensors.get(name)
        if other is not None and (tensor.kind, tensor.shape) == (other.kind, other.shape):
            compared.add(name, tensor, other)
    first = next(iter([*keys, *table, *compared.found]), None) or _other_bytes(published, rebuilt)
    if first is None:
        return None
    part, name, offset, what = first
    differing = [each[1] for each in table] + [each[1] for each in compared.found]
    return FileDifference(
        part,
        name,
        offset,
        what,
        tuple(each[1] for each in keys[:_NAMED]),
        len(keys),
        tuple(differing[:_NAMED]),
        len(differing),
        len(before.tensors.keys() & after.tensors.keys()),
        compared.weights,
        compared.largest,
    )


_First = tuple[str, str, int | None, str]


def _keys(before: GgufParts, after: GgufParts) -> Iterator[_First]:
    for name, key in before.keys.items():
        other = after.keys.get(name)
        if other is None:
            yield (
                "key",
                name,
                key.offset,
                f"is {_shown(key.shown)} in the published file, missing in the rebuilt one",
            )
        elif other.digest != key.digest:
            what = f"is {_shown(key.shown)} in the published file, {_shown(other.shown)} in the rebuilt one"
            if key.shown == other.shown:
                what = f"({key.shown[:_SHOWN]}) has other contents"
            yield "key", name, key.offset, what
    for name, key in after.keys.items():
        if name not in before.keys:
            yield (
                "key",
                name,
                None,
                f"is missing in the published file, {_shown(key.shown)} in the rebuilt one",
            )


def _table(before: GgufParts, after: GgufParts) -> Iterator[_First]:
    for name, tensor in before.tensors.items():
        other = after.tensors.get(name)
        if other is None:
            yield "tensor", name, tensor.offset, "is missing in the rebuilt file"
        elif (tensor.kind, tensor.shape) != (other.kind, other.shape):
            yield (
                "tensor",
                name,
                tensor.offset,
                f"is {_form(tensor)} in the published file, {_form(other)} in the rebuilt one",
            )
    for name in after.tensors:
        if name not in before.tensors:
            yield "tensor", name, None, "is missing in the published file"


class _Tensors:
    """Compares the weights of tensors of one form."""

    def __init__(self, published: Path, rebuilt: Path) -> None:
        self._published, self._rebuilt = published, rebuilt
        self.found: list[_First] = []
        self.weights = 0
        self.largest: float | None = None

    def add(self, name: str, tensor: Tensor, other: Tensor) -> None:
        _, size = GGML_QUANT_SIZES[tensor.kind]
        first = None
        with self._published.open("rb") as one, self._rebuilt.open("rb") as two:
            one.seek(tensor.offset)
            two.seek(other.offset)
            for start in range(0, tensor.size, _BLOCKS * size):
                count = min(_BLOCKS * size, tensor.size - start)
                a, b = (np.frombuffer(stream.read(count), np.uint8) for stream in (one, two))
                if len(a) != count or len(b) != count:
                    raise ValueError("it is cut short")
                if np.array_equal(a, b):
                    continue
                if first is None:
                    first = tensor.offset + start + int(np.argmax(a != b))
                rows = (a.reshape(-1, size) != b.reshape(-1, size)).any(axis=1)
                self._measure(a.reshape(-1, size)[rows], b.reshape(-1, size)[rows], tensor)
        if first is not None:
            self.found.append(("tensor", name, first, f"({tensor.kind.name}) has other weights"))

    def _measure(self, a: Any, b: Any, tensor: Tensor) -> None:
        try:
            one, two = (np.asarray(dequantize(each, tensor.kind), np.float64) for each in (a, b))
        except NotImplementedError:
            return
        with np.errstate(invalid="ignore"):
            apart = np.abs(one - two)
        self.weights += int((apart != 0).sum())
        # Not a number: one of the files has it, which is as large a difference as can be.
        self.largest = max(
            self.largest or 0.0, float(np.nan_to_num(apart, nan=np.finfo(np.float64).max).max())
        )


def _other_bytes(published: Path, rebuilt: Path) -> _First | None:
    """The first differing byte of files with the same parts: their order, or the padding."""
    with published.open("rb") as one, rebuilt.open("rb") as two:
        position = 0
        while True:
            a, b = one.read(1 << 20), two.read(1 << 20)
            if a != b:
                place = next(
                    (n for n, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b))
                )
                what = "between the keys and tensors differ: their order, or the padding"
                return "bytes", "", position + place, what
            if not a:
                return None
            position += len(a)


def _form(tensor: Tensor) -> str:
    return f"{tensor.kind.name} of {'x'.join(map(str, tensor.shape))}"


def _shown(value: str) -> str:
    return repr(value if len(value) <= _SHOWN else value[:_SHOWN] + "...")
