"""``starfreight completion``."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from starfreight.console import Console
from starfreight.errors import InputError
from starfreight.options import with_console

_PLACES = {
    "bash": "~/.local/share/bash-completion/completions/starfreight",
    "zsh": "~/.zfunc/_starfreight",
    "fish": "~/.config/fish/completions/starfreight.fish",
}
"""Files that each shell reads when it starts, or when the command is first completed."""

_MORE = {
    "bash": "Then start a new shell. The file is read by the package bash-completion; without it: "
    "echo 'eval \"$(starfreight completion bash)\"' >> ~/.bashrc",
    "zsh": "Then add to ~/.zshrc, before compinit: fpath+=~/.zfunc; start a new shell.",
    "fish": "Then start a new shell.",
}


@click.command()
@click.argument("shell", metavar="[SHELL]", type=click.Choice(list(_PLACES)), required=False)
@with_console
def completion(shell: str | None, console: Console) -> None:
    """Print the script that completes starfreight's commands in SHELL: bash, zsh or fish.

    It completes commands, options, recipes, runs, packages, quantizations and GPUs. At a terminal, or without
    SHELL, prints how to install it.

    \b
        eval "$(starfreight completion bash)"
        starfreight completion fish > ~/.config/fish/completions/starfreight.fish
    """
    if shell is None:
        shell = Path(os.environ.get("SHELL", "")).name
        if shell not in _PLACES:
            raise InputError(
                "The shell is unknown.", where="variable SHELL", fix="name it: starfreight completion bash"
            )
        console.result({"shell": shell, "install": install_command(shell)}, install_text(shell))
    elif console.json_output:
        console.result(
            {"shell": shell, "install": install_command(shell), "script": script(shell)}, script(shell)
        )
    else:
        print(script(shell))
        if sys.stdout.isatty():
            console.note(f"\n{install_text(shell)}")


def script(shell: str) -> str:
    """The script for a shell. It asks starfreight for the words."""
    from click.shell_completion import get_completion_class

    from starfreight.cli import cli
    from starfreight.command_table import COMPLETION_VARIABLE
    from starfreight.commands.shell.shells import use_corrected_shells

    use_corrected_shells()
    found = get_completion_class(shell)
    assert found is not None
    maker = found(cli, {}, "starfreight", COMPLETION_VARIABLE)
    # Without click's check of the bash on this machine, which runs it.
    return maker.source_template % maker.source_vars()


def install_command(shell: str) -> str:
    """The command that installs the script."""
    place = _PLACES[shell]
    return f"mkdir -p {place.rpartition('/')[0]} && starfreight completion {shell} > {place}"


def install_text(shell: str) -> str:
    """How to install the script."""
    return f"To install completion for {shell}:\n\n    {install_command(shell)}\n\n{_MORE[shell]}"
