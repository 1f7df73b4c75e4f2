"""Completion in shells: values from this machine, without heavy imports and without surprises."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest
from click.shell_completion import BashComplete

from starfreight.cli import cli, main
from starfreight.command_table import COMPLETION_VARIABLE


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    recipe = files("starfreight.commands").joinpath("sample", "recipe.yaml").read_text()
    (tmp_path / "own.yaml").write_text(recipe)
    (tmp_path / "compose.yaml").write_text("services: {}\n")
    (tmp_path / "with space.yaml").write_text(recipe)
    (tmp_path / "$(touch bad).yaml").write_text(recipe)
    os.mkfifo(tmp_path / "pipe.yaml")
    for name, record in (
        ("my-model/recipe.yaml", recipe), ("runs/acme-1/run.json", "{}"), ("runs/odd/x", ""),
        ("packages/acme-1/package.json", "{}"), ("packages/notes/x", ""),
    ):  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text(record)
    return tmp_path


def offered(*words: str) -> list[str]:
    """The values offered for the last word; a type for the shell's own completion."""
    complete = BashComplete(cli, {}, "starfreight", COMPLETION_VARIABLE)
    found = complete.get_completions(list(words[:-1]), words[-1])
    return [each.value if each.type == "plain" else f"<{each.type}>" for each in found]


@pytest.mark.parametrize(
    ("words", "values"),
    [
        (["pl"], ["plan"]),
        (["--ver"], ["--version"]),
        (["jobs", "sta"], ["status"]),
        (["package", "reb"], ["rebuild"]),
        (["plan", ""], ["own.yaml", "my-model/recipe.yaml"]),
        (["jobs", "run", "my"], ["my-model/recipe.yaml"]),
        (["run", "my-model/"], ["my-model/recipe.yaml"]),
        (["run", "elsewhere/"], ["<file>"]),
        (["jobs", "status", ""], ["runs/acme-1"]),
        (["jobs", "logs", "ac"], ["acme-1"]),
        (["jobs", "status", "--runs", "none", ""], ["<file>"]),
        (["package", "build", "runs/"], ["runs/acme-1"]),
        (["publish", ""], ["packages/acme-1"]),
        (["package", "diff", "packages/acme-1", "pack"], ["packages/acme-1"]),
        (["try", "x", "--quantization", "q6"], ["Q6_K"]),
        (["package", "build", "x", "--quantize", "IQ"], ["IQ4_NL", "IQ4_XS"]),
        (["package", "install", "x", "--variant", "q6"], ["Q6_K"]),
        (["package", "sign", "x", "--key", ""], ["<file>"]),
        (["plan", "x", "--gpu", "h"], ["h100", "h200"]),
        (["jobs", "evaluate", "--suite", "mb"], ["mbpp"]),
        (["jobs", "list", "--on", "k"], ["kubernetes"]),
        (["completion", "f"], ["fish"]),
        (["nonsense", "x"], []),
    ],
)
def test_each_word_has_its_values(
    words: list[str], values: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(COMPLETION_VARIABLE, "bash_complete")
    assert offered(*words) == values


def test_nothing_heavy_is_imported(project: Path) -> None:
    code = (
        "import os, sys; os.environ['_STARFREIGHT_COMPLETE'] = 'bash_complete'\n"
        "from click.shell_completion import BashComplete; from starfreight.cli import cli\n"
        "for words in (['', ], ['jobs', 'status', ''], ['plan', ''], ['package', 'verify', '']):\n"
        "    BashComplete(cli, {}, 'starfreight', 'X').get_completions(words[:-1], words[-1])\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "click" in loaded
    assert not loaded & {"torch", "transformers", "docker", "kubernetes", "numpy", "pydantic", "rich", "yaml"}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_asks_starfreight(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert f"{COMPLETION_VARIABLE}={shell}_complete" in said["script"]
    assert said["install"].startswith("mkdir -p ~/")
    program = shutil.which(shell)
    if program is not None:
        subprocess.run([program, "-n"], input=said["script"], text=True, check=True)


def test_without_a_shell_the_users_own_is_described(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SHELL", "/usr/bin/zsh")
    assert main(["completion"]) == 0
    assert "starfreight completion zsh > ~/.zfunc/_starfreight" in capsys.readouterr().out
    monkeypatch.setenv("SHELL", "/bin/tcsh")
    assert main(["completion"]) == 2
    assert "completion bash" in capsys.readouterr().err


def test_bash_completes_with_the_script(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", "bash"]) == 0
    (project / "bin").mkdir()
    program = project / "bin" / "starfreight"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -P -m starfreight "$@"\n')
    program.chmod(0o755)
    done = subprocess.run(
        ["bash", "-c", f"{capsys.readouterr().out}\n"
         "COMP_WORDS=(starfreight plan o); COMP_CWORD=2\n"
         "_starfreight_completion starfreight; echo \"${COMPREPLY[@]}\""],
        env={**os.environ, "PATH": f"{program.parent}:{os.environ['PATH']}"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == "own.yaml\n"
