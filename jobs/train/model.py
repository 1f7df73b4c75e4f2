"""The base model in NF4 with a LoRA adapter on it: QLoRA (Dettmers et al. 2023)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from starfreight.recipe import Training

if TYPE_CHECKING:
    import torch
    from peft import PeftModel

TARGET_MODULES = {
    "starcoder2": ("q_proj", "k_proj", "v_proj", "o_proj", "c_fc", "c_proj"),
    "starcoder": ("c_attn", "c_proj", "c_fc"),
}
"""Every linear layer of attention and MLP, by architecture."""


def load_model(base: Path, architecture: str, training: Training, device: torch.device) -> PeftModel:
    """The base model with a fresh adapter, ready to train.

    Args:
        base: a folder in Hugging Face layout that has been checked before.
        architecture: ``starcoder2`` or ``starcoder``.
        training: rank, alpha, dropout, target modules and the seed of the adapter's weights.
        device: where to.
    """
    import torch
    from peft import LoraConfig, TaskType, get_peft_model, prepare_model_for_kbit_training
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig, set_seed

    on_gpu = device.type == "cuda"
    compute = torch.bfloat16 if on_gpu else torch.float32
    model: Any = AutoModelForCausalLM.from_pretrained(
        base,
        quantization_config=BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=compute,
        ),
        dtype=compute,
        device_map={"": device},
        attn_implementation="sdpa",
        use_safetensors=True,
        trust_remote_code=False,
        local_files_only=True,
    )
    keep_weights_in_place(model)
    model = prepare_model_for_kbit_training(
        model,
        use_gradient_checkpointing=on_gpu,
        gradient_checkpointing_kwargs={"use_reentrant": False} if on_gpu else None,
    )
    model.config.use_cache = False
    set_seed(training.seed)
    targets = TARGET_MODULES[architecture] if training.target_modules == "auto" else training.target_modules
    return get_peft_model(
        model,
        LoraConfig(
            task_type=TaskType.CAUSAL_LM,
            r=training.rank,
            lora_alpha=training.alpha,
            lora_dropout=training.dropout,
            target_modules=list(targets),
            bias="none",
        ),
    )


def keep_weights_in_place(model: Any) -> None:
    """Keeps bitsandbytes from repacking NF4 weights in the middle of training.

    On CPUs with AVX512-BF16, version 0.50.2 repacks them at the first forward pass without gradients,
    and the next training step fails on layers with a bias, or loses the gradient silently.
    """
    import bitsandbytes

    for module in model.modules():
        if isinstance(module, bitsandbytes.nn.Linear4bit):
            module.support_avx512bf16_for_cpu = False


def choose_device() -> torch.device:
    """The first GPU when there is one, otherwise the CPU."""
    import torch

    return torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
