"""The commands by name: imported when they are called, so that help and completion import none."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterable, Mapping

import click
from click.shell_completion import CompletionItem

COMPLETION_VARIABLE = "_STARFREIGHT_COMPLETE"
"""Set by a shell that asks for completions."""

_COMMANDS = {
    "quickstart": (
        "starfreight.commands.quickstart:quickstart",
        "Run the whole line offline on this machine's CPU.",
    ),
    "init": ("starfreight.commands.init:init", "Write a commented recipe, for your code or with samples."),
    "plan": ("starfreight.commands.plan:plan", "Estimate the cost of a recipe, and check that it fits."),
    "run": ("starfreight.commands.run:run", "Plan, train and package a recipe, and publish it on request."),
    "runs": ("starfreight.commands.runs:runs", "Show all runs everywhere, with progress and time left."),
    "data": (
        "starfreight.jobs.data.cli:data",
        "Inspect a recipe's data, or push it to a registry.",
    ),
    "jobs": ("starfreight.jobs.cli:jobs", "Run jobs, follow them and control them."),
    "images": ("starfreight.images.cli:images", "Build and push the container images for jobs."),
    "package": ("starfreight.packager.cli:package", "Build, inspect and verify packages."),
    "try": ("starfreight.packager.cli.try_model:try_model", "Complete code with a packaged model."),
    "serve-model": (
        "starfreight.packager.cli.serve_model:serve_model",
        "Serve a packaged model to editors.",
    ),
    "publish": ("starfreight.packager.cli.publish:publish", "Push a package to a registry."),
    "gateway": ("starfreight.packager.cli.gateway:gateway", "Serve a private registry to stock Ollama."),
    "doctor": (
        "starfreight.commands.doctor:doctor",
        "Check this machine, or who can pull a published package.",
    ),
    "docs": ("starfreight.commands.docs:docs", "Print a page of the documentation, or list the pages."),
    "completion": (
        "starfreight.commands.shell.completion:completion",
        "Print the completion script for bash, zsh or fish.",
    ),
    "starter": (
        "starfreight.jobs.starter.cli:starter",
        "Rebuild the small base model that ships with Starfreight.",
    ),
}
"""Each command's module and summary, so that the help imports none of them."""

_JOINED = {
    "jobs": {
        "evaluate": (
            "starfreight.commands.evaluate:evaluate",
            "Evaluate a packaged model, a GGUF file or a server's model.",
        ),
        "resume": (
            "starfreight.commands.resume:resume",
            "Resume RUN from its last checkpoint, on the same backend and with the same options.",
        ),
    },
    "package": {
        "compare": (
            "starfreight.jobs.cli.compare:compare_models",
            "Compare packages, runs and evaluations.",
        ),
        "rebuild": (
            "starfreight.commands.rebuild:rebuild_command",
            "Make a package's GGUF files again, and compare them bit by bit.",
        ),
    },
}
"""Commands of the hall inside a room's group, because they join rooms."""


_LONGEST_SUMMARY = 200
"""Characters of a command's first sentence in the list of its group, which click cuts to one line."""


class BrokenOutput(ConnectionError):
    """A pipe or a connection was closed by its other end. Without ``errno``, so that click lets it pass."""


class LazyGroup(click.Group):
    """A group that imports a command only to run it or to show its help."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names in their usual order of use."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Imports the command of that name."""
        if cmd_name not in _COMMANDS:
            return None
        command = _import(_COMMANDS[cmd_name][0])
        return (
            _JoinedGroup(command, _JOINED.get(cmd_name, {})) if isinstance(command, click.Group) else command
        )

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """The names and summaries, without importing the commands."""
        names = [
            CompletionItem(name, help=line)
            for name, (_, line) in _COMMANDS.items()
            if name.startswith(incomplete)
        ]
        return [*names, *click.Command.shell_complete(self, ctx, incomplete)]

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Finds the command; for an unknown one, names similar commands, also those of groups."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError:
            if not (near := _near(args[0], _COMMANDS) or self._in_groups(ctx, args[0])):
                raise
            raise _unknown(args[0], near, ctx) from None

    def _in_groups(self, ctx: click.Context, name: str) -> list[str]:
        groups = {each: self.get_command(ctx, each) for each in _COMMANDS}
        return [
            f"{each} {name}"
            for each, group in groups.items()
            if isinstance(group, click.Group) and name in group.list_commands(ctx)
        ]

    def invoke(self, ctx: click.Context) -> object:
        """Runs the command. click would end the process without a word if a connection broke."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise BrokenOutput(error.strerror or "Broken pipe") from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Lists the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in _COMMANDS.items()])


class _JoinedGroup(click.Group):
    """A room's group, with commands of the hall if there are any, which are imported only to run them.

    Args:
        group: of the room; it stays as it is.
        joined: module and summary of each command of the hall.
    """

    def __init__(self, group: click.Group, joined: Mapping[str, tuple[str, str]]) -> None:
        super().__init__(group.name, group.commands, params=group.params, help=group.help)
        self.callback = group.callback
        self._joined = joined

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names in alphabetical order."""
        return sorted({*super().list_commands(ctx), *self._joined})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name; the hall's comes first."""
        joined = self._joined.get(cmd_name)
        return _import(joined[0]) if joined else super().get_command(ctx, cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Finds the command; for an unknown one, names similar commands."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError:
            if not (near := _near(args[0], self.list_commands(ctx))):
                raise
            raise _unknown(args[0], near, ctx) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Lists the commands with their whole first sentences, without importing the hall's."""
        rows = []
        for name in self.list_commands(ctx):
            command = None if name in self._joined else super().get_command(ctx, name)
            if command is None:
                rows.append((name, self._joined[name][1]))
            elif not command.hidden:
                rows.append((name, command.get_short_help_str(_LONGEST_SUMMARY)))
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def _near(name: str, known: Iterable[str]) -> list[str]:
    import difflib

    return difflib.get_close_matches(name, known, n=1)


def _unknown(name: str, near: list[str], ctx: click.Context) -> click.UsageError:
    guesses = " or ".join(map(repr, near))
    return click.UsageError(f"No such command {name!r}. Did you mean {guesses}?", ctx)


def _import(path: str) -> click.Command:
    module, attribute = path.split(":")
    command: click.Command = getattr(importlib.import_module(module), attribute)
    if COMPLETION_VARIABLE in os.environ:
        from starfreight.commands.shell.values import complete_parameters

        complete_parameters(command)
    return command
