"""Lists the packages installed in an image by inspecting the image itself.

The image's own Python lists the Python packages, in a container without write access or network. The Debian
packages come from the image's files.
"""

from __future__ import annotations

import io
import json
import re
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from starfreight.docker_engine import engine_errors
from starfreight.errors import InputError

if TYPE_CHECKING:
    import docker
    from docker.models.containers import Container

_LIST_PYTHON = """
import json
from importlib.metadata import distributions
print(json.dumps([
    [d.metadata["Name"], d.version, d.metadata["License-Expression"], d.metadata["License"],
     d.metadata.get_all("Classifier") or []]
    for d in distributions()
]))
"""

_STATUS = "/var/lib/dpkg/status"
_RELEASE = "/usr/lib/os-release"
"""The target of ``/etc/os-release`` in Debian and its derivatives."""

_MOST_BYTES = 64 << 20
"""Limit for a file in an image and for Python's output. 700 Debian packages take 0.6 MB."""
_MOST_PACKAGES = 100_000
_LONGEST = 500
_PATIENCE = 60
"""Seconds to wait for Python's list; it takes one."""

_OSI = "License :: OSI Approved :: "
_DEBIAN_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]{1,127}")


@dataclass(frozen=True, order=True)
class PythonPackage:
    """An installed distribution."""

    name: str
    """Normalised: lower case with dashes."""
    version: str
    license: str
    """An SPDX expression if the package has one, otherwise its own words; may be empty."""


@dataclass(frozen=True, order=True)
class DebianPackage:
    """An installed binary package."""

    name: str
    version: str
    architecture: str
    source: str
    """The source package, to which security notices refer."""


@dataclass(frozen=True)
class ImageContents:
    """The packages installed in an image."""

    created: str
    """Time of the build from the image's label or configuration, in UTC: ``2026-01-31T12:00:00Z``."""
    system: tuple[str, str]
    """Id and version from ``os-release``: ``("debian", "12")``; empty if absent."""
    python: tuple[PythonPackage, ...]
    debian: tuple[DebianPackage, ...]


def read_contents(engine: docker.DockerClient, image_id: str) -> ImageContents:
    """Lists the packages in an image.

    Args:
        engine: the engine with the image.
        image_id: digest of the image's configuration, ``sha256:...``.

    Raises:
        InputError: the engine does not have the image, or a list of packages in it is invalid.
        ServiceError: the engine refuses or stops answering.
    """
    import docker.errors
    from docker.types import LogConfig

    with engine_errors():
        try:
            image = engine.images.get(image_id)
        except docker.errors.ImageNotFound:
            raise InputError(
                "The Docker Engine no longer has this image.",
                where=image_id,
                fix="build it again: starfreight images build",
            ) from None
        container = engine.containers.create(
            image_id,
            entrypoint=["python", "-I", "-c", _LIST_PYTHON],
            command=[],
            network_mode="none",
            read_only=True,
            cap_drop=["ALL"],
            security_opt=["no-new-privileges"],
            user="65532:65532",
            mem_limit="1g",
            pids_limit=64,
            log_config=LogConfig(type=LogConfig.types.JSON, config={"max-size": f"{2 * _MOST_BYTES}"}),
        )
        try:
            release = _read(container, _RELEASE)
            status = _read(container, _STATUS)
            said = _run(container)
        finally:
            container.remove(force=True, v=True)
    system = dict(re.findall(r'^(ID|VERSION_ID)="?([a-z0-9._-]{1,64})"?$', release, re.MULTILINE))
    labels = image.labels
    return ImageContents(
        created=_seconds(labels.get("org.opencontainers.image.created") or image.attrs["Created"]),
        system=(system.get("ID", ""), system.get("VERSION_ID", "")),
        python=tuple(_python(said)),
        debian=tuple(_debian(status)),
    )


def _seconds(time: str) -> str:
    """A time without its fraction, which some readers reject."""
    found = re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", time)
    return f"{found[0]}Z" if found else "1970-01-01T00:00:00Z"


def _run(container: Container) -> str:
    import docker.errors
    import requests

    try:
        container.start()
    except docker.errors.APIError as error:
        if "executable file not found" not in str(error.explanation):
            raise
        raise _unlisted(container, "Python is missing") from error
    try:
        exit_code = container.wait(timeout=_PATIENCE)["StatusCode"]
    except (requests.ConnectionError, requests.ReadTimeout):
        raise _unlisted(container, f"no answer in {_PATIENCE} seconds") from None
    if exit_code != 0:
        lines = container.logs(stdout=False, stderr=True, tail=3).decode(errors="replace")
        said = " ".join(lines.split())[:_LONGEST]
        raise _unlisted(container, f"exit code {exit_code}{': ' if said else ''}{said}")
    return _bounded(container.logs(stdout=True, stderr=False, stream=True), "list of Python packages")


def _unlisted(container: Container, why: str) -> InputError:
    return InputError(
        f"The image's Python did not list its packages ({why}).",
        where=container.attrs["Image"],
        fix="check that Starfreight built the image, and for this machine's architecture",
    )


def _read(container: Container, path: str) -> str:
    """A file of a container that was never started; empty if the file does not exist."""
    import docker.errors

    try:
        pieces, _ = container.get_archive(path)
    except docker.errors.NotFound:
        return ""
    archive = _bounded(pieces, path, "latin-1").encode("latin-1")
    try:
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            member = tar.next()
            stream = tar.extractfile(member) if member is not None and member.isreg() else None
            return stream.read().decode(errors="replace") if stream else ""
    except tarfile.TarError as error:
        raise _unreadable(path) from error


def _bounded(pieces: Iterable[bytes], what: str, encoding: str = "utf-8") -> str:
    data = bytearray()
    for piece in pieces:
        data += piece
        if len(data) > _MOST_BYTES:
            raise _unreadable(what)
    return data.decode(encoding, errors="replace")


def _python(said: str) -> Iterator[PythonPackage]:
    """The packages by name. Python lists the one that it would import first."""
    try:
        entries: Any = json.loads(said)
        found: dict[str, PythonPackage] = {}
        for name, version, expression, words, classifiers in entries[:_MOST_PACKAGES]:
            if name is None:  # A directory left behind by an installation.
                continue
            name = re.sub(r"[-_.]+", "-", name[:_LONGEST]).lower()
            license = _license(expression, words, classifiers)
            found.setdefault(name, PythonPackage(name, version.strip()[:_LONGEST], license))
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise _unreadable("list of Python packages") from error
    yield from sorted(found.values())


def _license(expression: str | None, words: str | None, classifiers: list[str]) -> str:
    """The license in a package's metadata. The older field may hold a whole text, which is not a name."""
    if expression:
        return expression.strip()[:_LONGEST]
    words = (words or "").strip()
    if words and words != "UNKNOWN" and "\n" not in words and len(words) <= 100:
        return words
    return " AND ".join(each.removeprefix(_OSI) for each in classifiers if each.startswith(_OSI))[:_LONGEST]


def _debian(status: str) -> Iterator[DebianPackage]:
    """The installed packages of ``/var/lib/dpkg/status`` (deb-control(5)), by name."""
    found = []
    for stanza in status.split("\n\n")[:_MOST_PACKAGES]:
        fields = dict(
            re.findall(r"^(Package|Status|Version|Architecture|Source): (.{1,500})$", stanza, re.MULTILINE)
        )
        if not fields.get("Status", "").endswith(" installed"):
            continue
        try:
            name, source = fields["Package"], fields.get("Source", "").partition(" ")[0]
            package = DebianPackage(name, fields["Version"], fields["Architecture"], source or name)
        except KeyError as error:
            raise _unreadable(_STATUS) from error
        if not _DEBIAN_NAME.fullmatch(package.name) or not _DEBIAN_NAME.fullmatch(package.source):
            raise _unreadable(_STATUS)
        found.append(package)
    yield from sorted(found)


def _unreadable(what: str) -> InputError:
    return InputError(
        f"The image's {what} is invalid or too long.",
        fix="build the image again: starfreight images build",
    )
