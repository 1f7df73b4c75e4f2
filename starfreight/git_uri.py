"""Public addresses of git repositories, without anything that may be secret.

git_uri("https://me:token@github.com/acme/coder.git")     # git+https://github.com/acme/coder.git
git_uri("git@github.com:acme/coder.git")                  # git+ssh://github.com/acme/coder.git
git_uri("/home/me/coder")                                 # None
"""

from __future__ import annotations

import re

_HOST = r"(?:[A-Za-z0-9][A-Za-z0-9.-]{0,252}|\[[0-9a-fA-F:.]{2,45}\])"
_PATH = r"/[A-Za-z0-9._~%+-][A-Za-z0-9._~/%+-]{0,999}"
_URL = re.compile(rf"(https?|ssh)://(?:[^/@\s]*@)?({_HOST}(?::[0-9]{{1,5}})?)({_PATH})(?:[?#]\S*)?", re.A)
_SCP = re.compile(rf"(?:[A-Za-z0-9._-]+@)?({_HOST}):([A-Za-z0-9._~%+-][A-Za-z0-9._~/%+-]{{0,999}})", re.A)

URL_PATTERN = rf"^https?://{_HOST}(:[0-9]{{1,5}})?({_PATH})?/?$"
"""Web addresses without user, password, query and fragment."""
GIT_URI_PATTERN = rf"^git\+(https?|ssh)://{_HOST}(:[0-9]{{1,5}})?{_PATH}$"
"""The results of :func:`git_uri`."""


def git_uri(address: str) -> str | None:
    """The address of a repository in SPDX's form: ``git+https://host/path``.

    User, password, query and fragment are left out: all of them may hold a token.

    Args:
        address: a URL, or ``host:path``.

    Returns:
        ``None`` for a local repository, and for an address of any other form.
    """
    if (url := _URL.fullmatch(address)) is not None:
        return f"git+{url[1]}://{url[2]}{url[3]}".rstrip("/")
    if "://" not in address and "::" not in address and (scp := _SCP.fullmatch(address)) is not None:
        return f"git+ssh://{scp[1]}/{scp[2]}".rstrip("/")
    return None


def public_url(address: str) -> str | None:
    """A web address without user, password, query and fragment; ``None`` for any other form."""
    uri = git_uri(address)
    return uri.removeprefix("git+") if uri is not None and uri.startswith("git+http") else None
