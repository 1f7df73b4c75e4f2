"""Which type each tensor gets in a file of a quantization: llama.cpp's rules.

Source: ``llama_tensor_get_type`` in llama.cpp's ``src/llama-quant.cpp``; a test holds the result against
``llama_model_quantize`` itself. One thing goes further: where llama.cpp gives up because rows are not
whole blocks of Q8_0, such a matrix is stored as F16.
"""

from __future__ import annotations

from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, LlamaFileType

from packager.press.architectures import Role, TensorPlan
from starfreight.checkpoint import ModelShape
from starfreight.quantization import Quantization

Type = GGMLQuantizationType

FILE_TYPES = {
    Quantization.F32: LlamaFileType.ALL_F32,
    Quantization.F16: LlamaFileType.MOSTLY_F16,
    Quantization.BF16: LlamaFileType.MOSTLY_BF16,
    Quantization.Q8_0: LlamaFileType.MOSTLY_Q8_0,
    Quantization.Q6_K: LlamaFileType.MOSTLY_Q6_K,
    Quantization.Q5_K_M: LlamaFileType.MOSTLY_Q5_K_M,
    Quantization.Q4_K_M: LlamaFileType.MOSTLY_Q4_K_M,
}
"""llama.cpp's number of each quantization, ``general.file_type``."""

_MATRIX = {
    Quantization.F32: Type.F32,
    Quantization.F16: Type.F16,
    Quantization.BF16: Type.BF16,
    Quantization.Q8_0: Type.Q8_0,
    Quantization.Q6_K: Type.Q6_K,
    Quantization.Q5_K_M: Type.Q5_K,
    Quantization.Q4_K_M: Type.Q4_K,
}
_MIXED = (Quantization.Q5_K_M, Quantization.Q4_K_M)
_NARROWER = {Type.Q4_K: Type.Q5_0, Type.Q5_K: Type.Q5_1, Type.Q6_K: Type.Q8_0}


def tensor_type(plan: TensorPlan, shape: ModelShape, quantization: Quantization) -> GGMLQuantizationType:
    """The type of one tensor in the file of one quantization."""
    if plan.role in (Role.VECTOR, Role.POSITION_EMBEDDING):
        return Type.F32
    wanted = _MATRIX[quantization]
    is_output = plan.role is Role.OUTPUT or (plan.role is Role.TOKEN_EMBEDDING and shape.tied)
    more_bits = plan.role in (Role.VALUE, Role.DOWN) and _more_bits(plan.layer, shape.layers)
    if quantization in _MIXED and (is_output or more_bits):
        wanted = Type.Q6_K
    return _that_fits(wanted, plan.columns)


def tensor_bytes(plan: TensorPlan, kind: GGMLQuantizationType) -> int:
    """The size of a tensor of this type, in bytes, without padding."""
    block, size = GGML_QUANT_SIZES[kind]
    return int(plan.elements // block * size)


def _more_bits(layer: int, layers: int) -> bool:
    """The layers in which a mix spends more: the first and last eighth, and every third between."""
    eighth = layers // 8
    return layer < eighth or layer >= 7 * layers // 8 or (layer - eighth) % 3 == 2


def _that_fits(kind: GGMLQuantizationType, columns: int) -> GGMLQuantizationType:
    """The type itself if rows of this length are whole blocks of it, else what llama.cpp takes instead."""
    if columns % GGML_QUANT_SIZES[kind][0] == 0:
        return kind
    kind = _NARROWER.get(kind, Type.F16)
    return kind if columns % GGML_QUANT_SIZES[kind][0] == 0 else Type.F16
