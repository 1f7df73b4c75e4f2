"""The reference of the command line in Markdown, made from the commands themselves.

Used by the documentation's build (``tools/docs/hooks.py``), so it is never out of date.
"""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Iterator

import click

_WIDTH = 100


def command_reference(root: click.Command, name: str = "starfreight") -> str:
    """The page: each command with its usage, description, arguments and options.

    Args:
        root: the command line's outermost group.
        name: the program's name.
    """
    lines = [
        "# Command line",
        "",
        "Generated from the commands. Every command also has `--help`.",
        "[Exit codes](exit-codes.md) are the same for all.",
    ]
    for path, context in walk_commands(root, name):
        lines += ["", f"## {path}", "", *_command(path, context)]
    return "\n".join(lines) + "\n"


def command_paths(root: click.Command, name: str = "starfreight") -> list[str]:
    """All commands and groups by their full names, in the reference's order."""
    return [path for path, _ in walk_commands(root, name)]


def walk_commands(
    command: click.Command, name: str, parent: click.Context | None = None
) -> Iterator[tuple[str, click.Context]]:
    """A command and all below it: full name and context of each, in the order of the help."""
    context = click.Context(
        command, info_name=name, parent=parent, terminal_width=_WIDTH, max_content_width=_WIDTH
    )
    yield context.command_path, context
    if isinstance(command, click.Group):
        for child in command.list_commands(context):
            found = command.get_command(context, child)
            if found is not None and not found.hidden:
                yield from walk_commands(found, child, context)


def _command(path: str, context: click.Context) -> Iterator[str]:
    command = context.command
    usage = " ".join(command.collect_usage_pieces(context))
    yield from ("```text", f"{path} {usage}".rstrip(), "```", "")
    yield from _description(command.help or "")
    options = [
        record
        for parameter in command.get_params(context)
        if (record := parameter.get_help_record(context)) and not getattr(parameter, "hidden", False)
    ]
    if options:
        yield from ("", "| option | meaning |", "|---|---|")
        for option, meaning in options:
            yield f"| `{_cell(option)}` | {_prose(_cell(meaning))} |"
    if isinstance(command, click.Group):
        yield ""
        for child in command.list_commands(context):
            found = command.get_command(context, child)
            if found is not None and not found.hidden:
                yield f"- [`{path} {child}`](#{_anchor(f'{path} {child}')})"


def _description(text: str) -> Iterator[str]:
    """Paragraphs of a help text; verbatim (``\\b``) and indented ones as blocks."""
    for paragraph in re.split(r"\n\s*\n", inspect.cleandoc(text.replace("\f", ""))):
        lines = paragraph.splitlines()
        as_it_is = lines[0].strip() == "\b"
        lines = lines[1:] if as_it_is else lines
        if as_it_is or all(line.startswith("    ") for line in lines):
            yield from ("```text", *textwrap.dedent("\n".join(lines)).splitlines(), "```", "")
        else:
            yield from (_prose(" ".join(line.strip() for line in lines)), "")


def _prose(text: str) -> str:
    """Text whose characters mean nothing in Markdown, except code in backticks."""
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(
        part
        if part.startswith("`") and part.endswith("`") and len(part) > 1
        else re.sub(r"([*_<\[\]])", r"\\\1", part)
        for part in parts
    )


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _anchor(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-")
