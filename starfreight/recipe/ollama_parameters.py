"""Ollama's parameters: their names, types and ranges.

    check_parameters({"temprature": 0.2}, "recipe.yaml")     # RecipeError: did you mean 'temperature'?

Ollama skips a parameter that it does not know, and refuses to load a model with a value of another type. The
table follows ``Options`` and ``Runner`` in Ollama's ``api/types.go`` (August 2026), the ranges llama.cpp's
sampling parameters.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from starfreight.errors import RecipeError

_MOST = 2**31 - 1


@dataclass(frozen=True)
class Parameter:
    """The type and the range of a parameter.

    Attributes:
        kind: type of its value.
        least: smallest number.
        most: largest number.
    """

    kind: Literal["integer", "number", "boolean", "texts"]
    least: float = 0
    most: float = _MOST

    @property
    def words(self) -> str:
        """A valid value, in words."""
        if self.kind in ("boolean", "texts"):
            return {"boolean": "true or false", "texts": "a list of texts"}[self.kind]
        noun = "whole number" if self.kind == "integer" else "number"
        upper = f"from {self.least:g} to {self.most:g}" if self.most < _MOST else f"of {self.least:g} or more"
        return f"a {noun} {upper}"


PARAMETERS: Mapping[str, Parameter] = {
    "num_ctx": Parameter("integer", 4),
    "num_batch": Parameter("integer", 1),
    "num_gpu": Parameter("integer", -1),
    "main_gpu": Parameter("integer"),
    "use_mmap": Parameter("boolean"),
    "num_thread": Parameter("integer"),
    "draft_num_predict": Parameter("integer"),
    "num_keep": Parameter("integer", -1),
    "seed": Parameter("integer", -1, 2**32 - 1),
    "num_predict": Parameter("integer", -2),
    "top_k": Parameter("integer"),
    "top_p": Parameter("number", 0, 1),
    "min_p": Parameter("number", 0, 1),
    "typical_p": Parameter("number", 0, 1),
    "repeat_last_n": Parameter("integer", -1),
    "temperature": Parameter("number", 0, 100),
    "repeat_penalty": Parameter("number", 0.01, 100),
    "presence_penalty": Parameter("number", -100, 100),
    "frequency_penalty": Parameter("number", -100, 100),
    "stop": Parameter("texts"),
}
"""By name, as Ollama spells it."""

REMOVED = frozenset(
    {
        "embedding_only", "f16_kv", "logits_all", "low_vram", "mirostat", "mirostat_eta", "mirostat_tau",
        "num_gqa", "numa", "penalize_newline", "rope_frequency_base", "rope_frequency_scale", "tfs_z",
        "use_mlock", "vocab_only",
    }
)  # fmt: skip
"""Parameters of earlier versions of Ollama. A recipe may have them; its package does not."""


def check_parameters(parameters: Mapping[str, Any], where: str) -> None:
    """Check names, types and ranges.

    Args:
        parameters: the recipe's ``package.parameters``.
        where: the recipe, for errors.

    Raises:
        RecipeError: Ollama has no such parameter, or its value has another type or is out of range.
    """
    for name, value in parameters.items():
        if name in REMOVED:
            continue
        if name not in PARAMETERS:
            raise _unknown(name, where)
        problem, fix = _problem(PARAMETERS[name], value)
        if problem:
            key = f"package.parameters.{name}"
            raise RecipeError(
                f"The key {key!r} is not valid: {problem}.",
                where=f"{where}, key {key}",
                fix=fix or f"write {PARAMETERS[name].words}",
            )


def check_context(parameters: Mapping[str, Any], context_length: int) -> None:
    """Check ``num_ctx`` against the base model.

    Args:
        parameters: the recipe's ``package.parameters``, checked.
        context_length: longest input of the base model, in tokens.

    Raises:
        RecipeError: ``num_ctx`` is longer than the base model's context.
    """
    tokens = parameters.get("num_ctx")
    if tokens is not None and tokens > context_length:
        raise RecipeError(
            f"The base model reads {context_length:,} tokens at most; num_ctx is {tokens:,}.",
            where="key package.parameters.num_ctx",
            fix=f"lower it to {context_length} or less, or leave it out",
        )


def parameter_notes(parameters: Mapping[str, Any], sliding_window: int | None) -> tuple[str, ...]:
    """Notes on valid parameters without the expected effect, one sentence each.

    Args:
        parameters: the recipe's ``package.parameters``.
        sliding_window: of the base model, in tokens.
    """
    removed = sorted(REMOVED & parameters.keys())
    notes = [f"Ollama has removed {', '.join(removed)}: left out of the package."] if removed else []
    tokens = parameters.get("num_ctx")
    if tokens is not None and sliding_window is not None and tokens > sliding_window:
        notes.append(
            f"package.parameters.num_ctx is {tokens:,}, the base model's sliding window {sliding_window:,}. "
            "llama.cpp ignores the window: beyond it, its output differs from that of the trained model."
        )
    return tuple(notes)


def shipped_parameters(
    parameters: Mapping[str, Any],
) -> dict[str, bool | int | float | str | tuple[str, ...]]:
    """The parameters as Ollama expects them: whole numbers without a fraction, ``stop`` as a list."""
    shipped = {}
    for name, value in parameters.items():
        if name in REMOVED:
            continue
        kind = PARAMETERS[name].kind if name in PARAMETERS else None
        if kind == "texts" and isinstance(value, str):
            value = (value,)
        elif kind == "integer" and isinstance(value, float) and value.is_integer():
            value = int(value)
        shipped[name] = value
    return shipped


def _unknown(name: str, where: str) -> RecipeError:
    near = difflib.get_close_matches(name.lower().replace("-", "_"), PARAMETERS, n=1, cutoff=0.6)
    return RecipeError(
        f"Ollama has no parameter {name[:80]!r}.",
        where=f"{where}, key package.parameters.{name[:80]}",
        fix=f"did you mean {near[0]!r}?" if near else f"choose from {', '.join(PARAMETERS)}",
    )


def _problem(parameter: Parameter, value: Any) -> tuple[str | None, str | None]:
    """The problem with a value, and its own fix; ``None`` for a valid value."""
    if parameter.kind == "boolean":
        return (None, None) if isinstance(value, bool) else (f"{_shown(value)} is not true or false", None)
    if parameter.kind == "texts":
        return _texts_problem(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return f"{_shown(value)} is not a valid number", _in_digits(value)
    if value > parameter.most == _MOST:
        return f"{_shown(value)} is too large", None
    if not parameter.least <= value <= parameter.most:
        return f"{_shown(value)} is not {parameter.words}", None
    if parameter.kind == "integer" and value != int(value):
        return f"{value} is not a whole number", None
    return None, None


def _texts_problem(value: Any) -> tuple[str | None, str | None]:
    texts = (value,) if isinstance(value, str) else value
    if not isinstance(texts, (list, tuple)):
        return f"{_shown(value)} is not a list of texts", 'put texts in quotes, such as ["###"]'
    for text in texts:
        if not isinstance(text, str) or not text:
            return f"{_shown(text)} in its list is not a text", 'put texts in quotes, such as ["###"]'
    return None, None


def _in_digits(value: Any) -> str | None:
    """The fix for a number written as text: ``"8192"``, ``8k``."""
    match = re.fullmatch(r"([0-9]{1,6})(?:\.0)?\s*[kK]", value.strip()) if isinstance(value, str) else None
    if match:
        return f"write {int(match[1]) * 1024}"
    if isinstance(value, str) and re.fullmatch(r"\s*[-+]?[0-9]+(\.[0-9]+)?\s*", value):
        return f"write {value.strip()}, without quotes"
    return None


def _shown(value: Any) -> str:
    if value is None:
        return "an empty value"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, (list, tuple)):
        return "a list"
    if isinstance(value, int) and abs(value) > 10**40:
        return "a number of more than 40 digits"
    return f"the text {value[:40]!r}" if isinstance(value, str) and value else repr(value)
