"""The version of the GPU's driver comes from the kernel module, or from nvidia-smi."""

from __future__ import annotations

from pathlib import Path

import pytest

from starfreight.jobs.gpu import driver
from starfreight.jobs.gpu.driver import driver_version, read_module

OPEN = (
    "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.86.15  Release Build  (dvs@U16)\n"
    "GCC version:  gcc version 12.2.0 (Debian 12.2.0-14)\n"
)
PROPRIETARY = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5 22:23:56 UTC 2024\n"


@pytest.fixture(autouse=True)
def no_modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "_KERNEL_MODULE", tmp_path / "nvidia")
    monkeypatch.setattr(driver, "_AMD_MODULE", tmp_path / "amdgpu")
    monkeypatch.setenv("PATH", str(tmp_path))


def nvidia_smi(folder: Path, script: str) -> None:
    (folder / "nvidia-smi").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "nvidia-smi").chmod(0o755)


@pytest.mark.parametrize(
    ("text", "version"),
    [(OPEN, "570.86.15"), (PROPRIETARY, "550.54.15"), ("GCC version: 12.2.0\n", None), ("", None)],
)
def test_the_kernel_module_names_its_version(text: str, version: str | None, tmp_path: Path) -> None:
    assert read_module(text) == version
    (tmp_path / "nvidia").write_text(text)
    assert driver_version() == version


def test_without_the_module_nvidia_smi_is_asked(tmp_path: Path) -> None:
    nvidia_smi(tmp_path, "printf '570.86.15\\n570.86.15\\n'")
    assert driver_version() == "570.86.15"


@pytest.mark.parametrize("script", ["echo No devices were found", "exit 9", "printf '\\033[2J1.2'", "echo"])
def test_other_output_is_no_version(script: str, tmp_path: Path) -> None:
    nvidia_smi(tmp_path, script)
    assert driver_version() is None


def test_a_module_of_amd_is_read(tmp_path: Path) -> None:
    (tmp_path / "amdgpu").write_text("6.10.5\n")
    assert driver_version() == "6.10.5"
