"""The site builds strictly, and has nothing from outside."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from command_reference import command_paths, command_reference
from documentation import PAGES, ROOT

from starfreight.cli import cli


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip(
        "material", reason="mkdocs-material is not installed"
    ) if "CI" not in os.environ else None
    target = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(target)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return target


def test_the_site_builds_strictly_with_every_page(site: Path) -> None:
    pages = {path.stem for path in PAGES if path.name != "README.md"}
    assert pages | {"command-line"} <= {path.stem for path in site.glob("*.html")}
    assert (site / "search/search_index.json").stat().st_size > 100_000
    assert (site / "schemas/recipe.schema.json").read_bytes() == (
        ROOT / "starfreight/recipe/recipe.schema.json"
    ).read_bytes()


def test_pages_load_nothing_from_outside(site: Path) -> None:
    loads = re.compile(
        r"<(?:script|img|iframe|source)\b[^>]*\bsrc=\"?(?:https?:)?//|<link\b[^>]*\bhref=\"?(?:https?:)?//[^>]*"
    )
    outside = [
        (path.name, match[0])
        for path in site.glob("*.html")
        for match in loads.finditer(path.read_text())
        if "rel=canonical" not in match[0] and 'rel="canonical"' not in match[0]
    ]
    assert outside == []
    # The theme's script asks api.github.com about the repository that such an element names.
    asks = re.compile(r"data-md-component=\"?source\b")
    assert [path.name for path in site.glob("*.html") if asks.search(path.read_text())] == []


def test_lists_are_read_alike_by_github_and_mkdocs() -> None:
    # Python-Markdown takes less than four spaces for the end of a list, and code within one has to be fenced.
    breaks = re.compile(r"^\n {1,3}(?=\S)|^\d+\. [^\n]*\n\n {5,}(?=\S)", re.MULTILINE)
    for path in PAGES:
        page = re.sub(r"^( *)```.*?^\1```", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)
        assert (path.name, breaks.findall(page)) == (path.name, [])


def test_searches_find_options(site: Path) -> None:
    script = "search_options.js"
    assert f'src="{script}"' in (site / "index.html").read_text()
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    program = (
        "globalThis.Worker = class { postMessage(message) { console.log(message.data) } };"
        + (site / script).read_text()
        + 'new Worker().postMessage({ type: 2, data: "--key verify --policy multi-query -mit" });'
    )
    done = subprocess.run([node, "-e", program], capture_output=True, text=True, check=True)
    assert done.stdout == "key verify policy multi-query -mit\n"


def test_the_reference_has_every_command_and_every_option() -> None:
    page = command_reference(cli)
    sections = dict(re.findall(r"^## (starfreight[^\n]*)\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL))
    walked = dict(_commands(cli, "starfreight"))
    assert set(walked) == set(sections) == set(command_paths(cli))
    assert len(walked) > 40
    for path, command in walked.items():
        for parameter in command.params:
            if isinstance(parameter, click.Option) and not parameter.hidden:
                assert parameter.opts[-1] in sections[path], (path, parameter.opts)


def test_prose_of_a_help_text_is_prose_and_its_examples_are_blocks() -> None:
    page = command_reference(cli)
    assert "\nTurns a recipe (one YAML file) into a quantised model that people install" in page
    assert "```text\nstarfreight quickstart " in page


def _commands(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            if child is not None and not child.hidden:
                yield from _commands(child, f"{path} {name}")
