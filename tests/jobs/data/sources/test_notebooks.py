"""Notebooks of other languages and tools as scripts."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from starfreight.jobs.data.sources import open_source
from starfreight.jobs.data.sources.git_commit import CommitSource
from starfreight.jobs.data.sources.interface import Sample, Unusable
from starfreight.jobs.data.sources.notebooks import notebook_script
from starfreight.recipe import Data


def script(*sources: str, language: str = "python", kind: str = "code", **more: Any) -> str:
    cells = [{"cell_type": kind, "source": source} for source in sources]
    text = json.dumps({"cells": cells, "metadata": {"kernelspec": {"language": language}}, **more})
    found = notebook_script(text)
    assert found is not None
    return found[0]


STRINGS = """cur.execute(\"\"\"
INSERT INTO prices VALUES (
    %s, %s
)\"\"\", row)
note = '''
Why?
%d items
!important
'''  # it's "one
y = 1
"""


def test_a_line_inside_a_string_is_no_magic() -> None:
    assert script(STRINGS + "%timeit f(x)\nf?\n") == STRINGS + "# %timeit f(x)\n# f?\n"


def test_a_command_on_several_lines_is_a_comment_as_a_whole() -> None:
    assert script("!pip install \\\n    torch \\\n    numpy\nimport torch") == (
        "# !pip install \\\n#     torch \\\n#     numpy\nimport torch\n"
    )


@pytest.mark.parametrize(
    "magic",
    [
        "%%spark", "%%bigquery prices", "%%SQL", "%%cpp", "%%configure -f", "%%R -i prices", "%%!",
        "%md", "%md # Prices", "%sql", "%sh ", "%scala", "%fs",
    ],
)  # fmt: skip
def test_a_cell_in_another_language_is_a_comment_as_a_whole(magic: str) -> None:
    assert script(f"{magic}\nSELECT 1") == f"# {magic}".rstrip() + "\n# SELECT 1\n"


@pytest.mark.parametrize(
    "magic", ["%%time", "%%capture out", "%%pyspark", "%sql SELECT 1", "%run a.py", "%%rerun"]
)
def test_a_cell_of_python_stays_code(magic: str) -> None:
    assert script(f"{magic}\nx = 1") == f"# {magic}\nx = 1\n"


@pytest.mark.parametrize(("language", "mark"), [("fortran", "!"), ("stata", "*"), ("visual basic .net", "'")])
def test_texts_are_comments_of_the_language(language: str, mark: str) -> None:
    assert script("Load", language=language, kind="markdown") == f"{mark} Load\n"


def test_the_language_of_the_third_format_is_that_of_the_first_cell_that_has_one() -> None:
    cells = [
        {"cell_type": "heading", "level": 1, "source": ["Prices"]},
        {"cell_type": "code", "language": "python", "input": ["x = 1"]},
    ]
    found = notebook_script(json.dumps({"worksheets": [{"cells": cells}], "nbformat": 3, "metadata": {}}))
    assert found == ("# Prices\n\nx = 1\n", "Python")


@pytest.mark.parametrize(
    "text", ['"""' * 30_001, "'\\" * 50_000, "!" + "\\" * 90_000, "!a\\\n" * 20_000, "x" * 90_000]
)
def test_a_hostile_cell_takes_little_time(text: str) -> None:
    began = time.process_time()
    script(text)
    assert time.process_time() - began < 1


def large(*sources: str, outputs: int = 0) -> str:
    cells = [{"cell_type": "code", "source": each, "outputs": [{"png": "A" * outputs}]} for each in sources]
    return json.dumps({"cells": cells, "metadata": {}})


def test_a_notebook_is_too_large_by_its_text_not_by_its_pictures(tmp_path: Path) -> None:
    write = {"plot.ipynb": large("x = 1", outputs=3 << 20), "long.ipynb": large("x = 1\\n" * 200_000)}
    write |= {"huge.ipynb": large("x = 1", outputs=17 << 20), "data.json": large("x = 1", outputs=2 << 20)}
    for name, text in write.items():
        (tmp_path / name).write_text(text)
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org", "-C", str(tmp_path)]
    data = Data(source=str(tmp_path), format="code")
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "x"]):
        subprocess.run([*git, *command], check=True)
    head = subprocess.run(
        [*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True
    ).stdout.strip()
    at = Data(source="git:https://example.org/a/b", format="code", revision=head)
    for source in (open_source(data, tmp_path), CommitSource(tmp_path / ".git", at)):
        found = {each.name: each for each in source.samples()}
        assert isinstance(plot := found.pop("plot.ipynb"), Sample)
        assert plot.content == "x = 1\n"
        reasons = {each.reason for each in found.values() if isinstance(each, Unusable)}
        assert reasons == {"larger than 1 MiB"}
        assert len(found) == 3
