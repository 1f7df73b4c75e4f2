"""Loads templates, which are YAML files valid by themselves, and writes objects as YAML."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from starfreight.console import harmless

FOLDER = Path(__file__).with_name("templates")

Object = dict[str, Any]
"""A Kubernetes object as plain data, with keys in the order of the file."""


def load_template(name: str) -> Object:
    """The object in ``templates/NAME.yaml``, for the caller to change."""
    import yaml

    # JSON has no anchors: each use of one becomes a separate value.
    text = (FOLDER / f"{name}.yaml").read_text(encoding="utf-8")
    loaded: Object = json.loads(json.dumps(yaml.safe_load(text)))
    return loaded


def as_yaml(documents: list[Object]) -> str:
    """Objects as a YAML file of several documents. Equal data gives equal text."""
    return _dump(documents, explicit_start=True)


def recipe_as_yaml(data: Any) -> str:
    """A recipe as YAML that parses to the same data.

    Recipes are parsed as YAML 1.2, but PyYAML writes YAML 1.1, where ``2e-4`` is a string. If this makes a
    difference, the result is JSON, which is valid YAML.
    """
    from starfreight.recipe.yaml import parse_yaml

    text = _dump([data], explicit_start=False)
    if parse_yaml(text, "the rendered recipe") == data:
        return text
    text = json.dumps(data, indent=2, ensure_ascii=False) + "\n"
    return text if text == harmless(text) else json.dumps(data, indent=2) + "\n"


def _dump(documents: list[Any], *, explicit_start: bool) -> str:
    import yaml

    for readable in (True, False):  # Marks of direction and the like are written as escapes.
        text: str = yaml.dump_all(
            documents,
            Dumper=_dumper(),
            sort_keys=False,
            explicit_start=explicit_start,
            allow_unicode=readable,
            width=110,
        )
        if text == harmless(text):
            break
    return text


def _dumper() -> Any:
    import yaml

    class Dumper(yaml.SafeDumper):
        """The safe dumper with block style for texts of several lines, and without aliases."""

        def ignore_aliases(self, data: Any) -> bool:
            return True

    def text(dumper: Any, value: str) -> Any:
        style = "|" if "\n" in value else None
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)

    Dumper.add_representer(str, text)
    return Dumper
