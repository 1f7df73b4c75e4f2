"""The commands in the documentation exist, and the marked ones run."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest
from documentation import PAGES, command_lines, inline_calls, shell_blocks

from starfreight.cli import cli

NIGHTLY = bool(os.environ.get("STARFREIGHT_NIGHTLY"))
_MARKED = [
    page for page in PAGES if any((b.mark or "").startswith("run") for b in shell_blocks(page.read_text()))
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_and_every_option_in_the_docs_exists(page: Path) -> None:
    text = page.read_text()
    wrong = [f"{line}: {problem}" for line in command_lines(text) if (problem := _problem(line))]
    wrong += [f"{line}: {problem}" for line in inline_calls(text) if (problem := _problem(line, whole=False))]
    assert wrong == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_of_commands_runs_in_a_test_or_says_why_not(page: Path) -> None:
    unmarked = [f"{page.name}:{block.line}" for block in shell_blocks(page.read_text()) if block.mark is None]
    assert unmarked == [], "put above it: <!-- run -->, <!-- run nightly --> or <!-- not run: REASON -->"


@pytest.mark.parametrize("page", _MARKED, ids=lambda page: page.name)
def test_marked_blocks_run_one_after_another(page: Path, tmp_path: Path) -> None:
    marks = {"run", "run nightly"} if NIGHTLY else {"run"}
    blocks = [block for block in shell_blocks(page.read_text()) if block.mark in marks]
    if not blocks:
        pytest.skip("set STARFREIGHT_NIGHTLY=1")
    script = "set -euo pipefail\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n"
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", script + "\n".join(block.script for block in blocks)],
        cwd=tmp_path,
        env={**os.environ, "PATH": path, "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


def _problem(line: str, *, whole: bool = True) -> str | None:
    """Errors in the names and the number of arguments of a call.

    Args:
        line: the call.
        whole: required arguments must not be missing.
    """
    text = re.split(r"\s(?:[|>&;]|2>|<)", line)[0]
    try:
        words = shlex.split(text, comments=True)[1:]
    except ValueError:  # A quoted argument of several lines.
        words = text.split()[1:]
    command: click.Command = cli
    context = click.Context(cli, info_name="starfreight")
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        name = words.pop(0)
        if name.isupper():
            return None
        if "|" in name:  # Alternatives.
            unknown = [
                each for each in name.split("|") if command.get_command(context, each.split()[0]) is None
            ]
            return f"no command {', '.join(unknown)}" if unknown else None
        found = command.get_command(context, name)
        if found is None:
            return f"no command {name}"
        command = found
        context = click.Context(command, info_name=name, parent=context)
    known = {
        option
        for parameter in command.get_params(context)
        for option in (*parameter.opts, *parameter.secondary_opts)
    }
    options = [word.partition("=")[0] for word in words if re.match(r"--[a-z]|-[a-z]$", word)]
    missing = [
        option for option in options if option not in known and option not in ("--help", "-h", "--version")
    ]
    if missing:
        return f"no option {', '.join(missing)}"
    if (
        isinstance(command, click.Group)
        or {"--help", "-h", "--version"} & {*words}
        or re.search(r"[\[|]|\.\.\.", text)
    ):
        return None
    try:
        given, extra, _ = command.make_parser(context).parse_args(list(words))
    except click.UsageError as error:
        return error.format_message() if whole else None
    if extra:
        return f"unexpected {' '.join(extra)}"
    lacking = [
        parameter.human_readable_name
        for parameter in command.params
        if parameter.required and not isinstance(given.get(parameter.name or ""), str | tuple | list)
    ]
    return f"missing {', '.join(lacking)}" if whole and lacking else None


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("starfreight package trace REF FILE", "unexpected FILE"),
        ("starfreight publish packages/NAME", "missing REF"),
        ("starfreight plan recipe.yaml --gpus 4", "no option --gpus"),
        ("starfreight package sing packages/NAME", "no command sing"),
        ("starfreight publish packages/NAME HOST/NAMESPACE/NAME:TAG --insecure", None),
    ],
)
def test_wrong_calls_are_found(line: str, problem: str | None) -> None:
    found = _problem(line)
    assert found == problem or (found is not None and problem is not None and found.startswith(problem[:8]))
