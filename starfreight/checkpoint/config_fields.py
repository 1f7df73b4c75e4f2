"""Values of a ``config.json``, each validated on access."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from starfreight.errors import InputError

FIX = "use the directory of a StarCoder2 or StarCoder model as published by its authors"

_DTYPES = {"float32": "F32", "float16": "F16", "bfloat16": "BF16"}
_LONGEST_WINDOW = 1 << 24


class Fields:
    """The keys of a config.json. Defaults are transformers'.

    Args:
        config: the file's JSON object.
        path: the file, for errors.
    """

    def __init__(self, config: Mapping[str, Any], path: Path) -> None:
        self.config, self.path = config, path

    def refused(self, key: str, why: str, fix: str = FIX) -> InputError:
        """The error about a key; ``why`` completes the sentence "The model's ``key`` ..."."""
        return InputError(f"The model's {key} {why}.", where=f"{self.path}: {key}", fix=fix)

    def count(self, key: str, default: int, most: int) -> int:
        """A whole number from 1 to ``most``."""
        value = self.config.get(key, default)
        if type(value) is not int or not 1 <= value <= most:
            raise self.refused(key, f"is {str(value)[:40]}, not a whole number from 1 to {most}")
        return value

    def number(self, key: str, value: object, most: float) -> float:
        """``value``, a number above 0 and up to ``most``."""
        if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 < value <= most:
            raise self.refused(key, f"is {str(value)[:40]}, not a number above 0 and up to {most:g}")
        return float(value)

    def share(self, key: str, default: float) -> float:
        """A number from 0 to 1, 1 excluded."""
        value = self.config.get(key, default)
        if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 <= value < 1:
            raise self.refused(key, f"is {str(value)[:40]}, not a number from 0 to below 1")
        return float(value)

    def flag(self, key: str, default: bool) -> bool:
        """True or false."""
        value = self.config.get(key, default)
        if not isinstance(value, bool):
            raise self.refused(key, f"is {str(value)[:40]}, not true or false")
        return value

    def only(self, key: str, allowed: tuple[object, ...], default: object) -> None:
        """Checks for one of the supported values."""
        value = self.config.get(key, default)
        # 1 equals True in Python, but not in a configuration.
        if not any(type(value) is type(item) and value == item for item in allowed):
            choices = " or ".join(
                str(item).lower() if isinstance(item, bool) else str(item) for item in allowed
            )
            raise self.refused(key, f"is {str(value)[:40]!r}; only {choices} is supported")

    def dtype(self) -> str:
        """The weights' dtype, in the spelling of safetensors."""
        value = self.config.get("dtype", self.config.get("torch_dtype")) or "float32"
        if not isinstance(value, str) or value not in _DTYPES:
            raise self.refused(
                "dtype", f"is {str(value)[:40]!r}; only " + ", ".join(_DTYPES) + " are supported"
            )
        return _DTYPES[value]

    def rope_theta(self) -> float:
        """The base of the rotary embedding, from ``rope_parameters`` (transformers 5) or ``rope_theta``."""
        rope = self.config.get("rope_parameters")
        if rope is None:
            rope = {}
        if not isinstance(rope, dict) or any(
            rope.get(key, "default") != "default" for key in ("rope_type", "type")
        ):
            raise self.refused("rope_parameters", "requests scaled rotary positions, unknown to StarCoder2")
        unknown = sorted(set(rope) - {"rope_theta", "rope_type", "type", "partial_rotary_factor"})
        if unknown:
            raise self.refused("rope_parameters", f"has the key {unknown[0][:40]!r}, unknown to StarCoder2")
        if self.config.get("rope_scaling") is not None:
            raise self.refused("rope_scaling", "requests scaled rotary positions, unknown to StarCoder2")
        for place, keys in (("partial_rotary_factor", self.config), ("rope_parameters", rope)):
            if keys.get("partial_rotary_factor", 1) not in (None, 1):
                raise self.refused(place, "rotates a part of each head, unknown to llama.cpp's StarCoder2")
        theta = self.number(
            "rope_theta", rope.get("rope_theta", self.config.get("rope_theta", 10_000.0)), 1e12
        )
        if self.config.get("rope_theta") not in (None, theta):
            raise self.refused(
                "rope_theta",
                f"is {str(self.config['rope_theta'])[:40]}, but {theta:g} in rope_parameters",
                fix="keep the value that the model was trained with, in one of the two places",
            )
        return theta

    def sliding_window(self, context: int) -> int | None:
        """The window in tokens; ``None`` if absent, null, or no smaller than the context."""
        if self.config.get("sliding_window") is None:
            return None
        window = self.count("sliding_window", 1, _LONGEST_WINDOW)
        return window if window < context else None
