"""``starfreight init --code``: the recipe fits the code, and plan accepts it."""

from __future__ import annotations

import json
import os
import pty
import shutil
import subprocess
import sys
import threading
import time
from importlib.resources import files
from pathlib import Path

import pytest

from starfreight.cli import main
from starfreight.recipe import load_recipe

APACHE = files("starfreight.licenses.known").joinpath("Apache-2.0.txt").read_text()


def write_code(folder: Path, count: int = 8) -> Path:
    folder.mkdir(parents=True)
    for number in range(count):
        body = "\n".join(f"def area_{number}_{line}(x):\n    return x * {line}" for line in range(40))
        (folder / f"module_{number}.py").write_text(body + "\n")
    return folder


@pytest.mark.parametrize("group", [[], ["jobs"], ["package"], ["images"], ["data"], ["starter"]])
def test_a_group_without_a_command_prints_its_help_and_succeeds(
    group: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(group) == 0
    out, err = capsys.readouterr()
    assert out.startswith(" ".join(["Usage: starfreight", *group]))
    assert err == ""


def test_plan_accepts_the_recipe_for_a_part_of_a_licensed_repository(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = write_code(tmp_path / "Acme Billing" / "src")
    (code.parent / ".git").mkdir()
    (code.parent / "LICENSE").write_text(APACHE)
    (code / "outside.py").symlink_to("/etc/passwd")
    (code / "loop.py").symlink_to("loop.py")
    (code / "key.py").write_text('token = "ghp_abcdefghijklmnopqrstuvwxyz0123456789"\n')
    (code / "big.json").write_text("[" + "1," * 100_000 + "1]")
    assert main(["init", "--code", str(code), str(tmp_path / "new"), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert [each["name"] for each in said["code"]["languages"]] == ["Python"]
    assert said["code"]["license"] == "Apache-2.0"
    assert said["code"]["files_with_secrets"] == 1
    path = tmp_path / "new" / "recipe.yaml"
    recipe = load_recipe(path).recipe
    assert recipe.name == "acme-billing"
    assert recipe.data[0].exclude == ("outside.py",)
    assert recipe.data[0].license == "Apache-2.0"
    assert str(tmp_path) not in path.read_text()
    assert main(["plan", str(path), "--json"]) == 0
    before = path.read_bytes()
    assert main(["init", "--code", str(code), str(tmp_path / "new")]) == 2
    assert path.read_bytes() == before


def test_a_base_model_is_described_and_its_license_read_from_its_card(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = tmp_path / "model"
    shutil.copytree(str(files("starfreight").joinpath("starter")), base)
    (base / "README.md").write_text("---\nlicense: bigcode-openrail-m\n---\nA model.\n")
    code = write_code(tmp_path / "src")
    new = tmp_path / "new"
    assert main(["init", "--code", str(code), "--base", str(base), str(new), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["base"]["architecture"] == "starcoder2"
    assert said["base"]["license"] == "LicenseRef-BigCode-OpenRAIL-M"
    recipe = load_recipe(new / "recipe.yaml").recipe
    assert recipe.base.model == "../model"
    assert recipe.training.sequence_length <= said["base"]["context"]
    assert recipe.data[0].license == "LicenseRef-Proprietary"


def test_the_license_name_of_an_unlisted_license_is_read_and_vendored_code_is_not_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = tmp_path / "model"
    shutil.copytree(str(files("starfreight").joinpath("starter")), base)  # Its card: `license: other`.
    code = write_code(tmp_path / "src")
    for name in ("vendor/acme/area.go", "third_party/LICENSE"):
        (code / name).parent.mkdir(parents=True)
        (code / name).write_text("package acme\n" * 3000)
    options = ["init", "--code", str(code), "--base", str(base), str(tmp_path / "new"), "--license", "ISC"]
    assert main([*options, "--json"]) == 0
    out, err = capsys.readouterr()
    said = json.loads(out)
    assert said["base"]["license"] == "PSF-2.0"
    assert [each["name"] for each in said["code"]["languages"]] == ["Python"]
    assert said["code"]["other_licenses"] == {}
    assert "License: ISC, from --license" in err and "none found" not in err


def test_notebooks_without_other_code_are_trained_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = write_code(tmp_path / "src", 4)
    for path in code.iterdir():
        cell = {"cell_type": "code", "source": path.read_text(), "metadata": {}, "outputs": []}
        path.with_suffix(".ipynb").write_text(json.dumps({"cells": [cell], "metadata": {}, "nbformat": 4}))
    assert main(["init", "--code", str(code), str(tmp_path / "both"), "--json"]) == 0
    assert load_recipe(tmp_path / "both" / "recipe.yaml").recipe.data[0].include == ("*.py",)
    for path in code.glob("*.py"):
        path.unlink()
    assert main(["init", "--code", str(code), str(tmp_path / "new"), "--json"]) == 0
    capsys.readouterr()
    assert load_recipe(tmp_path / "new" / "recipe.yaml").recipe.data[0].include == ("*.ipynb",)
    assert main(["plan", str(tmp_path / "new" / "recipe.yaml"), "--no-measure", "--json"]) == 0


@pytest.mark.parametrize(
    ("options", "what"),
    [
        (["--code", "missing"], "does not exist"),
        (["--code", "empty"], "no code"),
        (["--code", "src", "--base", "empty"], "no file config.json"),
        (["--code", "src", "--base", "adapter"], "holds an adapter, not a model"),
        (["--code", "src", "--base", "package"], "holds a package, not a model"),
        (["--code", "src", "--base", "run"], "holds a run, not a model"),
        (["--code", "src", "--base", "files"], "holds a GGUF file, not a model"),
        (["--code", "src", "--base", "org/name"], "no revision"),
        (["--code", "src", "--base", "org/name@main"], "'main' is not a commit"),
        (["--code", "src", "--base", "src/module_0.py"], "is a file"),
        (["--code", "src", "--base", "nowhere@1"], "hub id as ORG/NAME@COMMIT"),
        (
            ["--code", "src", "--base", f"oci://ghcr.io/a/b@sha256:{'0' * 64}"],
            "license of the base model was",
        ),
        (["--code", "src", "--license", "Foo Bar"], "not a license"),
        (["--code", "src", "--base-license", "Foo"], "not a license"),
        (["--code", "src", "--name", "Not A Name"], "'name' is not valid"),
        (["--code", "src", "--name", ""], "'name' is not valid"),
        (["--code", "binary"], "no text to train on"),
        (["--code", "small"], "less than one block"),
        (["--code", os.fsdecode(b"bad\xff")], "not valid UTF-8"),
        (["--base", "builtin:starter"], "require --code"),
    ],
)
def test_bad_input_is_one_clear_error_and_nothing_is_written(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    what: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    write_code(tmp_path / "src", 1)
    (tmp_path / "empty").mkdir()
    for name in ("adapter/adapter_config.json", "package/oci-layout", "run/run.json", "files/acme.gguf"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    for name, content in (("binary", b"\0\1" * 4096), ("small", b"x = 1\n")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.py").write_bytes(content)
    assert main(["init", *options, "new"]) == 2
    said = capsys.readouterr().err
    assert what in said
    assert said.count("Error:") == 1
    assert not (tmp_path / "new").exists()


def test_the_only_file_is_not_held_out_and_licenses_below_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = write_code(tmp_path / 'the "code" of $(all)\n', 1)
    (code / "third").mkdir()
    (code / "third" / "LICENSE").write_text(APACHE)
    assert main(["init", "--code", str(code), str(tmp_path / "new"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["code"]["other_licenses"] == {"third": "Apache-2.0"}
    path = tmp_path / "new" / "recipe.yaml"
    recipe = load_recipe(path).recipe
    assert recipe.data[0].held_out == 0
    assert "third has a LICENSE file of its own" in path.read_text()
    assert main(["plan", str(path), "--json"]) == 0


def at_a_terminal(folder: Path, typed: bytes) -> tuple[int, str]:
    """Runs ``init new`` at a terminal whose user types ahead; its exit code and what it shows."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "starfreight", "init", "new"],
        cwd=folder, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        preexec_fn=lambda: os.close(os.open(os.ttyname(0), os.O_RDWR)),
    )  # fmt: skip
    os.close(theirs)
    shown = b""
    killer = threading.Timer(60, process.kill)
    killer.start()
    while True:
        try:
            piece = os.read(ours, 4096)
        except OSError:
            break
        if b"Directory of your code" in shown + piece and typed:
            time.sleep(0.5)  # A signal between the question and the read would wait for the next key.
            os.write(ours, typed)
            typed = b""
        shown += piece
    killer.cancel()
    os.close(ours)
    return process.wait(), shown.decode()


def test_a_terminal_is_asked_and_may_correct_each_answer(tmp_path: Path) -> None:
    write_code(tmp_path / "src")
    code, shown = at_a_terminal(tmp_path, b"nowhere\nsrc\n\nNot A Name\nmine\nFoo Bar\nMIT\n\n")
    assert code == 0, shown
    assert shown.count("Error:") == 3
    recipe = load_recipe(tmp_path / "new" / "recipe.yaml").recipe
    assert (recipe.name, recipe.data[0].license, recipe.base.model) == ("mine", "MIT", "builtin:starter")


def test_ctrl_c_at_a_question_writes_nothing(tmp_path: Path) -> None:
    code, shown = at_a_terminal(tmp_path, b"\x03")
    assert code == 130, shown
    assert "\r\nInterrupted." in shown
    assert "Traceback" not in shown
    assert not (tmp_path / "new").exists()
