"""A vector type for numba: numbers side by side, one sub-block in each lane.

numba's own vectoriser works on loops and has to guess; here a kernel states explicitly what runs side by side
and keeps its sums in registers. ``a + b`` on vectors becomes LLVM's ``fadd <32 x float>``, without any
flag that would allow LLVM to reorder or contract: each lane computes exactly as a scalar routine would,
in the same order. LLVM splits a vector into registers of the CPU's width, so the results are the same with
AVX-512, AVX2, SSE2 or NEON.

The three kinds are :data:`FLOATS` (float32), :data:`INTS` (int32) and :data:`MASK` (one bit). In compiled
functions floats take ``+ - * /``, comparisons, ``abs`` and a sign, integers ``+ - & | << >>``, and masks
``& |``; everything else is in :mod:`starfreight.packager.press.kernels.lanes.operations`.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from llvmlite.binding import get_host_cpu_features
from numba import types
from numba.core import config
from numba.core.cgutils import get_or_insert_function
from numba.core.typing import signature
from numba.core.typing.templates import AbstractTemplate, infer_global
from numba.extending import lower_builtin, models, register_model


def _lanes() -> int:
    """With AVX-512 two registers, so one computes while the other waits. Other CPUs have few registers."""
    cross = config.CPU_NAME is not None  # NUMBA_CPU_NAME: compile for a CPU other than the host
    return 32 if not cross and get_host_cpu_features().get("avx512f") else 16


LANES = _lanes()
"""Numbers in a vector: 16 or 32."""

_ELEMENTS: dict[str, Any] = {"float32": ir.FloatType(), "int32": ir.IntType(32), "mask": ir.IntType(1)}


class VectorType(types.Type):  # type: ignore[misc, unused-ignore]
    """The type of a vector in compiled code."""

    def __init__(self, element: str) -> None:
        """Create the type of ``float32``, ``int32`` or ``mask``."""
        self.llvm = ir.VectorType(_ELEMENTS[element], LANES)
        super().__init__(name=f"Vector({LANES} x {element})")


FLOATS = VectorType("float32")
INTS = VectorType("int32")
MASK = VectorType("mask")


class _Model(models.PrimitiveModel):  # type: ignore[misc, unused-ignore]
    """A vector is kept unchanged, in a register if possible."""

    def __init__(self, manager: Any, kind: VectorType) -> None:
        super().__init__(manager, kind, kind.llvm)


register_model(VectorType)(_Model)

_Emit = Callable[[Any, list[Any]], Any]
"""Adds instructions to a builder for these arguments, and returns the result."""


def call(builder: Any, name: str, kind: VectorType, arguments: list[Any]) -> Any:
    """Call an LLVM function that takes and returns vectors of one kind, such as ``llvm.sqrt``."""
    form = ir.FunctionType(kind.llvm, [kind.llvm] * len(arguments))
    full = f"{name}.v{LANES}{'f32' if kind == FLOATS else 'i32'}"
    return builder.call(get_or_insert_function(builder.module, form, full), arguments)


def _teach(function: Any, arguments: tuple[VectorType, ...], result: VectorType, emit: _Emit) -> None:
    """Define a Python operator on vectors for numba."""

    def generic(_: Any, args: tuple[Any, ...], kws: Any) -> Any:
        return signature(result, *arguments) if not kws and args == arguments else None

    template = type("VectorOperation", (AbstractTemplate,), {"key": function, "generic": generic})
    infer_global(function)(template)

    def lower(context: Any, builder: Any, sig: Any, args: list[Any]) -> Any:
        return emit(builder, args)

    lower_builtin(function, *arguments)(lower)


def _instruction(name: str) -> _Emit:
    return lambda builder, args: getattr(builder, name)(*args)


def _comparison(name: str, sign: str) -> _Emit:
    return lambda builder, args: getattr(builder, name)(sign, *args)


_FLOAT_INSTRUCTIONS: dict[Any, str] = {
    operator.add: "fadd", operator.sub: "fsub", operator.mul: "fmul", operator.truediv: "fdiv",
}  # fmt: skip
_INTEGER_INSTRUCTIONS: dict[Any, str] = {
    operator.add: "add", operator.sub: "sub", operator.and_: "and_", operator.or_: "or_",
    operator.lshift: "shl", operator.rshift: "ashr",
}  # fmt: skip
_MASK_INSTRUCTIONS: dict[Any, str] = {operator.and_: "and_", operator.or_: "or_"}
_ORDERS: dict[Any, str] = {
    operator.lt: "<", operator.le: "<=", operator.gt: ">", operator.ge: ">=", operator.eq: "==",
}  # fmt: skip

for _kind, _table in (
    (FLOATS, _FLOAT_INSTRUCTIONS),
    (INTS, _INTEGER_INSTRUCTIONS),
    (MASK, _MASK_INSTRUCTIONS),
):
    for _function, _name in _table.items():
        _teach(_function, (_kind, _kind), _kind, _instruction(_name))
for _function, _sign in _ORDERS.items():
    _teach(_function, (FLOATS, FLOATS), MASK, _comparison("fcmp_ordered", _sign))
_teach(operator.ne, (FLOATS, FLOATS), MASK, _comparison("fcmp_unordered", "!="))
_teach(operator.neg, (FLOATS,), FLOATS, _instruction("fneg"))
_teach(abs, (FLOATS,), FLOATS, lambda builder, args: call(builder, "llvm.fabs", FLOATS, args))
