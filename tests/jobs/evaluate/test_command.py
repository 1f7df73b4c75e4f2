"""``starfreight jobs evaluate`` with odd models, wrong options, and servers that answer nothing or die."""

from __future__ import annotations

import json
import shutil
import signal
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from starfreight.cli import main
from starfreight.errors import ServiceError
from starfreight.evaluation import Evaluation
from starfreight.image_layout.reader import ImageLayout
from starfreight.package import Package

PACKAGE = Path(__file__).parents[2] / "golden/finished-packages/golden-fim-de8303b786"


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The directory where commands run. The job's program handles signals, also in this process."""
    monkeypatch.chdir(tmp_path)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield tmp_path
    for number, handler in handlers.items():
        signal.signal(number, handler)


@pytest.fixture
def gguf() -> Path:
    """A small model's file."""
    pytest.importorskip("xllamacpp")
    package = Package.load(PACKAGE)
    return ImageLayout(PACKAGE).blob_path(package.default_variant.gguf.digest)


def evaluate(*arguments: str) -> int:
    return main(["jobs", "evaluate", *arguments])


def the_evaluation(place: Path) -> Path:
    (found,) = (place / "runs").glob("*-eval-*")
    return found


def test_the_suites_are_listed_with_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate("--list") == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("humaneval ") for line in lines)
    assert evaluate("--list", "--json") == 0
    assert {"name", "summary"} == set(json.loads(capsys.readouterr().out)["suites"][0])


def test_the_groups_help_names_the_command_and_imports_none_of_it(run_cli: Any) -> None:
    result = run_cli("jobs", "--help")
    assert "  evaluate " in result.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "no model to evaluate"),
        (("nowhere",), "does not exist"),
        (("model.gguf", "--suite", "humanevall"), "humaneval"),
        (("model.gguf", "--suite", "humaneval", "--samples", "3"), "temperature 0"),
        (("model.gguf", "--model", "x"), "server"),
        (("model.gguf", "--suite", "humaneval", "--file", "mbpp=x"), "name a file"),
        (("model.gguf", "--suite", "humaneval", "--file", "x"), "SUITE=PATH"),
        (("model.gguf", "--suite", "humaneval", "--baseline", "base"), "package"),
        (("model.gguf", "--suite", "humaneval", "--quantization", "Q8_0"), "one quantization"),
        (("http://127.0.0.1:9", "--suite", "humaneval", "--on", "docker"), "from this machine"),
        (("http://user:secret@127.0.0.1:9", "--suite", "humaneval"), "credentials"),
    ],
)
def test_wrong_arguments_are_one_error_and_leave_nothing(
    arguments: tuple[str, ...], words: str, gguf: Path, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(gguf, place / "model.gguf")
    assert evaluate(*arguments) == 2
    error = capsys.readouterr().err
    assert words in error and "Traceback" not in error and "secret" not in error
    assert not list((place / "runs").glob("*-eval-*"))


@pytest.mark.parametrize("name", ["my model (1).gguf", "-dash.gguf", "new\nline.gguf", "Ünï.GGUF"])
def test_a_file_may_have_any_name(name: str, gguf: Path, place: Path, sandbox: object) -> None:
    shutil.copy(gguf, place / name)
    assert evaluate("--suite", "humaneval", "--limit", "1", "--", f"./{name}") == 0
    record = Evaluation.load(the_evaluation(place))
    assert record.status == "done" and record.model.name.isprintable()


def test_a_path_that_is_not_utf_8_is_an_error(
    gguf: Path, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(gguf, place / "\udcff.gguf")
    assert evaluate("\udcff.gguf", "--suite", "humaneval", "--limit", "1") == 2
    assert "not UTF-8" in capsys.readouterr().err


def test_a_file_that_is_no_model_is_an_error_and_the_job_can_be_tried_again(
    gguf: Path, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "model.gguf").write_bytes(b"GGUF" + b"\xff" * 1000)
    assert evaluate("model.gguf", "--suite", "humaneval", "--limit", "1") == 2
    assert "Traceback" not in capsys.readouterr().err


def test_changed_files_of_a_job_are_noticed(gguf: Path, place: Path, sandbox: object) -> None:
    shutil.copy(gguf, place / "model.gguf")
    command = ("model.gguf", "--suite", "humaneval", "--limit", "2")
    assert evaluate(*command) == 0
    directory = the_evaluation(place)
    record = json.loads((directory / "evaluation.json").read_text())
    (directory / "evaluation.json").write_text(json.dumps(record | {"status": "stopped"}))
    problems = directory / "problems/humaneval.jsonl"
    original = problems.read_bytes()
    problems.write_bytes(original.replace(b"def", b"fed", 1))
    assert main(["jobs", "resume", str(directory)]) == 2
    # The command that made the job repairs it.
    assert evaluate(*command) == 0
    assert problems.read_bytes() == original
    assert Evaluation.load(directory).status == "done"


@pytest.mark.parametrize(
    "request_",
    [{}, {"suites": []}, {"suites": {"humaneval": 7}}, {"suites": {"humaneval": {"samples": "x"}}}],
)
def test_an_edited_record_is_one_error_and_hides_no_other_job(
    gguf: Path, place: Path, request_: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(gguf, place / "model.gguf")
    (place / "texts").mkdir()
    edited = _prepare(place, ["humaneval"])
    record = json.loads((edited / "evaluation.json").read_text())
    whole = place / "runs" / "other"
    shutil.copytree(edited, whole)
    changed = json.dumps(record | {"request": request_, "status": "stopped"})
    (edited / "evaluation.json").write_text(changed)
    assert main(["jobs", "resume", str(edited)]) == 2
    assert main(["jobs", "status", str(edited)]) == 2
    capsys.readouterr()
    assert main(["jobs", "list", "--json"]) == 0
    assert [Path(each["run"]).name for each in json.loads(capsys.readouterr().out)["runs"]] == ["other"]


def test_a_link_in_a_jobs_directory_is_refused(gguf: Path, place: Path, sandbox: object) -> None:
    shutil.copy(gguf, place / "model.gguf")
    command = ("model.gguf", "--suite", "humaneval", "--limit", "1")
    assert evaluate(*command) == 0
    directory = the_evaluation(place)
    shutil.rmtree(directory / "problems")
    (place / "outside").mkdir()
    (directory / "problems").symlink_to(place / "outside")
    assert evaluate(*command) == 2
    assert not list((place / "outside").iterdir())


def test_without_a_sandbox_nothing_is_generated(
    gguf: Path, place: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from starfreight.jobs.evaluate.kind import EVALUATE

    def refuse(*arguments: object, **options: object) -> None:
        raise ServiceError("No sandbox works here.")

    shutil.copy(gguf, place / "model.gguf")
    (place / "texts").mkdir()
    (place / "texts/area.py").write_text("def area(width, height):\n    return width * height\n" * 20)
    monkeypatch.setattr("starfreight.jobs.evaluate.sandbox.choose.open_sandbox", refuse)
    prepared = _prepare(place, ["fim", "humaneval"])
    assert EVALUATE.main([str(prepared)]) == 4
    assert '"what": "No sandbox works here."' in capfd.readouterr().out
    assert not (prepared / "completions").exists()
    assert Evaluation.load(prepared).status == "failed"


def _prepare(
    place: Path, suites: list[str], *, target: str | None = None, allow_unsandboxed: bool = False
) -> Path:
    from starfreight.commands.evaluation_recipe import evaluation_recipe
    from starfreight.console import Console
    from starfreight.jobs.evaluate.kind import EvaluateKind
    from starfreight.jobs.evaluate.subject import ServerChoice, Subject

    target = target or str(place / "model.gguf")
    names = ("recipe", "where", "image", "memory", "samples", "temperature", "seed", "seconds")
    options: dict[str, Any] = dict.fromkeys(names) | {"files": (), "suites": tuple(suites), "limit": 2}
    file = evaluation_recipe(target, None, options)
    subject = Subject(
        target,
        held_out=place / "texts",
        server=ServerChoice("silent", "openai"),
        allow_unsandboxed=allow_unsandboxed,
    )
    kind = EvaluateKind(subject)
    (directory,) = kind.prepare([file.recipe], file.folder, place / "runs", Console(quiet=True))
    return directory


class Silent(BaseHTTPRequestHandler):
    """A server whose model answers nothing, and which dies on request."""

    most: ClassVar[int] = 1000
    asked: ClassVar[int] = 0

    def do_GET(self) -> None:
        self._send({"object": "list", "data": [{"id": "silent", "object": "model"}]})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        type(self).asked += 1
        if type(self).asked > type(self).most:
            self.connection.close()
            return
        choice = {"text": "", "index": 0, "finish_reason": "stop", "message": {"content": ""}}
        usage = {"prompt_tokens": 5, "completion_tokens": 0}
        self._send({"choices": [choice], "usage": usage})

    def _send(self, value: dict[str, Any]) -> None:
        data = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *arguments: object) -> None:
        """Quiet."""


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a server whose model answers nothing."""
    monkeypatch.setattr(Silent, "most", 1000)
    monkeypatch.setattr(Silent, "asked", 0)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Silent)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


SERVED = ("--api", "openai", "--model", "silent", "--suite", "humaneval", "--limit", "6")


def test_a_model_that_answers_nothing_fails_every_problem(
    silent: str, place: Path, sandbox: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STARFREIGHT_EVALUATE_KEY", "very-secret-key")
    assert evaluate(silent, *SERVED) == 0
    directory = the_evaluation(place)
    (result,) = Evaluation.load(directory).results
    figure = result.figure("pass@1")
    assert figure is not None and (figure.value, figure.items) == (0, 6)
    texts = [path.read_bytes() for path in directory.rglob("*") if path.is_file()]
    assert not any(b"very-secret-key" in text for text in texts)


def test_a_server_that_dies_half_way_loses_nothing(
    silent: str, place: Path, sandbox: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert evaluate(silent, *SERVED) == 0
    directory = the_evaluation(place)
    whole = (directory / "scores.json").read_bytes()
    probes = Silent.asked - 6
    shutil.rmtree(directory)
    monkeypatch.setattr(Silent, "asked", 0)
    monkeypatch.setattr(Silent, "most", probes + 3)
    assert evaluate(silent, *SERVED) == 4
    assert Evaluation.load(directory).status == "failed"
    kept = len((directory / "completions/humaneval.jsonl").read_text().splitlines())
    assert 0 < kept <= 3
    monkeypatch.setattr(Silent, "asked", 0)
    monkeypatch.setattr(Silent, "most", 1000)
    assert evaluate(silent, *SERVED) == 0
    assert Silent.asked == probes + 6 - kept
    assert (directory / "scores.json").read_bytes() == whole


def test_fim_tokens_are_another_evaluation_since_suites_run_that_were_skipped(
    silent: str, place: Path, sandbox: object, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "texts").mkdir()
    shutil.copy(__file__, place / "texts/some.py")
    command = (silent, *SERVED, "--limit", "2", "--suite", "fim", "--held-out", "texts")
    assert evaluate(*command) == 0
    assert "fim was skipped" in (shown := capsys.readouterr().out) and "--fim-tokens" in shown
    assert evaluate(*command, "--fim-tokens", "<a> <b> <c>") == 0
    assert "fim was skipped" not in capsys.readouterr().out


def test_suites_that_no_model_of_a_server_can_run_are_an_input_error(
    silent: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "texts").mkdir()
    shutil.copy(__file__, place / "texts/some.py")
    assert evaluate(silent, *SERVED[:4], "--suite", "perplexity", "--held-out", "texts") == 2
    assert "needs the model's file" in capsys.readouterr().err


def test_only_a_user_who_allows_it_runs_code_without_a_sandbox_and_the_record_says_so(
    silent: str, place: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from starfreight.jobs.evaluate.kind import EVALUATE

    # The code of this model is empty: nothing unknown is run.
    monkeypatch.setattr("starfreight.jobs.evaluate.sandbox.choose.SANDBOXES", ())
    assert EVALUATE.main([str(_prepare(place, ["humaneval"], target=silent))]) == 4
    assert not list(place.glob("runs/*/completions"))
    prepared = _prepare(place, ["humaneval"], target=silent, allow_unsandboxed=True)
    assert EVALUATE.main([str(prepared)]) == 0
    assert "without a sandbox" in capfd.readouterr().out
    assert Evaluation.load(prepared).sandbox == "none"
