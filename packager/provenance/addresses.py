"""Addresses of a package's inputs: package URLs (purl) and addresses of git repositories.

    base_address("bigcode/starcoder2-3b", REVISION)     # pkg:huggingface/bigcode/starcoder2-3b@...
    source_address("git:https://github.com/acme/x", REVISION)    # git+https://github.com/acme/x

Formats: https://github.com/package-url/purl-spec and https://spdx.github.io (``downloadLocation``). None of
them holds a user, a password or a path of this machine.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote

from starfreight.git_uri import git_uri

_HUB_ID = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]{0,95})/([A-Za-z0-9][A-Za-z0-9._-]{0,95})")
_OCI = re.compile(
    r"oci://([A-Za-z0-9.-]+(?::[0-9]{1,5})?(?:/[a-z0-9._-]+)*)/([a-z0-9._-]+)@(sha256:[0-9a-f]{64})"
)
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_DATASETS = "https://huggingface.co/datasets/"


@dataclass(frozen=True)
class Address:
    """The address of an input, with the digest that is known from it.

    Attributes:
        uri: a package URL or ``git+https://...``; ``None`` for local files and installed packages.
        git_commit: of a repository or a data set of the hub.
        sha256: of a registry's artifact, without prefix.
    """

    uri: str | None = None
    git_commit: str | None = None
    sha256: str | None = None

    @property
    def digest(self) -> dict[str, str]:
        """The digest as in a resource descriptor; empty if none is known."""
        found = {"gitCommit": self.git_commit, "sha256": self.sha256}
        return {name: value for name, value in found.items() if value is not None}


def library_url(name: str, version: str) -> str:
    """The package URL of a library, or of Python itself."""
    kind = "generic" if name == "python" else "pypi"
    return f"pkg:{kind}/{quote(name, safe='')}@{quote(version, safe='')}"


def library_version(url: str) -> str | None:
    """The version in a package URL; ``None`` without one."""
    return unquote(url.rpartition("@")[2]) if url.startswith("pkg:") and "@" in url else None


def base_address(model: str, revision: str | None) -> Address:
    """The address of a base model.

    Args:
        model: as the recipe names it.
        revision: the commit of a model of the hub.
    """
    if (artifact := _artifact(model)) is not None:
        return artifact
    if revision is not None and (found := _HUB_ID.fullmatch(model)):
        return Address(f"pkg:huggingface/{found[1]}/{found[2]}@{revision}")
    return Address()


def source_address(source: str, revision: str | None) -> Address:
    """The address of a source of training data.

    Args:
        source: as the recipe or the data manifest names it.
        revision: the commit, if it has one.
    """
    commit = revision if revision is not None and _COMMIT.fullmatch(revision) else None
    if (artifact := _artifact(source)) is not None:
        return artifact
    kind, _, name = source.partition(":")
    if kind == "git":
        return Address(git_uri(name), commit)
    if kind == "dataset" and _HUB_ID.fullmatch(name):
        return Address(f"git+{_DATASETS}{name}", commit)
    return Address()


def _artifact(reference: str) -> Address | None:
    found = _OCI.fullmatch(reference)
    if found is None:
        return None
    repository = quote(f"{found[1]}/{found[2]}", safe="/.:-_~")
    digest = found[3]
    url = f"pkg:oci/{found[2]}@{quote(digest, safe='')}?repository_url={repository}"
    return Address(url, None, digest.removeprefix("sha256:"))
