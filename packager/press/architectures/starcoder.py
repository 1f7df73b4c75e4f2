"""StarCoder 1 (``gpt_bigcode``): learned positions, multi-query attention with one fused projection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starfreight.packager.press.architectures.interface import Role, TensorPlan, plan_tensors

if TYPE_CHECKING:
    from gguf import GGUFWriter

    from starfreight.checkpoint import ModelShape

_OUTSIDE = {
    "transformer.wte": ("token_embd", Role.TOKEN_EMBEDDING),
    "transformer.wpe": ("position_embd", Role.POSITION_EMBEDDING),
    "transformer.ln_f": ("output_norm", Role.VECTOR),
    "lm_head": ("output", Role.OUTPUT),
}
_IN_LAYER = {
    "ln_1": ("attn_norm", Role.VECTOR),
    "attn.c_attn": ("attn_qkv", Role.VALUE),
    "attn.c_proj": ("attn_output", Role.ATTENTION_OUTPUT),
    "ln_2": ("ffn_norm", Role.VECTOR),
    "mlp.c_fc": ("ffn_up", Role.MATRIX),
    "mlp.c_proj": ("ffn_down", Role.DOWN),
}


class StarCoder:
    """``starcoder`` in llama.cpp, ``gpt_bigcode`` in transformers."""

    pre_tokenizer = "refact"

    def tensors(self, shape: ModelShape) -> tuple[TensorPlan, ...]:
        """Every tensor in file order."""
        return plan_tensors(shape, _OUTSIDE, "transformer.h.", _IN_LAYER)

    def write_metadata(self, writer: GGUFWriter, shape: ModelShape) -> None:
        """Add the keys describing the shape."""
        writer.add_context_length(shape.context_length)
        writer.add_embedding_length(shape.hidden)
        writer.add_feed_forward_length(shape.ffn)
        writer.add_block_count(shape.layers)
        writer.add_head_count(shape.heads)
        writer.add_head_count_kv(1)
        writer.add_layer_norm_eps(shape.norm_epsilon)
