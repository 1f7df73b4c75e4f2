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
        build_type: the statement's ``buildType``, documented in ``docs/build-type.md``.
        earlier_build_type: that of statements of version 1.
    """

    tag: str
    words: str
    base: str
    build_type: str
    earlier_build_type: str


TRAINING_METHODS = {
    "qlora": TrainingMethod(
        tag="qlora",
        words="QLoRA (NF4 with double quantisation)",
        base="NF4",
        build_type="https://starfreight.dev/build-types/qlora-gguf/v2",
        earlier_build_type="urn:starfreight:build:qlora-gguf:v1",
    ),
    "lora": TrainingMethod(
        tag="lora",
        words="LoRA (the base in bfloat16)",
        base="bfloat16",
        build_type="https://starfreight.dev/build-types/lora-gguf/v2",
        earlier_build_type="urn:starfreight:build:lora-gguf:v1",
    ),
}
"""By ``training.method`` of the recipe."""


def method_of(build_type: object) -> str | None:
    """The training method of a build type; ``None`` for an unknown one."""
    for name, method in TRAINING_METHODS.items():
        if build_type in (method.build_type, method.earlier_build_type):
            return name
    return None
