"""``doctor`` without an argument: each thing found or missing, never a secret, never a hang."""

from __future__ import annotations

import http.server
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from starfreight.cli import cli
from starfreight.commands.machine import engine_checks, program_checks
from starfreight.commands.machine.examine import examine
from starfreight.commands.machine.finding import Check, Finding, program_output
from starfreight.commands.machine.login_checks import check_logins
from starfreight.commands.machine.table import CHECKS
from starfreight.console import Console

SECRET = "aGlkZGVuOnNlY3JldA=="


@pytest.fixture
def docker_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], None]:
    for name in ("REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR", "STARFREIGHT_REGISTRY_USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "none"))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))

    def write(config: Any) -> None:
        (tmp_path / "config.json").write_text(config if isinstance(config, str) else json.dumps(config))

    return write


def test_checks_run_side_by_side_and_none_holds_the_others(console: Console) -> None:
    def hang() -> Finding:
        time.sleep(30)
        return Finding("ok", "")

    def fail() -> Finding:
        raise RuntimeError("organ failure")

    checks = (
        Check("slow", hang, seconds=0.3), Check("slower", hang, seconds=0.3), Check("broken", fail),
        Check("good", lambda: Finding("ok", "fine")),
    )  # fmt: skip
    start = time.monotonic()
    found = examine(checks, console)
    assert time.monotonic() - start < 2
    assert [finding.state for finding in found.findings.values()] == ["warning", "warning", "warning", "ok"]
    assert "organ failure" in found.findings["broken"].text
    assert list(found.findings) == ["slow", "slower", "broken", "good"]


def test_logins_are_hosts_and_nothing_more(
    docker_config: Callable[[Any], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    docker_config(
        {
            "auths": {
                "https://ghcr.io/v1/": {"auth": SECRET},
                "registry.test:5000/team": {"identitytoken": SECRET},
                "https://user:hidden-password@old.test/v2/": {"auth": SECRET},
            },
            "credHelpers": {"ecr.test": "ecr-login", "evil.test": "../../bin/sh"},
        }
    )
    monkeypatch.setenv("STARFREIGHT_REGISTRY_USERNAME", "pilot")
    monkeypatch.setenv("STARFREIGHT_REGISTRY_PASSWORD", "hidden-password")
    monkeypatch.setenv("STARFREIGHT_REGISTRY_HOST", "env.test")
    found = check_logins()
    assert found.state == "ok"
    expected = "ghcr.io, registry.test:5000, old.test, ecr.test (ecr-login), env.test (environment)"
    assert found.text == expected


@pytest.mark.parametrize("config", ["{", "[]", "null", '"x"', "\x00", "[" * 100_000])
def test_a_broken_configuration_is_a_warning(docker_config: Callable[[Any], None], config: str) -> None:
    docker_config(config)
    assert check_logins().state == "warning"


@pytest.mark.parametrize("config", [{}, {"auths": 3}, {"auths": {}, "credHelpers": []}])
def test_no_login_is_missing(docker_config: Callable[[Any], None], config: Any) -> None:
    docker_config(config)
    assert check_logins().state == "missing"


@pytest.mark.parametrize(
    ("output", "state", "text"),
    [
        (
            "NVIDIA H200, 143771, 570.86\nNVIDIA H200, 143771, 570.86\n",
            "ok",
            "NVIDIA H200 (140 GB), NVIDIA H200",
        ),
        ("Tesla K80, 11441, 470.57\n", "warning", "driver 470.57"),
        ("Odd, [N/A], 570\n", "ok", "Odd (?)"),
        ("No devices were found\n", "missing", "no NVIDIA GPU"),
        ("", "missing", "no NVIDIA GPU"),
        (None, "missing", "no NVIDIA GPU"),
    ],
)
def test_gpus(monkeypatch: pytest.MonkeyPatch, output: str | None, state: str, text: str) -> None:
    monkeypatch.setattr(engine_checks, "program_output", lambda *command: output)
    found = engine_checks.check_gpu()
    assert (found.state, text in found.text) == (state, True)


def test_a_program_that_hangs_fails_or_is_missing_has_no_output() -> None:
    assert program_output("sleep", "10", seconds=0.1) is None
    assert program_output("false") is None
    assert program_output("no-such-program-anywhere") is None
    assert program_output("echo", "here") == "here\n"


class TestOllama:
    @pytest.fixture
    def server(self) -> Any:
        class Handler(http.server.BaseHTTPRequestHandler):
            answer = b'{"version": "0.33.0"}'

            def do_GET(self) -> None:
                self.send_response(200)
                self.end_headers()
                self.wfile.write(type(self).answer)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
            yield server
            server.shutdown()

    def test_a_running_one_is_found(
        self, server: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("OLLAMA_HOST", f"127.0.0.1:{server.server_port}")
        monkeypatch.setenv("OLLAMA_MODELS", str(tmp_path))
        found = program_checks.check_ollama()
        assert found.state == "ok"
        assert found.text.startswith("Ollama 0.33.0 at http://127.0.0.1:")
        assert str(tmp_path) in found.text

    @pytest.mark.parametrize("answer", [b"", b"<html>", b"{}", b"[]", b'"x"', b"{" * 200_000])
    def test_something_else_is_not_ollama(
        self, server: Any, monkeypatch: pytest.MonkeyPatch, answer: bytes
    ) -> None:
        server.RequestHandlerClass.answer = answer
        monkeypatch.setenv("OLLAMA_HOST", f"http://127.0.0.1:{server.server_port}")
        assert program_checks.check_ollama().state != "ok"

    @pytest.mark.parametrize(
        ("value", "address"),
        [
            ("", "http://127.0.0.1:11434"), ("0.0.0.0", "http://127.0.0.1:11434"), (":8080", "http://127.0.0.1:8080"),
            ("https://models.test", "https://models.test:443"), ("[::1]:9", "http://[::1]:9"),
            ("models.test:99999999", "http://127.0.0.1:11434"), ("'models.test'", "http://models.test:11434"),
        ],
    )  # fmt: skip
    def test_its_address(self, monkeypatch: pytest.MonkeyPatch, value: str, address: str) -> None:
        monkeypatch.setenv("OLLAMA_HOST", value)
        assert program_checks._ollama_address() == address


def test_the_command_exits_with_3_only_for_what_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_checks, "program_output", lambda *command: None)

    def run(*arguments: str) -> Any:
        return CliRunner().invoke(cli, ["doctor", *arguments], standalone_mode=False)

    found = run("--check", "python", "--check", "disk")
    assert (found.return_value, found.output.count("\n") >= 2) == (0, True)
    missing = run("--check", "gpu", "--json")
    assert missing.return_value == 3
    assert json.loads(missing.output)["machine"]["gpu"]["state"] == "missing"
    assert run("--check", "nonsense").exit_code != 0


def test_every_check_answers_on_this_machine(console: Console) -> None:
    found = examine(CHECKS, console)
    assert set(found.findings) == {check.name for check in CHECKS}
    assert found.findings["python"].state == "ok"
    assert not any("the check failed" in finding.text for finding in found.findings.values())
    assert all(finding.fix for finding in found.findings.values() if finding.state == "missing")
