"""Builds images: the core of ``starfreight images build``.

built = build_image(BuildRequest(name="trainer"), console)
built.reference, built.id
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from starfreight import __version__
from starfreight.console import Console, human_count
from starfreight.directories import open_without_links
from starfreight.directory_lock import only_one
from starfreight.docker_engine import connect, engine_errors
from starfreight.errors import InputError, ServiceError
from starfreight.files import disk_errors, read_limited
from starfreight.image import BuiltImage, remember_image
from starfreight.images.build_errors import explain
from starfreight.images.buildkit import build_command, run_build
from starfreight.images.catalogue import DOCKERFILE, find_source
from starfreight.images.context import lock_files, write_context
from starfreight.images.progress import BuildProgress, count_steps
from starfreight.images.wheel import Project, build_wheel

if TYPE_CHECKING:
    import docker
    from docker.models.images import Image

_BASE = re.compile(r"^ARG BASE_IMAGE=(\S+)", re.MULTILINE)
_PLATFORM = re.compile(r"[a-z0-9]+/[a-z0-9]+(/v[0-9]+)?")
_NAME = (
    r"(?:[A-Za-z0-9.-]+(?::[0-9]+)?/)?[a-z0-9]+(?:[._/-]+[a-z0-9]+)*(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?"
)
_TAG = re.compile(_NAME)
_REFERENCE = re.compile(_NAME + r"(?:@sha256:[0-9a-f]{64})?")
_CERTIFICATES = 16 << 20


@dataclass(frozen=True)
class BuildRequest:
    """The options of ``starfreight images build``; its help explains them."""

    name: str
    tag: str | None = None
    base_image: str | None = None
    platform: str | None = None
    torch: str | None = None
    wheelhouse: Path | None = None
    ca: Path | None = None
    no_cache: bool = False


def build_image(request: BuildRequest, console: Console) -> BuiltImage:
    """Builds an image and records it as the latest of its name.

    Raises:
        InputError: unknown name, base image or platform; incomplete wheelhouse.
        GateError: a library differs from the one in the lock file.
        ServiceError: no engine, no BuildKit, no network, or a full disk.
    """
    source = find_source(request.name)
    locks = lock_files(source, request.torch)
    _check(request)
    client = connect()
    build_command()
    cache = _cache_folder()
    context = cache / source.name / "context"
    with only_one(cache / source.name, f"building the {source.name}", below=cache.parent):
        project = build_wheel(cache / "wheels")
        write_context(context, source, locks, project.wheel, request.wheelhouse)
        base = request.base_image or _default_base(source.folder / DOCKERFILE)
        base_here = _find(client, base)
        tag = request.tag or f"starfreight/{source.name}:{__version__}"
        arguments = _arguments(request, project, tag, _labels(project, base, base_here))
        log = cache / source.name / "build.log"
        here = _platform(base_here) if base_here else None
        other = here if request.platform not in (None, here) else None
        try:
            image_id = _run(source.name, arguments, context, log, other, console)
        finally:
            _mention_wheels(context, console)
    image = _find(client, image_id)
    if image is None:
        raise ServiceError(
            "The image was built, but the engine no longer has it.",
            where=tag,
            fix="run the same command again, not at the same time as docker image prune",
        )
    built = BuiltImage(
        version=1, name=source.name, reference=tag, id=str(image.id), platform=_platform(image),
        revision=project.revision,
    )  # fmt: skip
    remember_image(built)
    return built


def _mention_wheels(context: Path, console: Console) -> None:
    """Says how much of the disk the wheels of the build take, and how to free it."""
    wheels = [path for path in context.glob("*/*.whl") if path.parent.name != "project"]
    size = sum(path.stat().st_size for path in wheels)
    if size:
        console.note(
            f"{human_count(len(wheels), 'wheels')}, {human_count(size, 'B')}, "
            f"stay{'s' if len(wheels) == 1 else ''} in {context} for the next build. "
            f"To free the space: rm -r {shlex.quote(str(context))}"
        )


def _check(request: BuildRequest) -> None:
    if request.platform is not None and not _PLATFORM.fullmatch(request.platform):
        raise InputError(
            "This is not a single platform.",
            where=f"--platform {request.platform}",
            fix="write it as linux/amd64",
        )
    for option, given, rule in (
        ("--tag", request.tag, _TAG),
        ("--base-image", request.base_image, _REFERENCE),
    ):
        if given is not None and not rule.fullmatch(given):
            raise InputError(
                "This is not a valid image name.",
                where=f"{option} {given}",
                fix="write it as NAME:TAG in lower case",
            )
    if request.ca is not None and b"-----BEGIN CERTIFICATE-----" not in read_limited(
        request.ca, _CERTIFICATES, "file of certificates"
    ):
        raise InputError("The file contains no certificate.", where=str(request.ca), fix="give a PEM file")


def _cache_folder() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "starfreight" / "images"


def _default_base(dockerfile: Path) -> str:
    found = _BASE.search(dockerfile.read_text())
    assert found is not None, dockerfile
    return found[1]


def _find(client: docker.DockerClient, reference: str) -> Image | None:
    """The image, if the engine has it."""
    import docker.errors

    with contextlib.suppress(docker.errors.NotFound), engine_errors():
        return client.images.get(reference)
    return None


def _platform(image: Image) -> str:
    return "/".join(filter(None, (image.attrs.get(part) for part in ("Os", "Architecture", "Variant"))))


def _base_digest(base: str, here: Image | None) -> str | None:
    """The base image's digest: the one in its name or the registry's; otherwise its id."""
    if "@" in base:
        return base.rpartition("@")[2]
    if here is None:
        return None
    pulled = [digest.rpartition("@")[2] for digest in here.attrs.get("RepoDigests") or []]
    return pulled[0] if pulled else str(here.id)


def _labels(project: Project, base: str, base_here: Image | None) -> dict[str, str]:
    labels = {
        "source": project.source,
        "version": __version__,
        "revision": project.revision,
        "created": datetime.fromtimestamp(project.created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "base.name": base.rpartition("@")[0] or base,
        "base.digest": _base_digest(base, base_here),
    }
    return {f"org.opencontainers.image.{name}": value for name, value in labels.items() if value}


def _arguments(request: BuildRequest, project: Project, tag: str, labels: dict[str, str]) -> list[str]:
    # BuildKit 0.11 and newer uses it for the times in the image's configuration.
    arguments = ["--tag", tag, "--build-arg", f"SOURCE_DATE_EPOCH={project.created}"]
    for name, value in labels.items():
        arguments += ["--label", f"{name}={value}"]
    if request.base_image is not None:
        arguments += ["--build-arg", f"BASE_IMAGE={request.base_image}"]
    if request.platform is not None:
        arguments += ["--platform", request.platform]
    if request.ca is not None:
        arguments += ["--secret", f"id=ca,src={request.ca.resolve()}"]
    if request.no_cache:
        arguments += ["--no-cache"]
    return arguments


def _run(
    name: str, arguments: list[str], context: Path, log: Path, other_platform: str | None, console: Console
) -> str:
    """Builds with BuildKit and returns the image's id."""
    total = count_steps(context / DOCKERFILE)
    with tempfile.TemporaryDirectory(prefix="starfreight-image-") as folder, disk_errors(log):
        image_id = Path(folder, "id")
        with (
            open(log, "wb", opener=open_without_links) as stream,
            console.progress(name, total=total, unit="steps") as advance,
        ):
            heard = BuildProgress(advance, stream)
            code = run_build([*arguments, "--iidfile", str(image_id)], context, heard)
        if code:
            raise explain(heard.last_lines, log, other_platform)
        return image_id.read_text().strip()
