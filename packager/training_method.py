"""The words and identifiers of each training method in model cards and provenance statements."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TrainingMethod:
    """A training method as packages describe it.

    Attributes:
        tag: in the model card's list of tags.
        words: the method in the model card's text.
        base: the base model's weights during training, for the model card.
        build_type: the statement's ``buildType``.
    """

    tag: str
    words: str
    base: str
    build_type: str


TRAINING_METHODS = {
    "qlora": TrainingMethod(
        tag="qlora",
        words="QLoRA (NF4 with double quantisation)",
        base="NF4",
        build_type="urn:starfreight:build:qlora-gguf:v1",
    ),
    "lora": TrainingMethod(
        tag="lora",
        words="LoRA (the base in bfloat16)",
        base="bfloat16",
        build_type="urn:starfreight:build:lora-gguf:v1",
    ),
}
"""By ``training.method`` of the recipe."""
