"""Names of quantizations."""

from __future__ import annotations

import pytest
from pydantic import BaseModel

from starfreight.errors import RecipeError
from starfreight.quantization import FILE_TYPES, Quantization


class Holder(BaseModel):
    """A record that holds some."""

    kinds: list[Quantization]


def test_every_spelling_of_case_is_understood() -> None:
    for text in ("Q4_K_M", "q4_K_M", "q4_k_m", "Q4_k_M"):
        assert Quantization.parse(text) is Quantization.Q4_K_M
        assert Holder(kinds=[text]).kinds == [Quantization.Q4_K_M]  # type: ignore[list-item]
    assert Holder(kinds=["bf16"]).model_dump(mode="json") == {"kinds": ["BF16"]}  # type: ignore[list-item]


def test_tags_are_spelled_as_ollama_spells_them() -> None:
    tags = [
        "f32", "f16", "bf16", "q8_0", "q6_K", "q5_K_M", "q5_K_S", "q5_0", "q4_K_M", "q4_K_S", "q4_0",
        "iq4_NL", "iq4_XS", "q3_K_M", "q3_K_S", "q2_K",
    ]  # fmt: skip
    assert [quantization.tag for quantization in Quantization] == tags
    assert [Quantization.parse(tag) for tag in tags] == list(Quantization)


def test_an_unknown_name_is_refused_with_those_there_are() -> None:
    with pytest.raises(RecipeError, match="Q4_K_XL") as caught:
        Quantization.parse("Q4_K_XL")
    assert "Q8_0, Q6_K" in str(caught.value.fix)


def test_file_types_are_those_of_llama_cpp() -> None:
    from gguf import LlamaFileType

    for quantization in Quantization:
        name = "ALL_F32" if quantization == Quantization.F32 else f"MOSTLY_{quantization}"
        assert FILE_TYPES[quantization] == LlamaFileType[name]
