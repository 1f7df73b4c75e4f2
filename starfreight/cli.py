"""The front door: commands by name, loaded when they are called, and where errors are rendered."""

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
        "The whole line, offline, on this machine's CPU.",
    ),
    "init": ("starfreight.commands.init:init", "A commented recipe and sample data to start from."),
    "plan": ("starfreight.commands.plan:plan", "What a recipe will cost, and whether it will fit."),
    "run": ("starfreight.commands.run:run", "Plan, train and package a recipe; publish it when asked."),
    "data": (
        "starfreight.jobs.data.cli:data",
        "Inspect a recipe's data, and what the filters leave out.",
    ),
    "jobs": ("starfreight.jobs.cli:jobs", "Train: run jobs and look at them."),
    "images": ("starfreight.images.cli:images", "Build and push the container images that jobs run in."),
    "package": ("starfreight.packager.cli:package", "Build, inspect and verify packages."),
    "publish": ("starfreight.packager.cli:publish", "Push a package to a registry."),
    "starter": (
        "starfreight.jobs.starter.cli:starter",
        "Rebuild the small base model that ships along.",
    ),
}
"""Where each command lives, and its line in the help: so that help imports none of them."""


class LazyGroup(click.Group):
    """A group that imports a command when it is called or asked for its help, and not before."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the order of the line."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, imported."""
        if cmd_name not in _COMMANDS:
            return None
        module, attribute = _COMMANDS[cmd_name][0].split(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands, from what is known without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in _COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="starfreight")
def cli() -> None:
    """Train a code model of your own, package it, and prove where every byte came from.

    A recipe (one YAML file) goes in; a quantised model that people install with `ollama pull`
    comes out. Begin with:

    \b
        starfreight quickstart      see the whole line run, offline, in about two minutes
        starfreight init my-model   write a recipe of your own

    Exit codes: 0 done, 2 usage or recipe error, 3 refused by a gate, 4 an outside service failed,
    75 a job stopped with its checkpoint written, 130 interrupted, 1 anything else.

    Shell completion: eval "$(_STARFREIGHT_COMPLETE=bash_source starfreight)", or zsh_source, fish_source.
    """


def main(arguments: list[str] | None = None) -> int:
    """Runs a command line and returns its exit code. Errors are rendered here and nowhere else."""
    arguments = sys.argv[1:] if arguments is None else arguments
    signal.signal(signal.SIGTERM, _as_interrupt)
    try:
        code = cli.main(args=arguments, prog_name="starfreight", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except click.ClickException as error:
        return _render_usage(error, json_output="--json" in arguments)
    except (KeyboardInterrupt, click.Abort):
        print("Interrupted. Run the same command again to go on.", file=sys.stderr)
        if "--json" in arguments:
            _print_error("Interrupted", "Interrupted.", None, "run the same command again", INTERRUPTED)
        return INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()  # Python would complain on its way out.
        return 1
    except Exception as error:
        return _render(error, json_output="--json" in arguments)


def _render(error: Exception, *, json_output: bool) -> int:
    from starfreight.console import Console
    from starfreight.errors import ServiceError, StarfreightError

    if isinstance(error, OSError) and not isinstance(error, StarfreightError):
        error = ServiceError(
            f"The operating system refused: {error.strerror or error}.",
            where=error.filename if isinstance(error.filename, str) else None,
            fix="check the path, its permissions and the free space, then run the same command again",
        )
    if not isinstance(error, StarfreightError):
        raise error
    try:
        Console(json_output=json_output).error(error)
    except OSError:  # Standard output itself is what failed.
        Console().error(error)
    return error.exit_code


def _render_usage(error: click.ClickException, *, json_output: bool) -> int:
    """A mistake on the command line, in the three lines that every error has."""
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
    """The console script."""
    leave_with(main)
