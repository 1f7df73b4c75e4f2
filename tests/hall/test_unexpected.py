"""No exception of a library gets past the exit codes: one error with what, where, what next, no traceback."""

from __future__ import annotations

import errno
import json
import os
import resource
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from starfreight.cli import main
from starfreight.errors import GateError, UnexpectedError
from starfreight.unexpected import explain, explain_to_job

WriteRecipe = Callable[..., Path]
SAMPLE = Path(__file__).parents[2] / "starfreight/commands/sample/recipe.yaml"


def made(module: str, name: str, *arguments: Any) -> Callable[[], BaseException]:
    """Makes an exception of a library that may be missing."""

    def make() -> BaseException:
        found = pytest.importorskip(module)
        for part in name.split("."):
            found = getattr(found, part)
        error: BaseException = found(*arguments)
        return error

    return make


def raised_by(program: str) -> Callable[[], BaseException]:
    """Makes an exception by running a program that the library refuses."""

    def make() -> BaseException:
        try:
            exec(program, {})
        except ModuleNotFoundError as error:
            pytest.skip(str(error))
        except BaseException as error:
            return error
        raise AssertionError("nothing was raised")

    return make


FULL = "No space left on device"
FAILURES = {
    "memory": (MemoryError, 4, "memory"),
    "numpy memory": (raised_by("import numpy; numpy.ones(1 << 50)"), 4, "memory"),
    "pyarrow memory": (made("pyarrow", "ArrowMemoryError", "malloc of size 64 failed"), 4, "memory"),
    "torch memory, GPU": (made("torch", "OutOfMemoryError", "CUDA out of memory."), 4, "memory"),
    "torch memory, CPU": (raised_by("import torch; torch.empty(1 << 60)"), 4, "memory"),
    "threads": (lambda: RuntimeError("can't start new thread"), 4, "memory"),
    "shared library": (lambda: ImportError("x.so: failed to map segment from shared object"), 4, "memory"),
    "errno memory": (lambda: OSError(errno.ENOMEM, "Cannot allocate memory"), 4, "memory"),
    "disk": (lambda: OSError(errno.ENOSPC, FULL, "there"), 4, FULL),
    "safetensors disk": (
        made("safetensors", "SafetensorError", f"Error while serializing: I/O error: {FULL} (os error 28)"),
        4,
        FULL,
    ),
    "sqlite3 disk": (lambda: sqlite3.OperationalError("database or disk is full"), 4, FULL),
    "torch disk": (lambda: RuntimeError("PytorchStreamWriter failed writing file data/0"), 4, FULL),
    "pyarrow disk": (
        made("pyarrow", "ArrowException", f"[Errno 28] Error writing bytes. Detail: {FULL}"),
        4,
        FULL,
    ),
    "sqlite3": (raised_by("import sqlite3; sqlite3.connect('/no/such/folder/x')"), 4, "unable to open"),
    "requests": (
        made("requests", "ConnectionError", "refused"),
        4,
        "requests reported ConnectionError: refused",
    ),
    "requests, too many redirects": (made("requests", "TooManyRedirects", "30"), 4, "TooManyRedirects"),
    "urllib3": (made("urllib3.exceptions", "ProtocolError", "cut"), 4, "urllib3 reported ProtocolError: cut"),
    "ssl": (raised_by("import ssl; raise ssl.SSLCertVerificationError('self-signed')"), 4, "self-signed"),
    "docker": (made("docker.errors", "APIError", "server error"), 4, "docker reported APIError"),
    "kubernetes": (
        made("kubernetes.client", "ApiException", 500, "boom"),
        4,
        "kubernetes reported ApiException",
    ),
    "huggingface_hub": (
        made("huggingface_hub.errors", "LocalEntryNotFoundError", "none"),
        4,
        "LocalEntryNotFound",
    ),
    "network": (lambda: TimeoutError("timed out"), 4, "timed out"),
    "connection": (lambda: BrokenPipeError(errno.EPIPE, "Broken pipe"), 4, "Broken pipe"),
    "safetensors": (raised_by("import safetensors; safetensors.deserialize(b'x')"), 1, "SafetensorError"),
    "pyarrow": (made("pyarrow", "ArrowInvalid", "bad magic"), 1, "ArrowInvalid: bad magic"),
    "yaml": (raised_by("import yaml; yaml.safe_load('{')"), 1, "ParserError"),
    "jinja2": (raised_by("import jinja2; jinja2.Template('{{ a.b.c }}').render()"), 1, "UndefinedError"),
    "pydantic": (
        raised_by("import pydantic; pydantic.TypeAdapter(int).validate_json('x')"),
        1,
        "ValidationError",
    ),
    "json": (raised_by("import json; json.loads('{')"), 1, "JSONDecodeError"),
    "zip": (raised_by("import io, zipfile; zipfile.ZipFile(io.BytesIO(b''))"), 1, "BadZipFile"),
    "tar": (raised_by("import io, tarfile; tarfile.open(fileobj=io.BytesIO(b'x'))"), 1, "ReadError"),
    "struct": (raised_by("import struct; struct.unpack('<Q', b'')"), 1, "error: unpack"),
    "encoding": (raised_by("'\\u00e9'.encode('ascii')"), 1, "UnicodeEncodeError"),
    "recursion": (RecursionError, 1, "RecursionError"),
    "assertion": (AssertionError, 1, "AssertionError"),
    "our own bug": (lambda: KeyError("a"), 1, "KeyError: 'a'"),
    "group": (lambda: ExceptionGroup("several", [ValueError("one")]), 1, "several"),
    "Rust panic": (
        lambda: type("PanicException", (BaseException,), {})("index out of range"),
        1,
        "PanicException",
    ),
}


@pytest.fixture
def fail_with(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException], None]:
    """Lets the next command fail with an exception, while it reads its recipe."""

    def arrange(error: BaseException) -> None:
        def fail(*arguments: object) -> None:
            raise error

        monkeypatch.setattr("starfreight.recipe.load.parse_yaml", fail)

    return arrange


@pytest.mark.parametrize("kind", FAILURES)
def test_every_exception_is_one_error_with_a_documented_exit_code(
    kind: str,
    fail_with: Callable[[BaseException], None],
    write_recipe: WriteRecipe,
    capsys: pytest.CaptureFixture[str],
) -> None:
    make, code, words = FAILURES[kind]
    fail_with(make())
    assert main(["plan", str(write_recipe()), "--json"]) == code
    out, err = capsys.readouterr()
    error = json.loads(out)["error"]
    assert error["exit_code"] == code
    assert error["kind"] == ("ServiceError" if code == 4 else "UnexpectedError")
    assert words in error["what"] and error["next"] and (error["where"] or code == 4)
    assert err.startswith("Error: ") and "Traceback" not in err
    assert len(err.splitlines()) == 2 + bool(error["where"])


def test_the_place_of_a_bug_is_told_and_a_variable_shows_its_traceback(
    fail_with: Callable[[BaseException], None],
    write_recipe: WriteRecipe,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fail_with(ValueError("a \x1b[31mbug\u202e"))
    assert main(["plan", str(write_recipe())]) == 1
    err = capsys.readouterr().err
    assert "where: starfreight/recipe/load.py, line " in err and "STARFREIGHT_TRACEBACK=1" in err
    monkeypatch.setenv("STARFREIGHT_TRACEBACK", "1")
    assert main(["plan", str(write_recipe())]) == 1
    err = capsys.readouterr().err
    assert err.startswith("Traceback (most recent call last)") and "\nError: Starfreight failed" in err
    assert not {"\x1b", "\u202e"} & set(err)


def test_a_full_disk_is_found_behind_the_exceptions_of_libraries_and_other_files_are_not() -> None:
    try:
        try:
            raise OSError(errno.ENOSPC, FULL, "/runs/x")
        except OSError:
            raise ValueError("cannot close the archive")  # noqa: B904 - as libraries do.
    except ValueError as error:
        found = explain(error)
    assert (found.exit_code, found.where) == (4, "/runs/x")
    try:
        try:
            raise FileNotFoundError(errno.ENOENT, "No such file", "/cache/x")
        except OSError:
            raise ValueError("a bug in making the cache")  # noqa: B904 - as libraries do.
    except ValueError as error:
        found = explain(error)
    assert isinstance(found, UnexpectedError)


def test_a_job_tells_its_error_and_its_log_has_the_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    try:
        raise KeyError("a")
    except KeyError as error:
        found = explain_to_job(error)
    assert isinstance(found, UnexpectedError) and "job's log" in str(found.fix)
    assert "Traceback" in capsys.readouterr().err
    refused = GateError("No.")
    assert explain_to_job(refused) is refused
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("limit", [45_000_000, 80_000_000, 170_000_000, 224_000_000, 299_000_000])
def test_too_little_memory_is_one_error(limit: int) -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "starfreight", "plan", str(SAMPLE)],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 4
    said = f"Error: The limit on this process's memory (ulimit -v) is {limit // 10**6} MB"
    assert done.stderr.startswith(said)
    assert len(done.stderr.splitlines()) == 3


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        ("plan RECIPE", 141, ""),
        ("plan RECIPE --json", 141, ""),
        ("plan RECIPE 2>&1", 141, ""),
        ("--help", 141, ""),
        ("plan none.yaml", 2, "does not exist"),
        ("plan none.yaml --json", 2, "does not exist"),
        ("fly --json", 2, "No such command"),
    ],
)
def test_a_reader_that_leaves_ends_a_command_like_other_tools_and_hides_no_error(
    command: str, code: int, said: str
) -> None:
    words = command.replace("RECIPE", str(SAMPLE))
    script = f"{{ sleep 0.3; {sys.executable} -P -m starfreight {words}; }} | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, env=os.environ | {"HOME": "/"}
    )
    assert int(done.stdout) == code
    assert said in done.stderr if said else done.stderr == ""


def test_output_to_a_full_disk_is_an_error() -> None:
    for words in (["plan", str(SAMPLE)], ["plan", str(SAMPLE), "--json"], ["--help"]):
        with Path("/dev/full").open("w") as full:
            done = subprocess.run(
                [sys.executable, "-P", "-m", "starfreight", *words],
                stdout=full,
                stderr=subprocess.PIPE,
                text=True,
                check=False,
            )
        assert done.returncode == 4
        assert done.stderr.startswith(f"Error: The operating system reported: {FULL}.\n")
        assert len(done.stderr.splitlines()) == 2


def test_a_character_that_the_output_lacks_does_not_end_a_command(tmp_path: Path) -> None:
    for code, *words in (
        (0, "init", "模型"),
        (0, "init", "grün", "--json"),
        (2, "plan", "模.yaml", "--json"),
        (2, "模"),
    ):
        done = subprocess.run(
            [sys.executable, "-P", "-m", "starfreight", *map(str, words)],
            env=os.environ | {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr
        if "--json" in words:
            assert {"grün", "模.yaml"} & set(str(json.loads(done.stdout)).replace("/", "'").split("'"))
