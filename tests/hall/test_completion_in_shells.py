"""Completion in the shells themselves, at a terminal, by the key that completes."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time
from importlib.resources import files
from pathlib import Path

import pytest

from starfreight.commands.shell.completion import script

# The bound key shows the line as it has become.
START = {
    "bash": "source ~/functions/_starfreight\nshow() { printf '<%s>' \"$READLINE_LINE\"; }\n"
    "bind -x '\"\\C-g\": show'\nPS1='READY> '\n",
    "zsh": "fpath+=~/functions\nautoload -Uz compinit; compinit -u; unset zle_bracketed_paste\n"
    "show() { print -rn -- \"<$BUFFER>\" }\nzle -N show; bindkey '^G' show\nPS1='READY> '\n",
}
SECONDS = 60


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with recipes, a run, a package, and the program."""
    recipe = files("starfreight.commands").joinpath("sample", "recipe.yaml").read_text()
    for name, text in (
        ("own.yaml", recipe), ("with space.yaml", recipe), ("a,b.yaml", recipe),
        ("$(touch bad).yaml", recipe), ("my models/recipe.yaml", recipe), ("runs/acme-1/run.json", "{}"),
        ("keys/acme.key", ""), ("packages/acme-1/package.json", "{}"),
        ("bin/starfreight", f'#!/bin/sh\nexec {sys.executable} -P -m starfreight "$@"\n'),
    ):  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "bin/starfreight").chmod(0o755)
    return tmp_path


@pytest.fixture
def environment(home: Path) -> dict[str, str]:
    return {
        "HOME": str(home), "PATH": f"{home}/bin:{os.environ['PATH']}", "TERM": "dumb", "LC_ALL": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
    }  # fmt: skip


# The line before the key and after it.
LINES = [
    ("starfreight pl", "starfreight plan "),
    ("starfreight plan o", "starfreight plan own.yaml "),
    ("starfreight plan a", "starfreight plan a,b.yaml "),
    ("starfreight plan w", "starfreight plan with\\ space.yaml "),
    ("starfreight plan my\\ ", "starfreight plan my\\ models/"),
    ("starfreight plan ~/o", "starfreight plan ~/own.yaml "),
    ("starfreight plan '$", "starfreight plan '$(touch bad).yaml' "),
    ("starfreight plan own.yaml --gpu h2", "starfreight plan own.yaml --gpu h200 "),
    ("starfreight plan own.yaml --gpu=h2", "starfreight plan own.yaml --gpu=h200 "),
    ("starfreight init --code=my", "starfreight init --code=my\\ models/"),
    ("starfreight package sign x --key keys/", "starfreight package sign x --key keys/acme.key "),
    ("starfreight jobs status ", "starfreight jobs status runs/acme-1 "),
    ("starfreight publish ", "starfreight publish packages/acme-1 "),
    ("starfreight package install x --variant q6", "starfreight package install x --variant Q6_K "),
]


def program(shell: str) -> str:
    found = shutil.which(shell)
    if found is None:
        pytest.skip(f"{shell} is not installed")
    return found


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_a_line_is_completed(shell: str, home: Path, environment: dict[str, str]) -> None:
    (home / "functions").mkdir()
    (home / "functions/_starfreight").write_text(script(shell))
    (home / f".{shell}rc").write_text(START[shell])
    found = _typed([program(shell), "-i"], home, environment, [before for before, _ in LINES])
    assert found == [after for _, after in LINES]
    assert not (home / "bad").exists()


def test_zsh_takes_the_script_at_its_start(home: Path, environment: dict[str, str]) -> None:
    (home / "script").write_text(script("zsh"))
    (home / ".zshrc").write_text(START["zsh"] + "source ~/script\n")
    found = _typed([program("zsh"), "-i"], home, environment, ["starfreight plan o", "starfreight pl"])
    assert found == ["starfreight plan own.yaml ", "starfreight plan "]


def test_fish_offers_the_values(home: Path, environment: dict[str, str]) -> None:
    folder = home / ".config/fish/completions"
    folder.mkdir(parents=True)
    (folder / "starfreight.fish").write_text(script("fish"))
    wanted = []
    asked = ""
    for before, after in LINES:
        quoted = before.replace("\\", "\\\\").replace("'", "\\'")
        asked += f"complete -C '{quoted}' | string replace --regex '\\t.*' ''; echo .\n"
        # The last word, as the file or value is called.
        wanted.append(re.split(r"(?<!\\) (?!bad)", after.rstrip(" "))[-1].replace("\\", "").strip("'"))
    done = subprocess.run(
        [program("fish"), "-c", asked], cwd=home, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split("\n.\n")[:-1] == wanted
    assert not (home / "bad").exists()


def _typed(command: list[str], home: Path, environment: dict[str, str], lines: list[str]) -> list[str]:
    """Types each line and the key; returns the lines as they have become."""
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(home)
        os.execve(command[0], command, environment)
    try:
        found = []
        _read(terminal, rb"READY> $")
        for line in lines:
            os.write(terminal, f"{line}\t\x07".encode())
            found.append(_read(terminal, rb"<(starfreight[^<>]*)>"))
            os.write(terminal, b"\x15")  # Empties the line.
        return found
    finally:
        os.close(terminal)
        os.waitpid(process, 0)


def _read(terminal: int, pattern: bytes) -> str:
    seen = b""
    end = time.monotonic() + SECONDS
    while (match := re.search(pattern, seen)) is None:
        ready, _, _ = select.select([terminal], [], [], max(0, end - time.monotonic()))
        assert ready, f"nothing for {SECONDS} seconds, after {seen.decode(errors='replace')!r}"
        seen += os.read(terminal, 65536)
    return match[match.re.groups].decode()
