"""The rank and alpha of each module of an adapter, from its configuration."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starfreight.errors import InputError
from starfreight.packager.press.adapter_patterns import (
    NamePattern,
    PatternError,
    first_match,
    parse_patterns,
)

_BY_NAME = "name the modules in full"


@dataclass(frozen=True)
class ModuleNumbers:
    """A number of each module: that of the first pattern matching the end of its name, or the default.

    Attributes:
        path: the configuration.
        key: the key of the default.
        default: its value, not validated.
        patterns_key: the key of the patterns.
        values: the values of the patterns, not validated.
        patterns: the patterns in their order.
    """

    path: Path
    key: str
    default: Any
    patterns_key: str
    values: Mapping[str, Any]
    patterns: tuple[NamePattern, ...]

    def of(self, module: str) -> float:
        """The module's number, above 0.

        Raises:
            InputError: it is not a number from 0 to a million, or a pattern is not supported.
        """
        value, where = self.default, self.key
        with _pattern_errors(self.path, self.patterns_key):
            pattern = first_match(self.patterns, module)
        if pattern is not None:
            value, where = self.values[pattern], f"{self.patterns_key}.{pattern[:80]}"
        if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 < value <= 1_000_000:
            raise InputError(
                f"The adapter's {self.key} is {repr(value)[:40]}.",
                where=f"{self.path}: {where}",
                fix="train a plain LoRA adapter: without DoRA, QALoRA, replaced tokens and the like",
            )
        return value


def read_numbers(path: Path, config: Mapping[str, Any], key: str, patterns_key: str) -> ModuleNumbers:
    """The numbers of one kind.

    Args:
        path: the configuration, for errors.
        config: its content.
        key: ``r`` or ``lora_alpha``.
        patterns_key: ``rank_pattern`` or ``alpha_pattern``.

    Raises:
        InputError: the patterns are not an object, or too long.
    """
    values = config.get(patterns_key) or {}
    if not isinstance(values, dict):
        raise InputError(
            f"The adapter's {patterns_key} is not an object.", where=f"{path}: {patterns_key}", fix=_BY_NAME
        )
    with _pattern_errors(path, patterns_key):
        return ModuleNumbers(path, key, config.get(key), patterns_key, values, parse_patterns(values))


@contextlib.contextmanager
def _pattern_errors(path: Path, key: str) -> Iterator[None]:
    try:
        yield
    except PatternError as error:
        raise InputError(
            f"The adapter's patterns {error.what}.",
            where=f"{path}: {key}.{error.text[:80]}".rstrip("."),
            fix=_BY_NAME,
        ) from error
