"""``package keygen`` and ``package sign`` as their users type them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from private_ca import PrivateCa

from starfreight.cli import main
from starfreight.package import Package

FINISHED = Path(__file__).parents[3] / "golden/finished-packages"
VARIABLE = "STARFREIGHT_KEY_PASSWORD"


def test_a_key_is_made_and_a_package_signed(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(VARIABLE, "correct horse")
    assert main(["package", "keygen", "--out", str(tmp_path / "acme"), "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert made == {"private_key": str(tmp_path / "acme.key"), "public_key": str(tmp_path / "acme.pub")}
    sign = ["package", "sign", str(package), "--key", made["private_key"], "--json"]
    assert main(sign) == 0
    first = json.loads(capsys.readouterr().out)
    assert first["added"] == first["manifests"] > 0
    assert main(sign) == 0
    assert json.loads(capsys.readouterr().out)["added"] == 0
    verify = ["package", "verify", str(package), "--json"]
    assert main([*verify, "--key", made["public_key"]]) == 0
    assert json.loads(capsys.readouterr().out)["signatures"] == first["manifests"]
    assert main(verify) == 0
    assert json.loads(capsys.readouterr().out)["signatures"] is None
    assert main(["package", "keygen", "--out", str(tmp_path / "other")]) == 0
    assert main([*verify, "--key", str(tmp_path / "other.pub")]) == 3
    assert main([*verify, "--key", str(tmp_path / "missing.pub")]) == 2
    assert main(["package", "keygen", "--out", str(tmp_path / "acme")]) == 2
    assert "correct horse" not in "".join(capsys.readouterr())


@pytest.mark.parametrize("name", ["/", ".", ".."])
def test_a_key_needs_a_file_name(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(VARIABLE, "correct horse")
    assert main(["package", "keygen", "--out", name]) == 2
    assert "names no file" in capsys.readouterr().err


def test_a_certificate_signs(
    package: Path, private_ca: PrivateCa, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    sign = ["package", "sign", str(package), "--key", str(private_ca.key)]
    sign += ["--certificate", str(private_ca.certificate)]
    assert main(sign) == 2
    assert main([*sign, "--timestamps", "http://127.0.0.1:9/"]) == 4
    assert "timestamp authority" in capsys.readouterr().err
    assert main([*sign, "--timestamps", private_ca.timestamps]) == 0
    signed = Package.load(package)
    assert main([*sign, "--timestamps", private_ca.timestamps]) == 0
    assert Package.load(package) == signed


def test_a_wrong_password_and_a_wrong_package_change_nothing(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(VARIABLE, "one")
    assert main(["package", "keygen", "--out", str(tmp_path / "acme")]) == 0
    before = Package.load(package)
    sign = ["package", "sign", str(package), "--key", str(tmp_path / "acme.key")]
    monkeypatch.setenv(VARIABLE, "another")
    assert main(sign) == 2
    monkeypatch.setenv(VARIABLE, "one")
    blob = package / "blobs/sha256" / before.model_card.digest.removeprefix("sha256:")
    data = blob.read_bytes()
    blob.write_bytes(data[:-1] + b"?")
    assert main(sign) == 3
    assert Package.load(package) == before and "Traceback" not in capsys.readouterr().err


def test_the_password_is_asked_for_where_there_is_no_variable(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "starfreight", "package", "keygen", "--out", str(tmp_path / "k")]
    done = subprocess.run(
        command, input=b"one\none\n", capture_output=True, timeout=60, env={"PATH": "/usr/bin"}
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "k.key").exists() and b"one" not in done.stdout + done.stderr


def test_without_a_terminal_the_password_comes_from_the_variable_or_a_pipe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = shutil.copytree(min(path for path in FINISHED.iterdir() if path.is_dir()), tmp_path / "package")
    monkeypatch.setenv(VARIABLE, "correct horse")
    assert main(["package", "keygen", "--out", str(tmp_path / "acme")]) == 0
    monkeypatch.delenv(VARIABLE)
    command = [sys.executable, "-m", "starfreight", "package", "sign", str(package)]
    command += ["--key", str(tmp_path / "acme.key")]

    def run(given: str) -> subprocess.CompletedProcess[str]:
        # A session of its own has no terminal.
        return subprocess.run(
            command, input=given, capture_output=True, text=True, start_new_session=True, timeout=120
        )

    done = run("")
    assert done.returncode == 2 and "there is no terminal" in done.stderr and "Warning" not in done.stderr
    assert run("wrong\n").returncode == 2
    done = run("correct horse\n")
    assert done.returncode == 0 and "correct horse" not in done.stdout + done.stderr
