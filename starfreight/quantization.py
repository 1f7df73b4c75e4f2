"""Quantizations supported in a package, with llama.cpp's and Ollama's names."""

from __future__ import annotations

from enum import StrEnum

from starfreight.errors import RecipeError


class Quantization(StrEnum):
    """Storage format of the weights in a GGUF file. Values are llama.cpp's names.

    ``F32``, ``F16`` and ``BF16`` store weights one by one; the others round blocks of weights to fewer bits.
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
        """Ollama's name, as used in tags: ``q4_K_M``, ``iq4_XS``, ``q8_0``, ``f16``, ``bf16``."""
        family, underscore, rest = self.value.partition("_")
        return family.lower() + underscore + rest

    @classmethod
    def parse(cls, text: str) -> Quantization:
        """Parse a name, ignoring case.

        Raises:
            RecipeError: unknown name.
        """
        try:
            return cls(text.strip().upper())
        except ValueError:
            raise RecipeError(
                f"Unknown quantization {text[:40]!r}.", fix="choose from " + ", ".join(cls)
            ) from None

    @classmethod
    def _missing_(cls, value: object) -> Quantization | None:
        """Accept ``Quantization("q4_K_M")`` and a recipe's ``q4_k_m`` as ``Q4_K_M``."""
        if isinstance(value, str) and value != value.upper():
            return cls.__members__.get(value.strip().upper())
        return None


FILE_TYPES = {
    Quantization.F32: 0,
    Quantization.F16: 1,
    Quantization.BF16: 32,
    Quantization.Q8_0: 7,
    Quantization.Q6_K: 18,
    Quantization.Q5_K_M: 17,
    Quantization.Q5_K_S: 16,
    Quantization.Q5_0: 8,
    Quantization.Q4_K_M: 15,
    Quantization.Q4_K_S: 14,
    Quantization.Q4_0: 2,
    Quantization.IQ4_NL: 25,
    Quantization.IQ4_XS: 30,
    Quantization.Q3_K_M: 12,
    Quantization.Q3_K_S: 11,
    Quantization.Q2_K: 10,
}
"""llama.cpp's number of each quantization, ``general.file_type`` (``enum llama_ftype`` in ``llama.h``)."""
