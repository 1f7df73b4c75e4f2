"""Operations on vectors in compiled functions, besides the operators."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.core.errors import RequireLiteralValue
from numba.core.typing import signature
from numba.extending import intrinsic

from starfreight.packager.press.kernels.lanes.vectors import FLOATS, INTS, LANES, MASK, VectorType, call

TILE = 16
"""Rows and columns of the squares turned by :func:`transpose`."""

_I32 = ir.IntType(32)


def primitive(function: Callable[..., Any]) -> Callable[..., Any]:
    """Make a function callable in compiled code.

    Args:
        function: returns, for the types of its arguments, a signature and a function emitting code.
    """
    made: Callable[..., Any] = intrinsic(function)
    return made


def inlined(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a part of a kernel. With NumPy's error model, divisions by zero give infinities."""
    made: Callable[..., Any] = njit(error_model="numpy", forceinline=True)(function)
    return made


def _address(context: Any, builder: Any, array: Any, value: Any, index: Any, item: Any) -> Any:
    """The address of an ``item`` of an array, given as type and value."""
    data = context.make_array(array)(context, builder, value).data
    return builder.bitcast(builder.gep(data, [index]), item.as_pointer())


def _shuffle(builder: Any, first: Any, second: Any, order: list[int]) -> Any:
    return builder.shuffle_vector(first, second, ir.Constant(ir.VectorType(_I32, len(order)), order))


@primitive
def splat(typing: Any, number: Any) -> Any:
    """A vector with the same float32 or int32 in each lane."""
    kind = {types.float32: FLOATS, types.int32: INTS}.get(number)
    if kind is None:
        return None

    def emit(context: Any, builder: Any, sig: Any, args: list[Any]) -> Any:
        none = ir.Constant(kind.llvm, ir.Undefined)
        return _shuffle(builder, builder.insert_element(none, args[0], _I32(0)), none, [0] * LANES)

    return signature(kind, number), emit


@primitive
def load(typing: Any, array: Any, start: Any) -> Any:
    """Float32 of a contiguous array, from index ``start`` on."""

    def emit(context: Any, builder: Any, sig: Any, args: list[Any]) -> Any:
        return builder.load(_address(context, builder, array, args[0], args[1], FLOATS.llvm), align=4)

    return signature(FLOATS, array, types.intp), emit


@primitive
def store(typing: Any, array: Any, start: Any, vector: Any) -> Any:
    """Write floats to an array of float32, or the low eight bits of integers to one of bytes."""

    def emit(context: Any, builder: Any, sig: Any, args: list[Any]) -> Any:
        value, item, align = args[2], FLOATS.llvm, 4
        if vector == INTS:
            item, align = ir.VectorType(ir.IntType(8), LANES), 1
            value = builder.trunc(value, item)
        builder.store(value, _address(context, builder, array, args[0], args[1], item), align=align)
        return context.get_dummy_value()

    return signature(types.none, array, types.intp, vector), emit


@primitive
def spread(typing: Any, array: Any, start: Any, copies: Any) -> Any:
    """Numbers of an array of float32 from index ``start`` on, each in ``copies`` lanes (a literal)."""
    if not isinstance(copies, types.IntegerLiteral):
        raise RequireLiteralValue(copies)

    def emit(context: Any, builder: Any, sig: Any, args: list[Any]) -> Any:
        vector = ir.Constant(FLOATS.llvm, ir.Undefined)
        count = max(1, LANES // copies.literal_value)
        for number in range(count):
            index = builder.add(args[1], ir.IntType(64)(number))
            one = builder.load(_address(context, builder, array, args[0], index, ir.FloatType()))
            vector = builder.insert_element(vector, one, _I32(number))
        order = [lane * count // LANES for lane in range(LANES)]
        return _shuffle(builder, vector, vector, order)

    return signature(FLOATS, array, types.intp, copies), emit


@primitive
def transpose(typing: Any, values: Any, start: Any, step: Any, columns: Any, at: Any) -> Any:
    """Transpose a square of float32 with rows ``step`` apart; the results are :data:`LANES` apart."""
    tile = ir.VectorType(ir.FloatType(), TILE)

    def emit(context: Any, builder: Any, sig: Any, args: list[Any]) -> Any:
        def place(array: Any, value: Any, first: Any, apart: Any, row: int) -> Any:
            index = builder.add(first, builder.mul(apart, ir.IntType(64)(row)))
            return _address(context, builder, array, value, index, tile)

        rows = [builder.load(place(values, args[0], args[1], args[2], row), align=4) for row in range(TILE)]
        # Square by square: swap the upper right quarter of each with its lower left.
        half = TILE // 2
        while half:
            first = [lane if not lane & half else TILE + lane - half for lane in range(TILE)]
            second = [lane + half if not lane & half else TILE + lane for lane in range(TILE)]
            for row in (row for row in range(TILE) if not row & half):
                upper, lower = rows[row], rows[row + half]
                rows[row] = _shuffle(builder, upper, lower, first)
                rows[row + half] = _shuffle(builder, upper, lower, second)
            half //= 2
        apart = ir.IntType(64)(LANES)
        for row, vector in enumerate(rows):
            builder.store(vector, place(columns, args[3], args[4], apart, row), align=4)
        return context.get_dummy_value()

    return signature(types.none, values, types.intp, types.intp, columns, types.intp), emit


@primitive
def select(typing: Any, mask: Any, yes: Any, no: Any) -> Any:
    """``yes`` in the lanes with the mask set and ``no`` in the others."""
    if mask != MASK or yes != no:
        return None
    return signature(yes, mask, yes, no), lambda context, builder, sig, args: builder.select(*args)


@primitive
def bits(typing: Any, number: Any) -> Any:
    """The bits of a float32, or of a vector of them, as int32."""
    result = {FLOATS: INTS, types.float32: types.int32}.get(number)
    if result is None:
        return None
    llvm = INTS.llvm if number == FLOATS else _I32
    return signature(result, number), lambda context, builder, sig, args: builder.bitcast(args[0], llvm)


@primitive
def from_bits(typing: Any, number: Any) -> Any:
    """The float32 with these bits (an int32)."""
    form = signature(types.float32, types.int32)
    return form, lambda context, builder, sig, args: builder.bitcast(args[0], ir.FloatType())


@primitive
def to_floats(typing: Any, vector: Any) -> Any:
    """Integers as float32."""
    return _simple(INTS, FLOATS, vector, lambda builder, value: builder.sitofp(value, FLOATS.llvm))


@primitive
def to_integers(typing: Any, vector: Any) -> Any:
    """Floats with integer values as int32."""
    return _simple(FLOATS, INTS, vector, lambda builder, value: builder.fptosi(value, INTS.llvm))


@primitive
def square_root(typing: Any, vector: Any) -> Any:
    """The square root in each lane, correctly rounded."""
    return _simple(FLOATS, FLOATS, vector, lambda builder, value: call(builder, "llvm.sqrt", FLOATS, [value]))


def _simple(takes: VectorType, gives: VectorType, kind: Any, emit: Callable[[Any, Any], Any]) -> Any:
    if kind != takes:
        return None
    return signature(gives, takes), lambda context, builder, sig, args: emit(builder, args[0])


@primitive
def between(typing: Any, low: Any, vector: Any, high: Any) -> Any:
    """Integers clamped to ``low`` and ``high``."""
    if (low, vector, high) != (INTS, INTS, INTS):
        return None

    def emit(context: Any, builder: Any, sig: Any, args: list[Any]) -> Any:
        return call(
            builder, "llvm.smax", INTS, [call(builder, "llvm.smin", INTS, [args[1], args[2]]), args[0]]
        )

    return signature(INTS, INTS, INTS, INTS), emit


@primitive
def any_lane(typing: Any, mask: Any) -> Any:
    """True if a mask is set in any lane."""
    if mask != MASK:
        return None

    def emit(context: Any, builder: Any, sig: Any, args: list[Any]) -> Any:
        whole = builder.bitcast(args[0], ir.IntType(LANES))
        return builder.icmp_unsigned("!=", whole, ir.IntType(LANES)(0))

    return signature(types.boolean, MASK), emit
