"""Reads tasks of a user's own: a directory with a YAML or JSON file for each, or a directory for each."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError, field_validator, model_validator

from starfreight.directories import refuse_link
from starfreight.errors import InputError, RecipeError, StarfreightError
from starfreight.files import read_limited
from starfreight.jobs.evaluate.suites.problem_file import BOM
from starfreight.recipe.values import RecipePart
from starfreight.recipe.yaml import parse_yaml
from starfreight.strict_json import strict_loads

_LARGEST_FILE = 256 << 10
_MOST_TASKS = 10_000
_SUFFIXES = (".yaml", ".yml", ".json")
_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,79}")
_PATH = re.compile(r"(?!\.\.?(?:/|$))[^/\\\0]+(?:/(?!\.\.?(?:/|$))[^/\\\0]+)*")

Source = Annotated[str, Field(max_length=_LARGEST_FILE)]
FileName = Annotated[str, Field(min_length=1, max_length=200)]
Pattern = Annotated[str, Field(min_length=1, max_length=2000)]


class Task(RecipePart):
    """A task, as its file has it. Each text can be in a file beside it: ``prefix_file`` for ``prefix``."""

    prompt: Source | None = None
    """An instruction, for models whose template takes one."""
    prompt_file: FileName | None = None
    prefix: Source | None = None
    """Text before the place to complete."""
    prefix_file: FileName | None = None
    suffix: Source | None = None
    """Text after it."""
    suffix_file: FileName | None = None
    language: Annotated[str, Field(pattern=r"^[a-z0-9+#.-]{1,40}$")] = "python"
    """Language of the code."""
    group: Annotated[str, Field(pattern=r"^[\w./-]{1,80}$")] | None = None
    """Tasks of one group count as one source problem in intervals."""
    stop: tuple[Annotated[str, Field(min_length=1, max_length=64)], ...] = Field(default=(), max_length=16)
    """Texts that end the completion."""
    most_tokens: Annotated[int, Field(ge=1, le=8192)] = 256
    """Length of the completion."""
    expected: Source | None = None
    """The right completion."""
    expected_file: FileName | None = None
    contains: tuple[Pattern, ...] = Field(default=(), max_length=100)
    """Texts that the completion has to contain, all of them."""
    matches: tuple[Pattern, ...] = Field(default=(), max_length=100)
    """Regular expressions that have to match in the completion, all of them."""
    tests: Source | None = None
    """Python that calls ``function`` and raises an exception if it is wrong; in another language, the rest of
    the program, which ends with another status than 0."""
    tests_file: FileName | None = None
    function: Annotated[str, Field(pattern=r"^[A-Za-z_]\w{0,99}$")] | None = None
    """The function that Python tests call."""
    helpers: Source | None = None
    """Python that the tests use besides the function."""
    helpers_file: FileName | None = None

    @field_validator("matches")
    @classmethod
    def _are_patterns(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for each in value:
            try:
                re.compile(each)
            except (re.error, OverflowError, RecursionError) as error:
                raise ValueError(f"{each[:60]!r} is not a regular expression: {error}") from error
        return value

    @model_validator(mode="after")
    def _is_whole(self) -> Task:
        for name in _TEXTS:
            if self.has(name) and getattr(self, name) is not None and getattr(self, f"{name}_file"):
                raise ValueError(f"has both {name} and {name}_file")
        if self.has("prompt") == self.has("prefix"):
            raise ValueError("needs exactly one of prompt and prefix")
        if self.has("suffix") and not self.has("prefix"):
            raise ValueError("has suffix without prefix")
        checks = [self.has("tests"), self.has("expected"), bool(self.contains or self.matches)]
        if sum(checks) != 1:
            raise ValueError("needs exactly one of tests, expected, and contains or matches")
        in_python = self.has("tests") and self.language == "python"
        if in_python != (self.function is not None):
            raise ValueError(
                "has tests without function" if in_python else "has function without tests in Python"
            )
        if self.has("helpers") and not in_python:
            raise ValueError("has helpers without tests in Python")
        return self

    def has(self, name: str) -> bool:
        """True if the task has a text, in its file or in one beside it."""
        return getattr(self, name) is not None or getattr(self, f"{name}_file") is not None


_TEXTS = ("prompt", "prefix", "suffix", "expected", "tests", "helpers")


def read_tasks(folder: Path) -> Iterator[tuple[str, Path, Task, dict[str, str]]]:
    """Reads the tasks of a directory.

    Yields:
        name, file, the task, and its texts by name, those in files, too.

    Raises:
        InputError: a file is wrong; names it and the key.
    """
    files = list(_task_files(folder))
    if not files:
        raise InputError(
            "The directory has no tasks.",
            where=str(folder),
            fix="add a file NAME.yaml, or a directory NAME with a task.yaml, for each task",
        )
    if len(files) > _MOST_TASKS:
        raise InputError(
            f"The directory has more than {_MOST_TASKS:,} tasks.", where=str(folder), fix="use fewer tasks"
        )
    seen: dict[str, Path] = {}
    for name, path in files:
        if name in seen:
            raise InputError(
                f"Two tasks have the name {name!r}.", where=f"{seen[name]}, {path}", fix="rename one of them"
            )
        seen[name] = path
        task = _task(path)
        yield name, path, task, _texts(task, path, folder)


def _task_files(folder: Path) -> Iterator[tuple[str, Path]]:
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_dir() or path.is_symlink() or path.suffix in _SUFFIXES:
            refuse_link(path, folder)
        if path.is_dir():
            found = [path / f"task{suffix}" for suffix in _SUFFIXES if (path / f"task{suffix}").exists()]
            if len(found) != 1:
                raise InputError(
                    "The task has more than one file." if found else "The task has no file.",
                    where=str(path),
                    fix="write one task.yaml in each directory of a task",
                )
            refuse_link(found[0], folder)
            yield _checked_name(path.name, path), found[0]
        elif path.suffix in _SUFFIXES:
            yield _checked_name(path.stem, path), path


def _checked_name(name: str, path: Path) -> str:
    if not _NAME.fullmatch(name):
        raise InputError(
            "The name of the task is not valid.",
            where=str(path),
            fix="use up to 80 letters, digits, '.', '_' and '-'",
        )
    return name


def _task(path: Path) -> Task:
    content = read_limited(path, _LARGEST_FILE, "task").removeprefix(BOM)
    try:
        data = (
            strict_loads(content)
            if path.suffix == ".json"
            else parse_yaml(content.decode("utf-8"), str(path))
        )
    except RecipeError as error:
        raise InputError(error.what.replace("recipe", "task"), where=error.where, fix=error.fix) from error
    except ValueError as error:
        raise InputError(
            f"The task is not {'JSON' if path.suffix == '.json' else 'UTF-8'}: {error}.",
            where=str(path),
            fix="correct the file",
        ) from error
    if not isinstance(data, dict):
        raise InputError(
            "The task is not a mapping of keys to values.", where=str(path), fix="write keys and values"
        )
    try:
        # By way of JSON: strict models accept a JSON list for a tuple, but not a Python list.
        return Task.model_validate_json(json.dumps(data))
    except ValidationError as error:
        raise _explained(error, path) from error


def _explained(error: ValidationError, path: Path) -> StarfreightError:
    first = error.errors(include_url=False)[0]
    key = ".".join(map(str, first["loc"]))
    if first["type"] == "extra_forbidden":
        near = difflib.get_close_matches(key, Task.model_fields, n=1, cutoff=0.5)
        return InputError(
            f"The task has an unknown key {key[:80]!r}.",
            where=f"{path}, key {key[:80]}",
            fix=f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(Task.model_fields)}",
        )
    message = first["msg"].removeprefix("Value error, ")
    if not key:
        return InputError(f"The task {message}.", where=str(path), fix="correct its keys")
    return InputError(
        f"The key {key!r} of the task is not valid: {message}.",
        where=f"{path}, key {key}",
        fix="correct that key",
    )


def _texts(task: Task, path: Path, folder: Path) -> dict[str, str]:
    texts: dict[str, str] = {}
    for name in _TEXTS:
        value, file = getattr(task, name), getattr(task, f"{name}_file")
        if file is not None:
            value = _text(file, path, folder, f"{name}_file")
        if value is not None:
            texts[name] = value
    return texts


def _text(file: str, path: Path, folder: Path, key: str) -> str:
    where = f"{path}, key {key}"
    if not _PATH.fullmatch(file):
        raise InputError(
            f"{file[:80]!r} is not a path inside the task's directory.",
            where=where,
            fix="name a file beside the task",
        )
    found: Any = path.parent / file
    try:
        refuse_link(found, folder)
        return read_limited(found, _LARGEST_FILE, "file of the task").decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{file!r} is not UTF-8.", where=where, fix="save it as UTF-8") from error
    except InputError as error:
        raise InputError(error.what, where=f"{where}: {error.where}", fix=error.fix) from error
