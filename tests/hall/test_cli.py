"""The front door: quick, complete, and with exit codes that scripts can rely on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from starfreight import __version__
from starfreight.cli import cli, main

RunCli = Callable[..., subprocess.CompletedProcess[str]]
COMMANDS = (
    "quickstart", "init", "plan", "run", "runs", "data", "jobs", "images", "package", "try", "serve-model",
    "publish", "gateway", "doctor", "docs", "completion", "starter",
)  # fmt: skip
HEAVY = (
    "torch", "transformers", "peft", "bitsandbytes", "datasets", "docker", "kubernetes", "numpy", "pydantic",
    "oras", "requests", "huggingface_hub", "gguf", "rich", "yaml", "starfreight.jobs", "starfreight.packager",
    "starfreight.images",
)  # fmt: skip


def test_help_imports_nothing_heavy_and_names_every_command() -> None:
    program = (
        "import sys\n"
        "from starfreight.cli import main\n"
        "code = main(['--help'])\n"
        f"print(code, [name for name in {HEAVY!r} if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True, check=True)
    *help_text, last = done.stdout.splitlines()
    assert last == "0 []"
    listed = [line.split()[0] for line in help_text[help_text.index("Commands:") + 1 :] if line.strip()]
    assert listed == list(COMMANDS)


def test_a_plan_imports_nothing_that_only_publishing_and_training_need(tmp_path: Path) -> None:
    assert main(["init", str(tmp_path), "-q"]) == 0
    names = ("torch", "transformers", "docker", "kubernetes", "oras", "requests", "cryptography")
    program = (
        "import sys\n"
        "from starfreight.cli import main\n"
        f"code = main(['plan', {str(tmp_path / 'recipe.yaml')!r}, '--gpu', 'l4', '-q'])\n"
        f"print(code, [name for name in {names!r} if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0 []", done.stderr


def test_help_answers_in_a_quarter_of_a_second_of_this_processors_time() -> None:
    def seconds() -> float:
        before = os.times()
        subprocess.run([sys.executable, "-P", "-m", "starfreight", "--help"], capture_output=True, check=True)
        after = os.times()
        return after.children_user + after.children_system - before.children_user - before.children_system

    assert min(seconds() for _ in range(3)) < 0.25


def every_command() -> Iterator[tuple[str, ...]]:
    context = click.Context(cli)
    for name in cli.list_commands(context):
        command = cli.get_command(context, name)
        if isinstance(command, click.Group):
            yield from ((name, inner) for inner in command.list_commands(context))
        yield (name,)


@pytest.mark.parametrize("words", every_command(), ids=" ".join)
def test_every_command_explains_itself_and_its_options(words: tuple[str, ...]) -> None:
    result = CliRunner().invoke(cli, [*words, "--help"])
    assert result.exit_code == 0
    assert result.output.startswith("Usage: ")
    command: click.Command | None = cli
    for word in words:
        assert isinstance(command, click.Group)
        command = command.get_command(click.Context(command), word)
    assert command is not None
    assert command.help
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{words}: {parameter.name} has no help"
    if isinstance(command, click.Group):
        assert "..." not in result.output.partition("Commands:")[2], "a summary is cut"
    else:
        assert "--json" in result.output
        assert f"        starfreight {' '.join(words)}" in command.help, "no example"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_gets_its_completion(shell: str, run_cli: RunCli) -> None:
    script = run_cli(_STARFREIGHT_COMPLETE=f"{shell}_source")
    assert "_STARFREIGHT_COMPLETE" in script.stdout
    assert "starfreight" in script.stdout


def test_completion_knows_the_commands(run_cli: RunCli) -> None:
    done = run_cli(_STARFREIGHT_COMPLETE="bash_complete", COMP_WORDS="starfreight pu", COMP_CWORD="1")
    assert done.stdout.split() == ["plain,publish"]


def test_the_version_is_told(run_cli: RunCli) -> None:
    assert __version__ in run_cli("--version").stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ["fly"],
        ["--fly"],
        ["plan"],
        ["jobs", "fly"],
        ["jobs", "run", "a.yaml", "--on", "moon"],
        ["plan", "a", "b"],
    ],
    ids=" ".join,
)
def test_a_wrong_command_line_is_exit_code_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "Error: " in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("arguments", "guess"),
    [
        (["plann"], "'plan'"),
        (["inspect"], "'data inspect' or 'package inspect'"),
        (["jobs", "resum"], "'resume'"),
        (["package", "verfy"], "'verify'"),
        (["fly"], None),
    ],
    ids=str,
)
def test_an_unknown_command_is_answered_with_the_ones_like_it(
    arguments: list[str], guess: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    first = capsys.readouterr().err.splitlines()[0]
    guesses = f" Did you mean {guess}?" if guess else ""
    assert first == f"Error: No such command {arguments[-1]!r}.{guesses}"


def test_what_the_operating_system_refuses_is_exit_code_4_and_no_traceback(
    write_recipe: Callable[..., Path], capsys: pytest.CaptureFixture[str], good_recipe: str
) -> None:
    path = write_recipe(data=good_recipe.replace("./base", "./" + "b" * 300).encode())
    assert main(["plan", str(path), "--json"]) == 4
    out, err = capsys.readouterr()
    assert json.loads(out)["error"]["kind"] == "ServiceError"
    assert "Traceback" not in err


def test_a_closed_pipe_is_no_traceback(write_recipe: Callable[..., Path]) -> None:
    path = write_recipe()
    command = f"{sys.executable} -P -m starfreight init new --json | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", command], cwd=path.parent, capture_output=True, text=True, check=True
    )
    assert "Traceback" not in done.stderr
    assert done.stdout.strip() in {"0", "141"}


@pytest.fixture
def silent_hub() -> Iterator[tuple[str, threading.Event]]:
    """A hub that takes a request and never answers, and an event that says that it has one."""
    asked, answer = threading.Event(), threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.set()
            answer.wait(60)

        do_HEAD = do_GET

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    answer.set()
    server.shutdown()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_command_ends_with_130_and_leaves_nothing(
    number: signal.Signals,
    write_recipe: Callable[..., Path],
    good_recipe: str,
    silent_hub: tuple[str, threading.Event],
) -> None:
    address, asked = silent_hub
    text = good_recipe.replace("./base", "acme/base, revision: " + "a" * 40)
    path = write_recipe(data=text.encode())
    environment = os.environ | {"HF_ENDPOINT": address, "HF_HOME": str(path.parent / "hf")}
    with subprocess.Popen(
        [
            sys.executable,
            "-P",
            "-m",
            "starfreight",
            "jobs",
            "run",
            str(path),
            "--runs",
            str(path.parent / "runs"),
        ],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert asked.wait(60)
        time.sleep(0.2)
        process.send_signal(number)
        _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Interrupted" in err
    assert "Traceback" not in err
    assert not (path.parent / "runs").exists()


def test_init_writes_a_recipe_that_can_be_planned_and_overwrites_nothing(
    run_cli: RunCli, tmp_path: Path
) -> None:
    first = run_cli("init", "new", "--json")
    assert first.returncode == 0
    files = [tmp_path / name for name in json.loads(first.stdout)["files"]]
    assert all(path.is_file() for path in files)
    contents = {path: path.read_bytes() for path in files}
    second = run_cli("init", "new")
    assert second.returncode == 2
    assert "already exists" in second.stderr
    assert {path: path.read_bytes() for path in files} == contents


def test_a_usage_error_is_json_too_when_json_was_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["jobs", "run", "--json"]) == 2
    said = capsys.readouterr()
    assert json.loads(said.out)["error"]["what"].startswith("Missing argument")
    assert "next:  starfreight jobs run --help" in said.err


def test_an_unreadable_record_does_not_hide_the_other_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "run.json").write_text("{")
    assert main(["jobs", "list", "--runs", str(tmp_path), "--json"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["runs"] == []
    assert "bad is left out" in said.err


@pytest.mark.parametrize("group", [[], ["jobs"]])
def test_a_group_whose_reader_has_gone_ends_like_any_command(group: list[str]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-P", "-m", "starfreight", *group]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")
