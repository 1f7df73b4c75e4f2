"""Names of data sources for people: no directories of this machine, no passwords of an address."""

from __future__ import annotations

from starfreight.base_model import public_name
from starfreight.git_uri import git_uri

_GIT = "git:"


def shown_source(source: str) -> str:
    """The name of a source of a recipe or a data manifest.

    Args:
        source: as written there, e.g. ``git:https://user:token@github.com/acme/app``.
    """
    if not source.startswith(_GIT):
        return public_name(source)
    address = source.removeprefix(_GIT)
    return git_uri(address) or _GIT + public_name(address)
