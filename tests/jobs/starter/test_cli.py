from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from click.testing import CliRunner

from starfreight.jobs.starter.cli import starter


def test_minutes_and_steps_exclude_each_other(tmp_path: Path) -> None:
    arguments = ["build", "--minutes", "1", "--steps", "10", "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(starter, arguments)
    assert result.exit_code == 2
    assert "exclude each other" in result.output
    assert not (tmp_path / "out").exists()


def test_help_does_not_import_torch() -> None:
    program = "import sys; from starfreight.jobs.starter.cli import starter\n"
    program += "try: starter(['build', '--help'])\nfinally: "
    program += "assert not {'torch', 'transformers', 'tokenizers', 'numpy'} & set(sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "--minutes" in done.stdout
