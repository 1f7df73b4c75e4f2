"""Replace values in the text of a recipe, with its comments and layout kept."""

from __future__ import annotations

from typing import Any

import yaml

from starfreight.errors import RecipeError

Key = tuple[str | int, ...]
"""A place in a recipe: ``("data", 0, "source")``."""


def replace_values(text: str, replacements: dict[Key, str], where: str) -> str:
    """The recipe's text with other values at some places.

    Args:
        text: a valid recipe.
        replacements: new values, which need no quotes in YAML.
        where: for errors.

    Raises:
        RecipeError: a place is not written out.
    """
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    nodes = {_node(root, key, where).start_mark.index: key for key in replacements}
    for start in sorted(nodes, reverse=True):
        node = _node(root, nodes[start], where)
        end = node.end_mark.index
        # A block scalar (source: >-) ends with its line.
        line_end = "\n" if node.style in ("|", ">") and text[start:end].endswith("\n") else ""
        text = f"{text[:start]}{replacements[nodes[start]]}{line_end}{text[end:]}"
    return text


def _node(root: Any, key: Key, where: str) -> Any:
    node = root
    for part in key:
        if isinstance(part, int):
            entries = node.value if isinstance(node, yaml.SequenceNode) else []
            node = entries[part] if part < len(entries) else None
        else:
            pairs = node.value if isinstance(node, yaml.MappingNode) else []
            node = next((value for name, value in pairs if name.value == part), None)
    if not isinstance(node, yaml.ScalarNode):
        shown = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in key).lstrip(".")
        raise RecipeError(
            f"The key {shown} is not written out in the recipe.",
            where=where,
            fix="replace it by hand, with the printed line",
        )
    return node
