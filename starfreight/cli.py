"""The command line: runs a command and renders its errors."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys
from types import FrameType

import click

from starfreight import __version__
from starfreight.command_table import COMPLETION_VARIABLE, BrokenOutput, LazyGroup
from starfreight.exit_codes import INTERRUPTED, OUTPUT_CLOSED, leave_with

# Bytes. On two processors `plan` needs 239 MB, most of it reserved by numpy's threads and never used.
_LEAST_ADDRESS_SPACE = 300_000_000


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="starfreight")
def cli() -> None:
    """Train a code model of your own, package it, and prove where every byte came from.

    Turns a recipe (one YAML file) into a quantised model that people install with `ollama pull`.
    Start with:

    \b
        starfreight quickstart      run the whole line, offline, in two to three minutes
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
        _refuse_small_address_space()
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
    except BrokenOutput as error:
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


def _refuse_small_address_space() -> None:
    """Refuses a limit under which libraries in C and Rust abort the process, each in its own way."""
    import resource

    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit == resource.RLIM_INFINITY or limit >= _LEAST_ADDRESS_SPACE:
        return
    from starfreight.errors import ServiceError

    raise ServiceError(
        f"The limit on this process's memory (ulimit -v) is {limit // 10**6} MB, which is not enough.",
        where="ulimit -v",
        fix="raise the limit, such as with ulimit -v unlimited, then run the same command again",
    )


def _run(arguments: list[str]) -> int:
    if COMPLETION_VARIABLE in os.environ:
        from starfreight.commands.shell.shells import use_corrected_shells

        use_corrected_shells()
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
        raise BrokenOutput(error.strerror or "Broken pipe") from error
    return 0


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
