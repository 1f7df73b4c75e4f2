"""A command that speaks to a registry does not wait for a parser that it never uses."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

CODE = """
import sys
import starfreight.registry.client
import jsonschema
assert "rfc3987_syntax" not in sys.modules
jsonschema.validate({"a": 1}, {"properties": {"a": {"type": "integer"}}})
import rfc3987_syntax
"""


def test_the_parser_is_left_out_where_it_is_installed(tmp_path: Path) -> None:
    (tmp_path / "rfc3987_syntax.py").write_text("print('imported')\n")
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-P", "-c", CODE],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == "imported\n"
