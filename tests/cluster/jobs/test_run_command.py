"""``starfreight run --on kubernetes``: one job trains and packages, and both results are copied home."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from starfreight.packager.layout import verify_layout
from starfreight.run import Run


def test_the_run_and_the_package_come_home_and_the_same_command_repeats_nothing(
    starfreight: Any, recipe: Callable[..., Path], tmp_path: Path, console: Any
) -> None:
    path = recipe("all-of-it")
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "package": {"quantizations": ["Q8_0"]}}))
    command = [
        sys.executable, "-m", "starfreight", "run", str(path), "--runs", str(tmp_path / "runs"),
        "--packages", str(tmp_path / "packages"), "--json",
    ]  # fmt: skip
    environment = {**os.environ, "KUBECONFIG": str(starfreight.kubeconfig)}

    def run() -> tuple[dict[str, str], str]:
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=900
        )
        assert done.returncode == 0, done.stdout + done.stderr
        (variant,) = json.loads(done.stdout)["variants"]
        return variant, done.stderr

    variant, said = run()
    assert "held out, after training" in said
    directory, package = Path(variant["run"]), Path(variant["package"])
    assert Run.load(directory).is_done(directory)
    assert package == tmp_path / "packages" / directory.name
    assert verify_layout(package, console).problems == ()
    again, said = run()
    assert again == variant
    assert "held out" not in said
