"""YAML for recipes: plain data, without surprises, and no larger in memory than in the file.

PyYAML's safe loader expands aliases (a kilobyte can become a gigabyte), keeps the last of two
equal keys, and reads ``no`` as false, ``1:30`` as 90 and ``2e-4`` as a string. Recipes follow
YAML 1.2's core schema instead, without aliases and with each key once.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from starfreight.errors import RecipeError

MAX_DEPTH = 32


class _Loader(yaml.SafeLoader):
    """The safe loader without aliases, deep nesting, YAML 1.1's implicit types and tags beyond plain data."""

    yaml_constructors = {  # noqa: RUF012 - declared by PyYAML
        tag: construct
        for tag, construct in yaml.SafeLoader.yaml_constructors.items()
        if tag is None or tag.rsplit(":", 1)[-1] in ("null", "str", "seq", "map")
    }
    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - declared by PyYAML

    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._nested = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.composer.ComposerError(
                None, None, "a recipe may not use an alias (*name); write the value out", self._mark()
            )
        self._nested += 1
        if self._nested > MAX_DEPTH:
            raise yaml.composer.ComposerError(
                None, None, f"nested more than {MAX_DEPTH} levels deep", self._mark()
            )
        node = super().compose_node(parent, index)
        self._nested -= 1
        return node

    def _mark(self) -> Any:
        return self.peek_event().start_mark  # type: ignore[no-untyped-call]

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(None, None, "a key is not a scalar", key.start_mark)
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value!r} appears twice", key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)


for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]{1,18}", list("-+0123456789")),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]{1,3})?", list("-+.0123456789")),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), _first)


def _construct_int(loader: _Loader, node: yaml.ScalarNode) -> int:
    return int(node.value)


def _construct_float(loader: _Loader, node: yaml.ScalarNode) -> float:
    return float(node.value)


def _construct_bool(loader: _Loader, node: yaml.ScalarNode) -> bool:
    if node.value.lower() not in ("true", "false"):
        raise ValueError(f"{node.value[:40]!r} is neither true nor false")
    return bool(node.value.lower() == "true")


_Loader.add_constructor("tag:yaml.org,2002:bool", _construct_bool)
_Loader.add_constructor("tag:yaml.org,2002:int", _construct_int)
_Loader.add_constructor("tag:yaml.org,2002:float", _construct_float)


def parse_yaml(text: str, where: str) -> Any:
    """Parses a YAML text to plain data.

    Raises:
        RecipeError: not YAML, or YAML with features that recipes may not use.
    """
    loader = None
    try:
        loader = _Loader(text)
        return loader.get_single_data()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = f"{where}, line {mark.line + 1}" if mark else where
        raise RecipeError(
            f"The recipe is not valid YAML: {error.problem}.", where=line, fix="correct that line"
        ) from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise RecipeError(
            f"The recipe is not valid YAML: {reason}.", where=where, fix="correct the file"
        ) from error
    finally:
        if loader is not None:
            loader.dispose()
