"""Reads ``gateway.yaml``: valid settings with absolute paths, or one error that names the wrong key."""

from __future__ import annotations

import difflib
import json
import types
import typing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from starfreight.errors import InputError, RecipeError
from starfreight.files import read_limited
from starfreight.packager.gateway.settings import Secret, Settings
from starfreight.recipe.yaml import parse_yaml

_LIMIT = 256 << 10
_SECRET_LIMIT = 64 << 10
_PATHS = frozenset(
    {"file", "ca", "certificate", "key", "authorized_keys", "audit_log", "socket", "access_log"}
)
_DOCKER_SECRETS = Path("/run/secrets")
_EXAMPLE = "see starfreight gateway render --help for an example"


def load_settings(path: Path) -> Settings:
    """Read a file of at most 256 KiB. Its relative paths are made absolute.

    Raises:
        InputError: missing, not YAML, an unknown key (names the nearest one) or a wrong value.
    """
    content = read_limited(path, _LIMIT, "gateway file")
    return parse_settings(content, str(path), path.resolve().parent)


def parse_settings(content: bytes, where: str, folder: Path) -> Settings:
    """Parse the bytes of a gateway file.

    Args:
        content: the file's bytes.
        where: its name for errors.
        folder: where its relative paths start.

    Raises:
        InputError: as for :func:`load_settings`.
    """
    try:
        data = parse_yaml(content.decode(), where)
    except UnicodeDecodeError as error:
        raise InputError(
            f"The gateway file is not UTF-8 (byte {error.start}).", where=where, fix="save it as UTF-8"
        ) from None
    except RecipeError as error:
        what = error.what.replace("The recipe", "The gateway file").replace("a recipe", "a gateway file")
        raise InputError(what, where=error.where, fix=error.fix) from error
    if not isinstance(data, dict):
        raise InputError("The gateway file is not a mapping of keys to values.", where=where, fix=_EXAMPLE)
    try:
        # By way of JSON: strict models accept a JSON list for a tuple, but not a Python list.
        settings = Settings.model_validate_json(json.dumps(data, allow_nan=False))
        return Settings.model_validate_json(json.dumps(_absolute(settings.model_dump(mode="json"), folder)))
    except ValidationError as error:
        raise _explain(error, where) from error
    except (TypeError, ValueError) as error:
        raise InputError(
            f"The gateway file holds a value that is not plain data: {error}.", where=where, fix=_EXAMPLE
        ) from error


def read_secret(secret: Secret) -> bytes:
    """A secret's bytes, without a final newline.

    Raises:
        InputError: the file or the variable is missing, empty or too large.
    """
    import os

    if secret.environment is not None:
        value, where = (
            os.environ.get(secret.environment, "").encode("utf-8", "surrogateescape"),
            secret.environment,
        )
        fix = f"set the environment variable {secret.environment}"
    else:
        file = Path(secret.file) if secret.file is not None else _DOCKER_SECRETS / str(secret.docker_secret)
        value, where = read_limited(file, _SECRET_LIMIT, "file of the secret"), str(file)
        fix = "write the secret to the file"
    value = value.removesuffix(b"\n").removesuffix(b"\r")
    if not value:
        raise InputError("The secret is empty.", where=where, fix=fix)
    if b"\n" in value or b"\0" in value:
        raise InputError(
            "The secret has several lines.", where=where, fix="leave the secret alone in one line"
        )
    return value


def _absolute(value: Any, folder: Path, key: str = "") -> Any:
    if isinstance(value, dict):
        return {name: _absolute(each, folder, name) for name, each in value.items()}
    if key in _PATHS and isinstance(value, str) and not (key == "access_log" and value in ("stderr", "off")):
        return str(folder / value)
    return value


@dataclass(frozen=True)
class _Place:
    """A key's place in the file."""

    path: str
    known: list[str]


def _explain(error: ValidationError, where: str) -> InputError:
    # A misspelt key is also missing; the spelling is the news.
    problems = sorted(error.errors(include_url=False), key=lambda each: each["type"] != "extra_forbidden")
    first = problems[0]
    place = _place(first["loc"])
    others = len({_place(each["loc"]).path for each in problems}) - 1
    more = f" ({others} more after it)" if others else ""
    if first["type"] == "extra_forbidden":
        near = difflib.get_close_matches(str(first["loc"][-1]), place.known, n=1, cutoff=0.5)
        return InputError(
            f"The gateway file has an unknown key {place.path!r}{more}.",
            where=where,
            fix=f"did you mean {near[0]!r}?" if near else f"known keys here: {', '.join(place.known)}",
        )
    if first["type"] == "missing":
        return InputError(f"The key {place.path!r} is missing{more}.", where=where, fix=_EXAMPLE)
    message = first["msg"].removeprefix("Value error, ")
    if not place.path:
        return InputError(f"The gateway file {message}.", where=where, fix="correct the file")
    return InputError(
        f"The key {place.path!r} is not valid: {message}{more}.", where=f"{where}, key {place.path}",
        fix="correct that key",
    )  # fmt: skip


def _place(location: tuple[int | str, ...]) -> _Place:
    """The path of keys, without the type names that pydantic adds for a union."""
    model: type[BaseModel] | None = Settings
    path, known = "", list(Settings.model_fields)
    for number, part in enumerate(location):
        if isinstance(part, int):
            path += f"[{part}]"
            continue
        known = list(model.model_fields) if model is not None else known
        if part not in known and number < len(location) - 1:
            continue
        if part not in known and path.endswith("access_log"):
            continue
        path += f".{part}" if path else part
        field = model.model_fields.get(part) if model is not None else None
        model = _model_in(field.annotation) if field is not None else None
    return _Place(path, known)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        return annotation if issubclass(annotation, BaseModel) else None
    return next((found for each in typing.get_args(annotation) if (found := _model_in(each))), None)
