"""The command line: finds commands by name, imports them when they are called, and renders errors."""

from __future__ import annotations

import importlib
import signal
import sys
from types import FrameType

import click

from starfreight import __version__
from starfreight.exit_codes import INTERRUPTED, leave_with

_COMMANDS = {
    "quickstart": (
        "starfreight.commands.quickstart:quickstart",
        "Run the whole line offline on this machine's CPU.",
    ),
    "init": ("starfreight.commands.init:init", "Write a commented recipe and sample data."),
    "plan": ("starfreight.commands.plan:plan", "Estimate the cost of a recipe, and check that it fits."),
    "run": ("starfreight.commands.run:run", "Plan, train and package a recipe, and publish it on request."),
    "data": (
        "starfreight.jobs.data.cli:data",
        "Inspect a recipe's data and the filters' decisions.",
    ),
    "jobs": ("starfreight.jobs.cli:jobs", "Run jobs, follow them and control them."),
    "images": ("starfreight.images.cli:images", "Build and push the container images for jobs."),
    "package": ("starfreight.packager.cli:package", "Build, inspect and verify packages."),
    "publish": ("starfreight.packager.cli:publish", "Push a package to a registry."),
    "starter": (
        "starfreight.jobs.starter.cli:starter",
        "Rebuild the small base model that ships with Starfreight.",
    ),
}
"""Each command's module and summary, so that the help imports none of them."""


class LazyGroup(click.Group):
    """A group that imports a command only to run it or to show its help."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names in their usual order of use."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Imports the command of that name."""
        if cmd_name not in _COMMANDS:
            return None
        module, attribute = _COMMANDS[cmd_name][0].split(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Lists the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in _COMMANDS.items()])


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
    75 a job stopped with its checkpoint written, 130 interrupted, 1 anything else.

    Shell completion: eval "$(_STARFREIGHT_COMPLETE=bash_source starfreight)", or zsh_source, fish_source.
    """


def main(arguments: list[str] | None = None) -> int:
    """Runs a command line and returns its exit code. All errors are rendered here."""
    arguments = sys.argv[1:] if arguments is None else arguments
    signal.signal(signal.SIGTERM, _as_interrupt)
    try:
        code = cli.main(args=arguments, prog_name="starfreight", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except click.ClickException as error:
        return _render_usage(error, json_output="--json" in arguments)
    except (KeyboardInterrupt, click.Abort):
        print("Interrupted. Run the same command again to continue.", file=sys.stderr)
        if "--json" in arguments:
            _print_error("Interrupted", "Interrupted.", None, "run the same command again", INTERRUPTED)
        return INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()  # Python would print a warning at exit.
        return 1
    except Exception as error:
        return _render(error, json_output="--json" in arguments)


def _render(error: Exception, *, json_output: bool) -> int:
    from starfreight.console import Console
    from starfreight.errors import ServiceError, StarfreightError

    if isinstance(error, OSError) and not isinstance(error, StarfreightError):
        error = ServiceError(
            f"The operating system reported: {error.strerror or error}.",
            where=error.filename if isinstance(error.filename, str) else None,
            fix="check the path, its permissions and the free space, then run the same command again",
        )
    if not isinstance(error, StarfreightError):
        raise error
    try:
        Console(json_output=json_output).error(error)
    except OSError:  # Standard output itself failed.
        Console().error(error)
    return error.exit_code


def _render_usage(error: click.ClickException, *, json_output: bool) -> int:
    """Renders a usage error in the three lines of every error."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    where = context.command_path if context else None
    fix = f"{where} --help" if where else "starfreight --help"
    lines = [f"Error: {error.format_message()}", *([f"  where: {where}"] if where else []), f"  next:  {fix}"]
    print("\n".join(lines), file=sys.stderr)
    if json_output:
        _print_error(type(error).__name__, error.format_message(), where, fix, error.exit_code)
    return error.exit_code


def _print_error(kind: str, what: str, where: str | None, fix: str, code: int) -> None:
    import json

    said = {"kind": kind, "what": what, "where": where, "next": fix, "exit_code": code}
    print(json.dumps({"error": said}), flush=True)


def _as_interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def entry() -> None:
    """Runs the command line of this process and exits."""
    leave_with(main)
