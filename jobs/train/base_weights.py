"""The base model in transformers, made of exactly the values that :mod:`starfreight.checkpoint` reads.

Given a directory, ``from_pretrained`` has preferences of its own: it takes ``model.safetensors`` before an
index, unties an output layer that differs, adds an adapter that lies beside the weights, and obeys keys such
as ``transformers_weights`` and ``is_causal``. The press reads the directory differently, and could ship
another model than was trained. Here transformers gets the configuration and the tensors, and no directory.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from starfreight.checkpoint import Checkpoint
from starfreight.checkpoint.config import read_dropouts
from starfreight.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel


def load_base(checkpoint: Checkpoint, **options: Any) -> PreTrainedModel:
    """Load the weights of a base model.

    Args:
        checkpoint: the opened model.
        options: of transformers' ``from_pretrained``: dtype, device map, quantisation.

    Raises:
        InputError: the weights cannot be read, or transformers did not use all of them.
    """
    from safetensors import SafetensorError, safe_open
    from transformers import GPTBigCodeForCausalLM, Starcoder2ForCausalLM

    classes = {"starcoder2": Starcoder2ForCausalLM, "starcoder": GPTBigCodeForCausalLM}
    files = {tensor.file for tensor in checkpoint.tensors.values()}
    with ExitStack() as stack:
        try:
            opened = {path: stack.enter_context(safe_open(path, framework="pt")) for path in sorted(files)}
            model, report = classes[checkpoint.architecture].from_pretrained(
                None,
                config=transformers_config(checkpoint),
                # Slices are read when transformers asks for them, so memory holds one tensor at a time.
                state_dict={
                    name: opened[tensor.file].get_slice(name) for name, tensor in checkpoint.tensors.items()
                },
                output_loading_info=True,
                **options,
            )
        except (SafetensorError, OSError) as error:
            raise InputError(
                f"The weights of the base model cannot be read: {error}.",
                where=str(checkpoint.folder),
                fix="restore the files, and run the same command again",
            ) from error
    for kind, names in report.items():
        if names:
            raise InputError(
                f"transformers did not load the base model's weights as they are ({kind.replace('_', ' ')}).",
                where=f"{checkpoint.folder}: {sorted(map(str, names))[0][:200]}",
                fix="use the versions of transformers and torch that Starfreight installs",
            )
    model.name_or_path = model.config.name_or_path = str(checkpoint.folder)
    return model


def transformers_config(checkpoint: Checkpoint) -> PreTrainedConfig:
    """The configuration of a checkpoint in transformers: its shape and its dropout rates, and no other key.

    Generation has no end token: training measures without transformers' generation.
    """
    from transformers import GPTBigCodeConfig, Starcoder2Config

    shape = checkpoint.shape
    common: dict[str, Any] = {
        "vocab_size": shape.vocab_size,
        "tie_word_embeddings": shape.tied,
        "bos_token_id": None,
        "eos_token_id": None,
        **read_dropouts(checkpoint.folder / "config.json"),
    }
    if shape.architecture == "starcoder2":
        return Starcoder2Config(
            hidden_size=shape.hidden,
            intermediate_size=shape.ffn,
            num_hidden_layers=shape.layers,
            num_attention_heads=shape.heads,
            num_key_value_heads=shape.kv_heads,
            max_position_embeddings=shape.context_length,
            norm_epsilon=shape.norm_epsilon,
            rope_parameters={"rope_type": "default", "rope_theta": shape.rope_theta},
            sliding_window=shape.sliding_window,
            **common,
        )
    return GPTBigCodeConfig(
        n_embd=shape.hidden,
        n_inner=shape.ffn,
        n_layer=shape.layers,
        n_head=shape.heads,
        n_positions=shape.context_length,
        layer_norm_epsilon=shape.norm_epsilon,
        **common,
    )
