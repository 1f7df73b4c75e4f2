"""The command line: finds commands by name, imports them when they are called, and renders errors."""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import signal
import sys
from collections.abc import Mapping
from types import FrameType

import click
from click.shell_completion import CompletionItem

from starfreight import __version__
from starfreight.exit_codes import INTERRUPTED, OUTPUT_CLOSED, leave_with

COMPLETION_VARIABLE = "_STARFREIGHT_COMPLETE"
"""Set by a shell that asks for completions."""

_COMMANDS = {
    "quickstart": (
        "starfreight.commands.quickstart:quickstart",
        "Run the whole line offline on this machine's CPU.",
    ),
    "init": ("starfreight.commands.init:init", "Write a commented recipe and sample data."),
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
        joined = _JOINED.get(cmd_name)
        return _JoinedGroup(command, joined) if joined and isinstance(command, click.Group) else command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """The names and summaries, without importing the commands."""
        names = [
            CompletionItem(name, help=line)
            for name, (_, line) in _COMMANDS.items()
            if name.startswith(incomplete)
        ]
        return [*names, *click.Command.shell_complete(self, ctx, incomplete)]

    def invoke(self, ctx: click.Context) -> object:
        """Runs the command. click would end the process without a word if a connection broke."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise _BrokenPipe(error.strerror or "Broken pipe") from error

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Lists the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in _COMMANDS.items()])


class _JoinedGroup(click.Group):
    """A room's group with commands of the hall, which are imported only to run them.

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

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Lists the commands without importing the hall's."""
        rows = []
        for name in self.list_commands(ctx):
            command = None if name in self._joined else super().get_command(ctx, name)
            if command is None:
                rows.append((name, self._joined[name][1]))
            elif not command.hidden:
                rows.append((name, command.get_short_help_str(formatter.width - len(name) - 10)))
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def _import(path: str) -> click.Command:
    module, attribute = path.split(":")
    command: click.Command = getattr(importlib.import_module(module), attribute)
    if COMPLETION_VARIABLE in os.environ:
        from starfreight.commands.shell.values import complete_parameters

        complete_parameters(command)
    return command


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="starfreight")
def cli() -> None:
    """Train a code model of your own, package it, and prove where every byte came from.

    Turns a recipe (one YAML file) into a quantised model that people install with `ollama pull`.
    Start with:

    \b
        starfreight quickstart      run the whole line, offline, in about two minutes
        starfreight init my-model   write a recipe of your own

    Exit codes: 0 done, 2 usage or recipe error, 3 refused by a gate, 4 an outside service failed,
    71 a GPU failed, 75 a job stopped with its checkpoint written, 130 interrupted, 141 output closed,
    1 anything else.

    Shell completion: starfreight completion bash, or zsh, fish.
    """


def main(arguments: list[str] | None = None) -> int:
    """Runs a command line and returns its exit code. All errors are rendered here."""
    arguments = sys.argv[1:] if arguments is None else arguments
    signal.signal(signal.SIGTERM, _as_interrupt)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # As for standard error: a character that the terminal's encoding lacks does not end a command.
        sys.stdout.reconfigure(errors="backslashreplace")
    json_output = "--json" in arguments
    try:
        return _run(arguments)
    except SystemExit as leaving:
        # click leaves when a pipe is closed while it prints help.
        if not leaving.code or not _closed_streams():
            raise
        code = OUTPUT_CLOSED
    except click.ClickException as error:
        code = _render_usage(error, json_output=json_output)
    except (KeyboardInterrupt, click.Abort):
        code = _render_interrupt(json_output=json_output)
    except _BrokenPipe as error:
        code = (
            OUTPUT_CLOSED if _closed_streams() else _render(error.__cause__ or error, json_output=json_output)
        )
    except Exception as error:
        code = _render(error, json_output=json_output)
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # Of a library in Rust.
            raise
        code = _render(error, json_output=json_output)
    _discard_closed_output()
    return code


def _run(arguments: list[str]) -> int:
    try:
        code = cli.main(args=arguments, prog_name="starfreight", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        # A command without arguments is a question, not a mistake.
        said = error.ctx.get_help() if error.ctx else error.format_message()
    else:
        return code if isinstance(code, int) else 0
    try:
        print(said, flush=True)
    except BrokenPipeError as error:
        raise _BrokenPipe(error.strerror or "Broken pipe") from error
    return 0


class _BrokenPipe(ConnectionError):
    """A pipe or a connection was closed by its other end. Without ``errno``, so that click lets it pass."""


def _closed_streams() -> list[int]:
    """The descriptors of standard output and standard error whose reader has gone, such as ``| head``."""
    import select

    poll = select.poll()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):  # Closed, or not a file.
            poll.register(stream.fileno(), 0)
    return [number for number, event in poll.poll(0) if event & select.POLLERR]


def _discard_closed_output() -> None:
    """Discards output that nobody can read: Python would warn at exit and change the exit code."""
    for number in _closed_streams():
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, number)
        os.close(null)


def _render(error: BaseException, *, json_output: bool) -> int:
    if isinstance(error, MemoryError):
        import traceback

        traceback.clear_frames(error.__traceback__)  # They hold the memory that the next lines need.
    try:
        from starfreight.console import Console
        from starfreight.unexpected import explain, print_traceback

        explained = explain(error)
        with contextlib.suppress(BrokenPipeError):
            print_traceback(error)
            try:
                Console(json_output=json_output).error(explained)
            except OSError:  # Standard output itself failed.
                Console().error(explained)
        return explained.exit_code
    except (ImportError, MemoryError):
        # Not even memory for this. The words need no module.
        os.write(2, b"Error: The memory of this machine, or the limit on it, is not enough.\n")
        os.write(2, b"  next:  free some memory or raise the limit, then run the same command again\n")
        return 4


def _render_usage(error: click.ClickException, *, json_output: bool) -> int:
    """Renders a usage error in the three lines of every error."""
    from starfreight.console import harmless

    context = error.ctx if isinstance(error, click.UsageError) else None
    where = context.command_path if context else None
    fix = f"{where} --help" if where else "starfreight --help"
    lines = [f"Error: {error.format_message()}", *([f"  where: {where}"] if where else []), f"  next:  {fix}"]
    with contextlib.suppress(BrokenPipeError):
        print(harmless("\n".join(lines)), file=sys.stderr, flush=True)
    if json_output:
        _print_error(type(error).__name__, error.format_message(), where, fix, error.exit_code)
    return error.exit_code


def _render_interrupt(*, json_output: bool) -> int:
    with contextlib.suppress(BrokenPipeError):
        print("Interrupted. Run the same command again to continue.", file=sys.stderr, flush=True)
    if json_output:
        _print_error("Interrupted", "Interrupted.", None, "run the same command again", INTERRUPTED)
    return INTERRUPTED


def _print_error(kind: str, what: str, where: str | None, fix: str, code: int) -> None:
    import json

    said = {"kind": kind, "what": what, "where": where, "next": fix, "exit_code": code}
    with contextlib.suppress(OSError):  # Standard output failed; standard error has the message.
        print(json.dumps({"error": said}), flush=True)


def _as_interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def entry() -> None:
    """Runs the command line of this process and exits."""
    leave_with(main)
