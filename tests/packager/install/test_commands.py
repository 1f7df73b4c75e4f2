"""The commands ``package install`` and ``package export``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ollama_server import OllamaServer

from starfreight.cli import main


def test_install_prints_the_command_that_runs_the_model(
    package_folder: Path, ollama: OllamaServer, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setenv("OLLAMA_HOST", ollama.host)
    assert main(["package", "install", str(package_folder), "--name", "coder"]) == 0
    assert "Next: ollama run coder:latest" in capsys.readouterr().out
    assert list(ollama.names()) == ["coder:latest"]


def test_install_with_json_prints_one_object(
    package_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["package", "install", str(package_folder), "--to", str(tmp_path / "files"), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["target"], result["name"]) == ("files", "tiny-coder-Q4_K_M.gguf")


@pytest.mark.parametrize(
    "options",
    [("--to", "a", "--ollama-models", "b"), ("--ollama", "x", "--to", "a"), ("--to", "a", "--name", "coder"),
     ("--ollama", "user:secret@host"), ("--variant", "Q9")],
)  # fmt: skip
def test_install_refuses_options_that_contradict_or_are_invalid(
    options: tuple[str, ...], package_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert main(["package", "install", str(package_folder), *options]) == 2
    assert "secret" not in capsys.readouterr().err
    assert not (tmp_path / "a").exists()


def test_export_names_its_files(
    package_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["package", "export", str(package_folder), str(tmp_path / "files"), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    written = (each for each in (tmp_path / "files").rglob("*") if each.is_file())
    assert set(result["files"]) == {each.relative_to(tmp_path / "files").as_posix() for each in written}


def test_export_of_something_else_is_exit_code_2(tmp_path: Path) -> None:
    assert main(["package", "export", str(tmp_path), str(tmp_path / "files")]) == 2
    assert not (tmp_path / "files").exists()
