"""A recipe's settings by key path, to compare recipes key by key, and their values as text.

flat_keys({"training": {"steps": 250}})    # {"training.steps": 250}
setting_text(["q_proj", "v_proj"])         # "q_proj, v_proj"
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


def setting_text(value: Any) -> str:
    """A value of :func:`flat_keys` for people, spelled as in YAML: ``true``; ``-`` for none."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return str(value).lower()
    return ", ".join(map(setting_text, value)) if isinstance(value, list | tuple) else str(value)
