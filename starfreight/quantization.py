"""The quantizations that a package can hold, under the names that llama.cpp and Ollama give them."""

from __future__ import annotations

from enum import StrEnum

from starfreight.errors import RecipeError


class Quantization(StrEnum):
    """How the weights of one GGUF file are stored. The value is llama.cpp's spelling.

    ``F32``, ``F16`` and ``BF16`` hold every weight; the others are rounded to blocks of fewer bits.
    """

    F32 = "F32"
    F16 = "F16"
    BF16 = "BF16"
    Q8_0 = "Q8_0"
    Q6_K = "Q6_K"
    Q5_K_M = "Q5_K_M"
    Q5_K_S = "Q5_K_S"
    Q5_0 = "Q5_0"
    Q4_K_M = "Q4_K_M"
    Q4_K_S = "Q4_K_S"
    Q4_0 = "Q4_0"
    IQ4_NL = "IQ4_NL"
    IQ4_XS = "IQ4_XS"
    Q3_K_M = "Q3_K_M"
    Q3_K_S = "Q3_K_S"
    Q2_K = "Q2_K"

    @property
    def tag(self) -> str:
        """Ollama's spelling, as it stands in a tag: ``q4_K_M``, ``iq4_XS``, ``q8_0``, ``f16``, ``bf16``."""
        family, underscore, rest = self.value.partition("_")
        return family.lower() + underscore + rest

    @classmethod
    def parse(cls, text: str) -> Quantization:
        """The quantization of this name in any mix of upper and lower case.

        Raises:
            RecipeError: there is none of this name.
        """
        try:
            return cls(text.strip().upper())
        except ValueError:
            raise RecipeError(
                f"There is no quantization {text[:40]!r}.", fix="choose from " + ", ".join(cls)
            ) from None

    @classmethod
    def _missing_(cls, value: object) -> Quantization | None:
        """Lets ``Quantization("q4_K_M")`` and a recipe's ``q4_k_m`` mean ``Q4_K_M``."""
        if isinstance(value, str) and value != value.upper():
            return cls.__members__.get(value.strip().upper())
        return None
