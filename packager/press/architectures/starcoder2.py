"""StarCoder2: rotary positions, grouped-query attention, biases everywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starfreight.packager.press.architectures.interface import Role, TensorPlan, plan_tensors

if TYPE_CHECKING:
    from gguf import GGUFWriter

    from starfreight.checkpoint import ModelShape

_OUTSIDE = {
    "model.embed_tokens": ("token_embd", Role.TOKEN_EMBEDDING),
    "model.norm": ("output_norm", Role.VECTOR),
    "lm_head": ("output", Role.OUTPUT),
}
_IN_LAYER = {
    "input_layernorm": ("attn_norm", Role.VECTOR),
    "self_attn.q_proj": ("attn_q", Role.MATRIX),
    "self_attn.k_proj": ("attn_k", Role.MATRIX),
    "self_attn.v_proj": ("attn_v", Role.VALUE),
    "self_attn.o_proj": ("attn_output", Role.ATTENTION_OUTPUT),
    "post_attention_layernorm": ("ffn_norm", Role.VECTOR),
    "mlp.c_fc": ("ffn_up", Role.MATRIX),
    "mlp.c_proj": ("ffn_down", Role.DOWN),
}


class StarCoder2:
    """``starcoder2`` in llama.cpp and in transformers."""

    pre_tokenizer = "starcoder"

    def tensors(self, shape: ModelShape) -> tuple[TensorPlan, ...]:
        """Every tensor in file order."""
        return plan_tensors(shape, _OUTSIDE, "model.layers.", _IN_LAYER)

    def write_metadata(self, writer: GGUFWriter, shape: ModelShape) -> None:
        """Add the keys describing the shape."""
        writer.add_block_count(shape.layers)
        writer.add_context_length(shape.context_length)
        writer.add_embedding_length(shape.hidden)
        writer.add_feed_forward_length(shape.ffn)
        writer.add_head_count(shape.heads)
        writer.add_head_count_kv(shape.kv_heads)
        if shape.rope_theta is not None:
            writer.add_rope_freq_base(shape.rope_theta)
        writer.add_layer_norm_eps(shape.norm_epsilon)
