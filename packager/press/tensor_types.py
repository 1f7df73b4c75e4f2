"""The type of each tensor in a file of a quantization, by llama.cpp's rules.

Source: ``llama_tensor_get_type`` in llama.cpp's ``src/llama-quant.cpp``; a test compares the result with
``llama_model_quantize`` itself, with and without an importance matrix. One rule goes further: where
llama.cpp gives up because rows are not whole blocks of the type, the matrix is stored as F16.
"""

from __future__ import annotations

from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

from starfreight.checkpoint import ModelShape
from starfreight.packager.press.architectures import Role, TensorPlan
from starfreight.quantization import Quantization

Type = GGMLQuantizationType
Q = Quantization

_MATRIX = {
    Q.F32: Type.F32,
    Q.F16: Type.F16,
    Q.BF16: Type.BF16,
    Q.Q8_0: Type.Q8_0,
    Q.Q6_K: Type.Q6_K,
    Q.Q5_K_M: Type.Q5_K,
    Q.Q5_K_S: Type.Q5_K,
    Q.Q5_0: Type.Q5_0,
    Q.Q4_K_M: Type.Q4_K,
    Q.Q4_K_S: Type.Q4_K,
    Q.Q4_0: Type.Q4_0,
    Q.IQ4_NL: Type.IQ4_NL,
    Q.IQ4_XS: Type.IQ4_XS,
    Q.Q3_K_M: Type.Q3_K,
    Q.Q3_K_S: Type.Q3_K,
    Q.Q2_K: Type.Q2_K,
}
"""The type of a matrix not covered by a special rule."""

_PLAIN_OUTPUT = (Q.F32, Q.F16, Q.BF16, Q.Q8_0)
"""Quantizations whose output layer is stored like every other matrix; in the others it gets Q6_K."""

_SHORT_ROWS = {
    Type.Q2_K: Type.Q4_0,
    Type.Q3_K: Type.Q4_0,
    Type.Q4_K: Type.Q5_0,
    Type.Q5_K: Type.Q5_1,
    Type.Q6_K: Type.Q8_0,
    Type.IQ4_XS: Type.IQ4_NL,
}
"""Types in blocks of 256, and their replacements in blocks of 32."""


def tensor_type(
    plan: TensorPlan, shape: ModelShape, quantization: Quantization, *, imatrix: bool = False
) -> GGMLQuantizationType:
    """The type of one tensor in the file of one quantization, with or without an importance matrix."""
    if plan.role in (Role.VECTOR, Role.POSITION_EMBEDDING):
        return Type.F32
    is_output = plan.role is Role.OUTPUT or (plan.role is Role.TOKEN_EMBEDDING and shape.tied)
    wanted = _MATRIX[quantization]
    if is_output:
        wanted = wanted if quantization in _PLAIN_OUTPUT else Type.Q6_K
    elif plan.role is Role.VALUE:
        wanted = _value(quantization, plan.layer, shape) or wanted
    elif plan.role is Role.DOWN:
        wanted = _down(quantization, plan.layer, shape.layers, imatrix) or wanted
    elif plan.role is Role.ATTENTION_OUTPUT:
        wanted = {Q.Q3_K_M: Type.Q4_K, Q.Q2_K: Type.Q3_K}.get(quantization, wanted)
    return _fitting_type(wanted, plan.columns)


def tensor_bytes(plan: TensorPlan, kind: GGMLQuantizationType) -> int:
    """The size of a tensor of this type, in bytes, without padding."""
    block, size = GGML_QUANT_SIZES[kind]
    return int(plan.elements // block * size)


def _value(quantization: Quantization, layer: int, shape: ModelShape) -> GGMLQuantizationType | None:
    """The type of the value projection: more bits, above all if many heads share one."""
    shared = shape.heads // shape.kv_heads >= 4
    match quantization:
        case Q.Q5_K_M | Q.Q4_K_M if _more_bits(layer, shape.layers):
            return Type.Q6_K
        case Q.Q4_K_S if layer < 4:
            return Type.Q5_K
        case Q.IQ4_NL | Q.IQ4_XS if shared:
            return Type.Q5_K
        case Q.Q3_K_M:
            return Type.Q5_K if layer < 2 else Type.Q4_K
        case Q.Q2_K:
            return Type.Q4_K if shared else Type.Q3_K
    return None


def _down(quantization: Quantization, layer: int, layers: int, imatrix: bool) -> GGMLQuantizationType | None:
    """The type of the projection out of the feed-forward block."""
    early = layer < layers // 8
    match quantization:
        case Q.Q5_K_M | Q.Q4_K_M if _more_bits(layer, layers):
            return Type.Q6_K
        case Q.Q4_K_S if early:
            return Type.Q5_K
        case Q.IQ4_NL | Q.IQ4_XS if early and not imatrix:
            return Type.Q5_K
        case Q.Q4_0 if early and imatrix:
            return Type.Q4_1
        case Q.Q5_0 if early and imatrix:
            return Type.Q5_1
        case Q.Q3_K_M:
            return Type.Q5_K if layer < layers // 16 else Type.Q4_K
        case Q.Q2_K:
            return Type.Q3_K
    return None


def _more_bits(layer: int, layers: int) -> bool:
    """True for the layers with more bits: the first and last eighth, and every third in between."""
    eighth = layers // 8
    return layer < eighth or layer >= 7 * layers // 8 or (layer - eighth) % 3 == 2


def _fitting_type(kind: GGMLQuantizationType, columns: int) -> GGMLQuantizationType:
    """The type itself if rows of this length are whole blocks of it, else llama.cpp's replacement."""
    if columns % GGML_QUANT_SIZES[kind][0] == 0:
        return kind
    kind = _SHORT_ROWS.get(kind, Type.F16)
    return kind if columns % GGML_QUANT_SIZES[kind][0] == 0 else Type.F16
