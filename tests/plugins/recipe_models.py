"""The recipe's models as a tree: their defaults by key path, and the models of a later release."""

from __future__ import annotations

import json
import types
import typing
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, create_model
from pydantic.fields import FieldInfo

from starfreight.recipe import Recipe

LATER_KEY = "later"


def defaults(model: type[BaseModel] = Recipe, path: str = "") -> Iterator[tuple[str, str]]:
    """The path of each key, with its default as JSON or ``required``."""
    for key, field in model.model_fields.items():
        here = f"{path}.{key}" if path else key
        if field.is_required():
            yield here, "required"
        else:
            yield here, _as_json(model, key, field)
        for part, suffix in _parts(field.annotation, ""):
            yield from defaults(part, here + suffix)


def parts(model: type[BaseModel] = Recipe) -> Iterator[type[BaseModel]]:
    """The model and all models in it."""
    yield model
    for field in model.model_fields.values():
        for part, _ in _parts(field.annotation, ""):
            yield from parts(part)


def later(changed: type[BaseModel], model: type[BaseModel] = Recipe) -> type[BaseModel]:
    """A copy of the model in which ``changed`` has one more key, with a default."""
    if model is changed:
        return create_model(model.__name__, __base__=model, **{LATER_KEY: (int, 1)})  # type: ignore[call-overload, no-any-return]
    fields: dict[str, Any] = {}
    for key, field in model.model_fields.items():
        copies = {part: later(changed, part) for part, _ in _parts(field.annotation, "")}
        if any(copy is not part for part, copy in copies.items()):
            new = FieldInfo.from_annotation(_replaced(field.annotation, copies))
            new.metadata = list(field.metadata)
            if not field.is_required():
                default = field.default
                new.default = copies[type(default)]() if isinstance(default, BaseModel) else default
            fields[key] = (new.annotation, new)
    return create_model(model.__name__, __base__=model, **fields) if fields else model


def _as_json(model: type[BaseModel], key: str, field: FieldInfo) -> str:
    default = field.get_default(call_default_factory=True)
    if isinstance(default, BaseModel):
        return json.dumps(default.model_dump(mode="json", exclude_defaults=True))
    # As the model writes it, with units and names of enumerations.
    whole = model.model_construct(**{key: default})
    return json.dumps(whole.model_dump(mode="json", include={key})[key])


def _parts(annotation: Any, suffix: str) -> Iterator[tuple[type[BaseModel], str]]:
    """The models in an annotation, with ``[]`` for the items of a list."""
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        if issubclass(annotation, BaseModel):
            yield annotation, suffix
        return
    inner = suffix + "[]" if typing.get_origin(annotation) is tuple else suffix
    for argument in typing.get_args(annotation):
        yield from _parts(argument, inner)


def _replaced(annotation: Any, copies: dict[type[BaseModel], type[BaseModel]]) -> Any:
    if annotation in copies:
        return copies[annotation]
    arguments = tuple(_replaced(argument, copies) for argument in typing.get_args(annotation))
    if not arguments:
        return annotation
    if isinstance(annotation, types.UnionType):
        return typing.Union[arguments]  # noqa: UP007 - the arguments are known at run time only
    return typing.get_origin(annotation)[arguments]
