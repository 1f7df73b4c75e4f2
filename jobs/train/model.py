"""The base model in NF4 or bfloat16 with a LoRA adapter: QLoRA (Dettmers et al. 2023), or LoRA."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from starfreight.checkpoint import open_checkpoint
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
    """Load the base model with a fresh adapter, ready to train.

    Args:
        base: a directory in Hugging Face layout, already checked.
        architecture: ``starcoder2`` or ``starcoder``.
        training: rank, alpha, dropout, target modules and the seed of the adapter's weights.
        device: device to load to.

    Raises:
        InputError: the base model is invalid, or its weights cannot be read.
    """
    from peft import LoraConfig, TaskType, get_peft_model, prepare_model_for_kbit_training
    from transformers import set_seed

    from starfreight.jobs.train.base_weights import load_base

    on_gpu = device.type == "cuda"
    model: Any = load_base(
        open_checkpoint(base),
        device_map={"": device},
        attn_implementation=choose_attention(device),
        **_precision(training, on_gpu=on_gpu),
    )
    checkpointing = on_gpu if training.gradient_checkpointing == "auto" else training.gradient_checkpointing
    if training.method == "qlora":
        keep_weights_in_place(model)
        model = prepare_model_for_kbit_training(
            model,
            use_gradient_checkpointing=checkpointing,
            gradient_checkpointing_kwargs={"use_reentrant": False} if checkpointing else None,
        )
    elif checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
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


def _precision(training: Training, *, on_gpu: bool) -> dict[str, Any]:
    """Options of ``from_pretrained`` for the dtype of the base's weights."""
    import torch
    from transformers import BitsAndBytesConfig

    if training.method == "lora":
        return {"dtype": torch.bfloat16}
    compute = torch.bfloat16 if on_gpu else torch.float32
    return {
        "dtype": compute,
        "quantization_config": BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=compute,
        ),
    }


def choose_attention(device: torch.device) -> str:
    """The best attention kernel available, under transformers' name.

    Both keep attention inside each example of a packed block. FlashAttention 2 never sees the rest of
    the block; PyTorch's own takes a mask. FlashAttention 2 needs a GPU of compute capability 8.0 and the
    package ``flash-attn``.
    """
    import importlib.util

    import torch

    if device.type == "cuda" and importlib.util.find_spec("flash_attn") is not None:
        major, _ = torch.cuda.get_device_capability(device)
        if major >= 8:
            return "flash_attention_2"
    return "sdpa"


def keep_weights_in_place(model: Any) -> None:
    """Prevent bitsandbytes from repacking NF4 weights in the middle of training.

    On CPUs with AVX512-BF16, version 0.50.2 repacks them at the first forward pass without gradients,
    and the next training step fails on layers with a bias, or loses the gradient silently.
    """
    import bitsandbytes

    for module in model.modules():
        if isinstance(module, bitsandbytes.nn.Linear4bit):
            module.support_avx512bf16_for_cpu = False


def choose_device(number: int = 0) -> torch.device:
    """The GPU of this number if CUDA is available, otherwise the CPU."""
    import torch

    return torch.device("cuda", number) if torch.cuda.is_available() else torch.device("cpu")
