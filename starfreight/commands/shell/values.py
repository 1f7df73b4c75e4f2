"""Values that a shell offers for arguments and options, by their names.

One table for all commands, so that no command imports anything for it. Nothing is fetched, and no directory
is searched deeply: the user waits for each key.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import click
from click.shell_completion import CompletionItem

_MOST_ENTRIES = 2_000
"""Entries of a directory to look at."""
_MOST_READ = 64 << 10
_RECIPE = re.compile(rb"^base[ \t]*:", re.MULTILINE)
_SAFE = re.compile(r"[^\s\x00-\x1f\x7f'\"`$\\|&;<>()*?\[\]{}!#~]+")
"""Paths that need no quotes in any shell; others are left to the shell's own completion."""
_SUFFIXES = (".yaml", ".yml")

Values = Callable[[click.Context, str], Iterable[str]]


def complete_parameters(command: click.Command) -> None:
    """Let the parameters of a command, and of the commands in a group, offer their values."""
    if isinstance(command, click.Group):
        for each in command.commands.values():
            complete_parameters(each)
    for parameter in command.params:
        if isinstance(parameter, click.Argument):
            paths = _ARGUMENTS.get(parameter.name or "")
            if paths is not None and getattr(parameter, "_custom_shell_complete", None) is None:
                _offer(parameter, _paths(paths))
        elif not isinstance(getattr(parameter, "type", None), click.Choice):
            found = next((_OPTIONS[name] for name in parameter.opts if name in _OPTIONS), None)
            if found is not None:
                _offer(parameter, _words(found))
            elif not _PATH_OPTIONS.isdisjoint(parameter.opts):
                _offer(parameter, _paths(_none))


def _offer(
    parameter: click.Parameter, complete: Callable[[click.Context, str], list[CompletionItem]]
) -> None:
    # On the object alone: a parameter's class is click's.
    setattr(parameter, "shell_complete", complete)  # noqa: B010


def _words(values: Values) -> Callable[[click.Context, str], list[CompletionItem]]:
    def complete(ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        start = incomplete.lower()
        return [CompletionItem(word) for word in values(ctx, incomplete) if word.lower().startswith(start)]

    return complete


def _paths(values: Values) -> Callable[[click.Context, str], list[CompletionItem]]:
    def complete(ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        try:
            found = [each for each in values(ctx, incomplete) if each.startswith(incomplete)]
        except OSError:
            found = []
        safe = [CompletionItem(each) for each in found if _SAFE.fullmatch(each)]
        return safe or [CompletionItem(incomplete, type="file")]

    return complete


def _none(ctx: click.Context, incomplete: str) -> Iterable[str]:
    return ()


def _recipes(ctx: click.Context, incomplete: str) -> Iterator[str]:
    """Recipes in the directory typed so far, and in those directly below."""
    folder = incomplete[: incomplete.rfind("/") + 1]
    below = []
    for entry in _entries(folder or "."):
        name = folder + entry.name
        if entry.name.endswith(_SUFFIXES) and entry.is_file() and _is_recipe(name):
            yield name
        elif entry.is_dir() and name.startswith(incomplete):
            below.append(name)
    for directory in below[:50]:
        for entry in _entries(directory):
            name = f"{directory}/{entry.name}"
            if entry.name.endswith(_SUFFIXES) and entry.is_file() and _is_recipe(name):
                yield name


def _is_recipe(path: str) -> bool:
    try:
        with Path(path).open("rb") as stream:
            return _RECIPE.search(stream.read(_MOST_READ)) is not None
    except OSError:
        return False


def _runs(ctx: click.Context, incomplete: str) -> Iterator[str]:
    """Runs by their paths, and by their ids once one is typed."""
    folder = str(ctx.params.get("runs") or "runs")
    names = [each.name for each in _entries(folder) if _holds(each.path, "run.json", "evaluation.json")]
    yield from (name for name in names if incomplete and name.startswith(incomplete))
    yield from (f"{folder}/{name}" for name in names)


def _packages(ctx: click.Context, incomplete: str) -> Iterator[str]:
    """Packages in ``packages``, or in the directory typed so far."""
    typed = incomplete[: incomplete.rfind("/") + 1]
    for folder in dict.fromkeys((typed, "" if typed else "packages/")):
        for each in _entries(folder or "."):
            if _holds(each.path, "package.json", "index.json"):
                yield folder + each.name


def _runs_and_packages(ctx: click.Context, incomplete: str) -> Iterator[str]:
    return itertools.chain(_packages(ctx, incomplete), _runs(ctx, incomplete))


def _entries(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            found = [each for each in itertools.islice(entries, _MOST_ENTRIES) if each.name[0] != "."]
    except OSError:
        return []
    return sorted(found, key=lambda each: each.name)


def _holds(folder: str, *names: str) -> bool:
    return any(Path(folder, name).is_file() for name in names)


def _quantizations(ctx: click.Context, incomplete: str) -> Iterable[str]:
    from starfreight.quantization import Quantization

    return [each.value for each in Quantization]


def _gpus(ctx: click.Context, incomplete: str) -> Iterable[str]:
    from starfreight.jobs.planning.gpus import GPUS

    return list(GPUS)


def _suites(ctx: click.Context, incomplete: str) -> Iterable[str]:
    from starfreight.jobs.evaluate.suites.table import SUITES

    return list(SUITES)


def _licenses(ctx: click.Context, incomplete: str) -> Iterable[str]:
    folder = Path(__file__).parents[2] / "licenses" / "known"
    return sorted(path.stem for path in folder.glob("*.yaml"))


_ARGUMENTS: dict[str, Values] = {
    "recipe": _recipes,
    "base": _none,
    "run": _runs,
    "names": _runs,
    "package": _packages,
    "packages": _packages,
    "model": _packages,
    "before": _packages,
    "after": _packages,
    "source": _packages,
    "target": _runs_and_packages,
    "directories": _runs_and_packages,
}
"""Values by the name of an argument. Where there are none, the shell offers its paths."""

_OPTIONS: dict[str, Values] = {
    "--quantization": _quantizations,
    "--quantize": _quantizations,
    "--variant": _quantizations,
    "--default": _quantizations,
    "--gpu": _gpus,
    "--suite": _suites,
    "--license": _licenses,
    "--base-license": _licenses,
}
"""Values by the name of an option."""

_PATH_OPTIONS = {"--base", "--file", "--key", "--vsa-key"}
"""Options that take a path or something else, such as an address. The shell offers its paths."""
