"""Addresses of git repositories: validation, and the names of the repositories."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from starfreight.errors import RecipeError

_SCP = re.compile(r"(?P<user>[\w.-]+)@(?P<host>[\w.-]+):(?P<path>[^:\s][^\s]*)", re.A)
_USER = re.compile(r"\w[\w.-]*", re.A)
_HOST = re.compile(r"(?:\w[\w.-]*|\[[0-9a-fA-F:.]+\])(?::\d{1,5})?", re.A)


@dataclass(frozen=True)
class GitAddress:
    """The address of a repository.

    Attributes:
        url: for git; the absolute path of a local repository.
        name: ``organisation/name``, or the directory name of a local repository.
    """

    url: str
    name: str


def parse_git_address(text: str, folder: Path) -> GitAddress:
    """Parse an address: ``https:``, ``ssh:``, ``git@host:path``, ``file:`` or the path of a directory.

    Args:
        text: the part of the source after ``git:``.
        folder: the base of relative paths.

    Raises:
        RecipeError: another kind of address, one with a password or token, or a directory that does not
            exist.
    """
    if not text.isprintable():
        raise _refused("has a character that cannot be printed", "remove it")
    scp = _SCP.fullmatch(text)
    if scp and "://" not in text:
        if scp["host"].startswith("-") or scp["path"].startswith("-") or scp["user"].startswith("-"):
            raise _refused("has a part that starts with a hyphen", "correct it")
        return GitAddress(text, _name(scp["path"]))
    scheme = re.match(r"[A-Za-z][A-Za-z0-9+.-]*(?=://|::)", text)
    if scheme is None:
        return _local(folder / text, text)
    if scheme[0] not in ("https", "ssh", "file") or text.startswith(scheme[0] + "::"):
        raise _refused(
            f"starts with {scheme[0]!r}",
            "write https://..., ssh://..., git@host:path, or the path of a directory",
        )
    try:
        parts = urlsplit(text)
        user, password = parts.username, parts.password
    except ValueError:
        raise _refused("is not a valid URL", "correct it") from None
    if password is not None or (user is not None and scheme[0] != "ssh") or parts.query or parts.fragment:
        # It would be recorded with the run and published with the model.
        raise _refused(
            "contains a user, a password, a token or a query",
            "remove it, and use git's credential helper or an ssh key instead: git help credentials",
        )
    if scheme[0] == "file":
        if parts.netloc not in ("", "localhost"):
            raise _refused("names a file on another machine", "use https or ssh")
        return _local(Path(unquote(parts.path)), text)
    host = parts.netloc.rpartition("@")[2]
    if not _HOST.fullmatch(host) or (user is not None and not _USER.fullmatch(user)):
        raise _refused("has no valid host", "correct it")
    if not parts.path.strip("/") or re.search(r"\s", text):
        raise _refused("has no valid path", "correct it")
    return GitAddress(text, _name(parts.path))


def _local(path: Path, text: str) -> GitAddress:
    try:
        exists = path.exists() and "\0" not in text
    except (OSError, ValueError):
        exists = False
    if not exists:
        raise RecipeError(
            "The git repository does not exist.",
            where=f"key data.source, looked for at {path}",
            fix="correct the path, which is relative to the recipe's directory, or write a URL",
        )
    home = path.resolve()
    return GitAddress(str(home), (home.parent if home.name == ".git" else home).name.removesuffix(".git"))


def _name(path: str) -> str:
    parts = path.strip("/").removesuffix(".git").split("/")
    return "/".join([part for part in parts if part not in ("", "~", "..", ".")][-2:])


def _refused(why: str, fix: str) -> RecipeError:
    # The address itself is not shown, since it may contain a secret.
    return RecipeError(f"The address of the git repository {why}.", where="key data.source", fix=fix)
