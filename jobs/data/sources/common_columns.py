"""Common names of the columns of records, tried if the recipe names none."""

from __future__ import annotations

from starfreight.recipe.data import Columns

COMMON = {
    "content": ("content", "text", "code"),
    "path": ("path", "max_stars_repo_path", "file_path"),
    "repository": ("repo_name", "repository", "repo", "max_stars_repo_name"),
    "license": ("license", "licenses", "max_stars_repo_licenses"),
}


def is_about_file(name: str, columns: Columns) -> bool:
    """Return true for the column of a path, a repository or a license."""
    return any(
        name == getattr(columns, kind) or (getattr(columns, kind) is None and name in COMMON[kind])
        for kind in ("path", "repository", "license")
    )
