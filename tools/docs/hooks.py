"""What MkDocs does beyond its settings: the generated pages, and links to files outside ``docs/``."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from command_reference import command_reference  # MkDocs loads hooks with their directory on the path.
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
_SCRIPT = Path(__file__).with_name("search_options.js")
_LINK = re.compile(r"(\]\()(\.\./[^)#\s]*)(#[^)\s]*)?(\))")


def on_config(config: Any) -> Any:
    """Adds the script for searches to the theme's."""
    config.extra_javascript.append(_SCRIPT.name)
    return config


def on_files(files: Files, *, config: Any) -> Files:
    """Adds the reference of the command line and the JSON Schemas, made from the code."""
    from starfreight.cli import cli
    from starfreight.recipe.schema import SCHEMA_FILE

    generated: dict[str, str | bytes] = {
        "command-line.md": command_reference(cli),
        f"schemas/{SCHEMA_FILE.name}": SCHEMA_FILE.read_bytes(),
        _SCRIPT.name: _SCRIPT.read_bytes(),
    }
    for schema in sorted((ROOT / "packager/provenance/policy").glob("*.schema.json")):
        generated[f"schemas/{schema.name}"] = schema.read_bytes()
    for name, content in generated.items():
        files.append(File.generated(config, name, content=content))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: Any, files: Files) -> str:
    """Links to files of the repository outside ``docs/`` lead to GitHub; each has to exist.

    Raises:
        PluginError: a link leads nowhere.
    """
    repository = config.extra["social"][0]["link"].rstrip("/")

    def on_github(match: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join("docs", posixpath.dirname(page.file.src_uri), match[2]))
        path = ROOT / target
        if target.startswith("..") or not path.exists():
            raise PluginError(f"{page.file.src_uri}: the link {match[2]} leads nowhere.")
        kind = "tree" if path.is_dir() else "blob"
        return f"{match[1]}{repository}/{kind}/main/{target}{match[3] or ''}{match[4]}"

    return _LINK.sub(on_github, markdown)
