"""Upload a package's plain files to a hub repository, in one commit.

The hub's own client sends the files, straight from the package. Files that are there already are not sent
again, and the commit comes last: an interrupted upload leaves the repository as it was, and the same command
continues it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starfreight.console import Console, human_count, printable
from starfreight.errors import GateError, InputError, ServiceError, StarfreightError
from starfreight.files import sha256_file
from starfreight.package import Descriptor, Package
from starfreight.packager.evaluation.gate import check_gate
from starfreight.packager.install.export import package_models
from starfreight.packager.install.folder import MODELFILE, folder_files, modelfile_of
from starfreight.packager.install.sources import PackageSource
from starfreight.packager.provenance.duties import check_license_gate
from starfreight.quantization import Quantization

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9][A-Za-z0-9._-]{0,95}")


@dataclass(frozen=True)
class Uploaded:
    """A repository after the upload."""

    repository: str
    endpoint: str
    commit: str
    files: tuple[str, ...]
    size: int

    def as_dict(self) -> dict[str, Any]:
        """The result as ``--json`` prints it."""
        return {
            "repository": self.repository,
            "endpoint": self.endpoint,
            "commit": self.commit,
            "files": list(self.files),
            "size": self.size,
        }


def push_hub(
    folder: Path, repository: str, variants: tuple[str, ...], *, private: bool, console: Console
) -> Uploaded:
    """Upload a package.

    Args:
        folder: the package's directory.
        repository: ``namespace/name``; created if missing.
        variants: quantizations, the Modelfile's first; empty for all.
        private: create the repository as a private one.
        console: shows progress.

    Raises:
        InputError: no package there, no such variant, an invalid name, or the hub denies access.
        GateError: a file of the package is damaged, a quality rule is missed or was not measured, or a duty
            of its licenses is not met.
        ServiceError: the hub does not answer or keeps failing.
    """
    if not _NAME.fullmatch(repository) or "--" in repository or ".." in repository:
        raise InputError(
            "The repository is not NAMESPACE/NAME.",
            where=repr(repository[:200]),
            fix="write for example acme/coder",
        )
    package = Package.load(folder)
    source = PackageSource(folder)
    models = package_models(package, variants, source)
    check_gate(folder, package, default=Quantization.parse(variants[0]) if variants else None)
    check_license_gate(folder, package)
    files = folder_files(models, for_hub=True)
    modelfile = modelfile_of(models, source).encode()

    paths = _checked(files, source, console)
    size = sum(blob.size for blob in files.values()) + len(modelfile)

    from huggingface_hub import CommitOperationAdd, HfApi, constants
    from huggingface_hub.utils.tqdm import (
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )

    if not constants.ENDPOINT.startswith(("http://", "https://")):
        raise InputError(
            "The hub's address is not an http address.",
            where=f"environment, HF_ENDPOINT={constants.ENDPOINT[:200]!r}",
            fix="write https://HOST, or unset it",
        )
    console.heading(f"Uploading {human_count(size, 'B')} to {constants.ENDPOINT}/{repository}")
    silenced = not console.interactive and not are_progress_bars_disabled()
    if silenced:
        disable_progress_bars()
    try:
        api = HfApi()
        api.create_repo(repository, private=private or None, exist_ok=True)
        contents: dict[str, str | bytes] = {**paths, MODELFILE: modelfile}
        commit = api.create_commit(
            repository,
            [CommitOperationAdd(path_in_repo=name, path_or_fileobj=each) for name, each in contents.items()],
            commit_message=f"Upload {package.name} of the run {package.run}",
        )
    # The errors of the hub's client and its HTTP library have no common base class.
    except Exception as error:
        raise _failure(error, repository) from error
    finally:
        if silenced:
            enable_progress_bars()
    return Uploaded(repository, constants.ENDPOINT, str(commit.oid), tuple(contents), size)


def _checked(files: dict[str, Descriptor], source: PackageSource, console: Console) -> dict[str, str]:
    """The path of each file in the package, after a look at its digest."""
    paths = {}
    total = sum(blob.size for blob in files.values())
    with console.progress("Checking", total=total, unit="B") as advance:
        for name, blob in files.items():
            path = source.path(blob)
            if sha256_file(path, advance) != blob.digest:
                raise GateError(
                    "The file does not have the digest in its name.",
                    where=str(path),
                    fix="make the package again, or get it again from its source",
                )
            paths[name] = str(path)
    return paths


def _failure(error: Exception, repository: str) -> StarfreightError:
    response = getattr(error, "response", None) or getattr(error.__cause__, "response", None)
    status = getattr(response, "status_code", None)
    if status in (401, 403, 404):
        return InputError(
            f"The hub denies access to the repository, or to its namespace (status {status}).",
            where=repository,
            fix="set HF_TOKEN to a token with write access, and check the name",
        )
    words = " ".join(printable(str(error)).split())[:300]
    if "/xet-" in words:  # Older hubs and mirrors lack it.
        return ServiceError(
            f"The hub does not take files by the Xet protocol: {words}",
            where=repository,
            fix="set HF_HUB_DISABLE_XET=1, then run the same command again",
        )
    reason = f"status {status}" if status else type(error.__cause__ or error).__name__
    return ServiceError(
        f"The upload to the hub failed ({reason}): {words}",
        where=repository,
        fix="check the network, then run the same command again; files that arrived are not sent again",
    )
