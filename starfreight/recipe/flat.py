"""A recipe's settings by key path, to compare recipes key by key.

flat_keys({"training": {"steps": 250}})    # {"training.steps": 250}
"""

from __future__ import annotations

from typing import Any


def flat_keys(value: Any) -> dict[str, Any]:
    """The single settings of plain data by their paths. Lists without mappings stay whole.

    Args:
        value: of ``Recipe.model_dump(mode="json")``.
    """
    flat: dict[str, Any] = {}

    def walk(value: Any, path: str) -> None:
        if isinstance(value, dict):
            for key, item in value.items():
                walk(item, f"{path}.{key}" if path else key)
        elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
            for number, item in enumerate(value):
                walk(item, f"{path}[{number}]")
        else:
            flat[path] = value

    walk(value, "")
    return flat
