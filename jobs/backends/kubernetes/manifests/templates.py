"""The templates: files that a person can read and apply, filled in by functions on their data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).with_name("templates")

Object = dict[str, Any]
"""A Kubernetes object as plain data, its keys in the order of its file."""


def load_template(name: str) -> Object:
    """The object in ``templates/NAME.yaml``, for the caller to change."""
    import yaml

    # Through JSON, so that what an anchor names is in each of its places a value of its own.
    text = (FOLDER / f"{name}.yaml").read_text(encoding="utf-8")
    loaded: Object = json.loads(json.dumps(yaml.safe_load(text)))
    return loaded


def as_yaml(documents: list[Object]) -> str:
    """Objects as one YAML file of several documents: the same text for the same data."""
    import yaml

    return yaml.dump_all(
        documents, Dumper=_dumper(), sort_keys=False, explicit_start=True, allow_unicode=True, width=110
    )


def recipe_as_yaml(data: Any) -> str:
    """A recipe's data as a text that is read as just that data again.

    Recipes are read by YAML 1.2's rules and PyYAML writes by those of 1.1, in which ``2e-4`` is a word. Where
    that makes a difference the text is JSON, which is YAML, too.
    """
    import yaml

    from starfreight.recipe.yaml import parse_yaml

    text = yaml.dump(data, Dumper=_dumper(), sort_keys=False, allow_unicode=True, width=110)
    if parse_yaml(text, "the rendered recipe") == data:
        return text
    return json.dumps(data, indent=2, ensure_ascii=False) + "\n"


def _dumper() -> Any:
    import yaml

    class Dumper(yaml.SafeDumper):
        """The safe dumper with texts of several lines as they are read, and without aliases."""

        def ignore_aliases(self, data: Any) -> bool:
            return True

    def text(dumper: Any, value: str) -> Any:
        style = "|" if "\n" in value else None
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)

    Dumper.add_representer(str, text)
    return Dumper
