"""YAML for recipes and policies: plain data, without surprises, and no larger in memory than in the file.

PyYAML's safe loader expands aliases (a kilobyte can become a gigabyte), keeps the last of two
equal keys, and reads ``no`` as false, ``1:30`` as 90 and ``2e-4`` as a string. Recipes follow
YAML 1.2's core schema instead, without aliases and with each key once.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import yaml

from starfreight.errors import RecipeError

MAX_DEPTH = 32


class _Loader(yaml.SafeLoader):
    """The safe loader without aliases, deep nesting, YAML 1.1's implicit types and tags beyond plain data."""

    yaml_constructors = {  # noqa: RUF012 - declared by PyYAML
        tag: construct
        for tag, construct in yaml.SafeLoader.yaml_constructors.items()
        if tag is None or tag.rsplit(":", 1)[-1] in ("str", "seq", "map")
    }
    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - declared by PyYAML

    def __init__(self, stream: str, kind: str) -> None:
        super().__init__(stream)
        self._nested = 0
        self._kind = kind

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.composer.ComposerError(
                None, None, f"a {self._kind} may not use an alias (*name); write the value out", self._mark()
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

    def construct_scalar(self, node: Any) -> str:
        value: str = super().construct_scalar(node)
        try:
            value.encode()
        except UnicodeEncodeError:
            try:
                # A character beyond the basic plane, written as two escapes as in JSON.
                return value.encode("utf-16", "surrogatepass").decode("utf-16")
            except UnicodeDecodeError:
                raise _refused("a text contains half of a surrogate pair", node) from None
        return value

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        if not isinstance(node, yaml.MappingNode):
            raise _refused(f"expected a mapping node, but found {node.id}", node)
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise _refused("a key is not a scalar", key)
            text = self.construct_scalar(key)
            if text in seen:
                raise _refused(f"the key {text!r} appears twice", key)
            seen.add(text)
        return super().construct_mapping(node, deep)


def _refused(problem: str, node: Any) -> yaml.constructor.ConstructorError:
    return yaml.constructor.ConstructorError(None, None, problem, node.start_mark)


def _null(text: str) -> None:
    return None


def _bool(text: str) -> bool:
    return text.lower() == "true"


for _name, _pattern, _first, _make in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""], _null),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF"), _bool),
    ("int", r"[-+]?[0-9]{1,18}", list("-+0123456789"), int),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]{1,3})?", list("-+.0123456789"), float),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_name}", re.compile(f"^(?:{_pattern})$"), _first)

    def _construct(
        loader: _Loader,
        node: Any,
        name: str = _name,
        pattern: re.Pattern[str] = re.compile(_pattern),
        make: Callable[[str], float | bool | None] = _make,
    ) -> float | bool | None:
        text = loader.construct_scalar(node)
        if not pattern.fullmatch(text):  # It has an explicit tag.
            raise _refused(f"{text[:40]!r} is not valid for !!{name}", node)
        value = make(text)
        if value in (math.inf, -math.inf):
            raise _refused(f"{text[:40]!r} is too large for a number", node)
        return value

    _Loader.add_constructor(f"tag:yaml.org,2002:{_name}", _construct)


def parse_yaml(text: str, where: str, kind: str = "recipe") -> Any:
    """Parses a YAML text to plain data.

    Args:
        text: the file's content.
        where: the file.
        kind: its name in sentences.

    Raises:
        RecipeError: not YAML, or YAML with features that recipes may not use.
    """
    loader = None
    try:
        loader = _Loader(text, kind)
        return loader.get_single_data()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = f"{where}, line {mark.line + 1}" if mark else where
        raise RecipeError(
            f"The {kind} is not valid YAML: {error.problem}.", where=line, fix="correct that line"
        ) from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise RecipeError(
            f"The {kind} is not valid YAML: {reason}.", where=where, fix="correct the file"
        ) from error
    finally:
        if loader is not None:
            loader.dispose()
