"""A real engine, a base image made here, and the images of Starfreight built once for all tests.

What takes long to fetch is kept between runs: the base image under a tag that names what is in it, and the
wheels in the user's cache folder.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import docker
import pytest

from starfreight.docker_engine import connect
from starfreight.errors import ServiceError
from starfreight.image import BuiltImage
from starfreight.images.catalogue import find_source
from starfreight.images.context import lock_files

ROOT = Path(__file__).parents[2]
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "starfreight-tests"
BASE_PACKAGES = "ca-certificates,git,libgomp1,python3,python3-venv,tini"
KEPT_CACHE = 8_000_000_000
"""Bytes of the engine's build cache that a run in CI leaves."""
GLIBCS = ("2_28", "2_27", "2_26", "2_24", "2_17", "2_12", "2_5")

StartEngine = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture(scope="session")
def start_engine(require_service: Callable[[str], str]) -> Iterator[StartEngine]:
    """Starts a Docker Engine and waits until it answers; it is stopped when all tests are done.

    ``alone`` gives it a network of its own, so that it leaves another engine's bridge and rules as they are.
    """
    running: list[subprocess.Popen[bytes]] = []

    def start(address: str, log: Path, *options: str, alone: bool = False) -> subprocess.Popen[bytes]:
        command = [require_service("unshare"), "--net"] if alone else []
        command += [require_service("dockerd"), "--host", address, *options]
        with log.open("wb") as stream:
            process = subprocess.Popen(command, stdout=stream, stderr=stream)
        running.append(process)
        for _ in range(600):
            try:
                docker.DockerClient(address, timeout=5).ping()
                return process
            except docker.errors.DockerException:
                if process.poll() is not None:
                    break
                time.sleep(0.1)
        raise RuntimeError(f"dockerd does not answer: {log.read_text()[-3000:]}")

    yield start
    for process in running:
        process.terminate()
    for process in running:
        process.wait(60)


@pytest.fixture(scope="session")
def engine(
    start_engine: StartEngine, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[docker.DockerClient]:
    """The Docker Engine of this machine, started when none answers."""
    try:
        found = connect()
    except ServiceError as error:
        if os.geteuid() != 0:
            give_up = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
            give_up(f"no Docker Engine answers, and only root can start one: {error.what}")
        start_engine("unix:///var/run/docker.sock", tmp_path_factory.mktemp("engine") / "log")
        found = connect()
    earlier = _tags(found)
    yield found
    for tag in sorted(_tags(found) - earlier):
        with contextlib.suppress(docker.errors.APIError):
            found.images.remove(tag, force=True)
    if os.environ.get("CI") == "true":  # Not on a user's machine, whose cache this may be.
        found.api.timeout = 600
        found.images.prune()
        found.api.prune_builds(keep_storage=KEPT_CACHE)


def _tags(engine: docker.DockerClient) -> set[str]:
    """Images that tests make, but for the base images, which take long to make."""
    tags = {tag for image in engine.images.list() for tag in image.tags}
    return {
        tag for tag in tags if tag.startswith(("starfreight-test/", "127.0.0.1:")) and "/debian" not in tag
    }


@pytest.fixture(scope="session")
def base_image(
    engine: docker.DockerClient,
    require_service: Callable[[str], str],
    tmp_path_factory: pytest.TempPathFactory,
) -> str:
    """Debian 12 with what the images need from it, so that building them needs no network."""
    recipe = hashlib.sha256(f"bookworm minbase {BASE_PACKAGES} 1".encode()).hexdigest()[:12]
    name = f"starfreight-test/debian:bookworm-{recipe}"
    if engine.images.list(name):
        return name
    require_service("debootstrap")
    as_root = [] if os.geteuid() == 0 else ["sudo", "-n"]
    folder = tmp_path_factory.mktemp("debian")
    root, archive = folder / "root", folder / "root.tar"
    subprocess.run(
        [*as_root, "debootstrap", "--variant=minbase", f"--include={BASE_PACKAGES}", "bookworm", str(root)],
        check=True, stdout=subprocess.DEVNULL, env={**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin"},
    )  # fmt: skip
    left_out = [f"--exclude=./{path}" for path in ("var/cache/apt/*.bin", "var/cache/apt/archives/*.deb",
                                                   "var/lib/apt/lists/*_*", "var/log/*.log")]  # fmt: skip
    subprocess.run(
        [*as_root, "tar", *left_out, "--directory", str(root), "--create", "--file", str(archive), "."],
        check=True,
    )
    repository, tag = name.split(":")
    engine.api.import_image(str(archive), repository=repository, tag=tag)
    subprocess.run([*as_root, "rm", "-rf", str(folder)], check=True)
    return name


@pytest.fixture(scope="session")
def wheelhouse() -> Path:
    """The wheels that the lock files name, with torch for CPUs."""
    folder = CACHE / "wheelhouse"
    folder.mkdir(parents=True, exist_ok=True)
    locks = [*lock_files(find_source("trainer"), "cpu"), *lock_files(find_source("packager"), None)]
    have = {tuple(path.name.lower().replace("_", "-").split("-")) for path in folder.glob("*.whl")}
    for lock in locks:
        wanted = [(*name.split("-"), version) for name, version in lock.packages()]
        if all(any(parts[: len(want)] == want for parts in have) for want in wanted):
            continue
        platforms = [f"manylinux_{glibc}_x86_64" for glibc in GLIBCS]
        platforms += ["manylinux2014_x86_64", "manylinux2010_x86_64", "manylinux1_x86_64", "linux_x86_64"]
        subprocess.run(
            [
                sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check",
                "--no-deps", "--require-hashes", "--only-binary", ":all:",
                "--python-version", "3.11", "--implementation", "cp",
                *(word for abi in ("cp311", "abi3", "none") for word in ("--abi", abi)),
                *(word for platform in platforms for word in ("--platform", platform)),
                "--dest", str(folder), "--requirement", str(lock.path),
            ],
            check=True,
        )  # fmt: skip
    return folder


Build = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def build(base_image: str, wheelhouse: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Build]:
    """Runs ``starfreight images build`` as people do, without a network. Its records are the tests' own."""
    state, cache = tmp_path_factory.mktemp("state"), tmp_path_factory.mktemp("cache")

    def run(
        name: str, *options: str, source: Path = ROOT, offline: bool = True, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        given = ["--base-image", base_image, "--wheelhouse", str(wheelhouse)] if offline else []
        return subprocess.run(
            [sys.executable, "-m", "starfreight", "images", "build", name, "--json", *given, *options],
            cwd=source, capture_output=True, text=True, timeout=1200,
            env={**os.environ, "XDG_STATE_HOME": str(state), "XDG_CACHE_HOME": str(cache), **environment},
        )  # fmt: skip

    yield run
    shutil.rmtree(cache)


def built(done: subprocess.CompletedProcess[str]) -> BuiltImage:
    """The image of a build that went well."""
    assert done.returncode == 0, done.stderr
    return BuiltImage(version=1, **json.loads(done.stdout))


@pytest.fixture(scope="session")
def read_built() -> Callable[[subprocess.CompletedProcess[str]], BuiltImage]:
    """:func:`built`, for the tests."""
    return built


@pytest.fixture(scope="session")
def trainer_image(build: Build) -> BuiltImage:
    """The trainer, with torch for CPUs."""
    return built(build("trainer", "--torch", "cpu", "--tag", "starfreight-test/trainer:now"))


@pytest.fixture(scope="session")
def packager_image(build: Build) -> BuiltImage:
    """The packager."""
    return built(build("packager", "--tag", "starfreight-test/packager:now"))


@pytest.fixture(scope="session")
def checkout(copy_checkout: Callable[[Path], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone of this checkout with all uncommitted changes in one more commit."""
    folder = tmp_path_factory.mktemp("clone") / "starfreight"
    who = ("-c", "user.name=test", "-c", "user.email=test@example.org")
    subprocess.run(["git", "clone", "--quiet", "--shared", "--no-checkout", ROOT, folder], check=True)
    copy_checkout(folder)
    for words in (["add", "--all"], ["commit", "--quiet", "--allow-empty", "--message", "All of it"]):
        subprocess.run(["git", "-C", folder, *who, *words], check=True)
    return folder


@pytest.fixture
def own_state(plain_environment: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Records of images in a folder of the test's own; no credentials but those that it sets."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.fixture(scope="session")
def make_image(engine: Any, base_image: str) -> Iterator[Callable[..., BuiltImage]]:
    """Makes an image of files laid over the base image, which has Python, and calls it a trainer."""
    made: list[str] = []

    def make(
        files: Mapping[str, bytes],
        links: Mapping[str, str] | None = None,
        entrypoint: Sequence[str] = (),
        **labels: str,
    ) -> BuiltImage:
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as tar:
            for name, data in files.items():
                entry = tarfile.TarInfo(name)
                entry.size, entry.mode = len(data), 0o755
                tar.addfile(entry, io.BytesIO(data))
            for name, target in (links or {}).items():
                entry = tarfile.TarInfo(name)
                entry.type, entry.linkname = tarfile.SYMTYPE, target
                tar.addfile(entry)
        reference = f"starfreight-test/trainer:{uuid.uuid4().hex}"
        container = engine.containers.create(base_image, ["python3"])
        try:
            container.put_archive("/", archive.getvalue())
            named = " ".join(f"{key}={json.dumps(value)}" for key, value in labels.items())
            changes = [f"LABEL {named}"] if named else []
            changes += [f"ENTRYPOINT {json.dumps(entrypoint)}"] if entrypoint else []
            image = container.commit(*reference.rsplit(":", 1), changes="\n".join(changes) or None)
        finally:
            container.remove()
        made.append(image.id)
        return BuiltImage(version=1, name="trainer", reference=reference, id=image.id, platform="linux/amd64")

    yield make
    for each in made:
        with contextlib.suppress(docker.errors.ImageNotFound):
            engine.images.remove(each, force=True)


@pytest.fixture(scope="session")
def small_image(make_image: Callable[..., BuiltImage]) -> BuiltImage:
    """An image with a few made-up Python packages."""
    packages = "usr/local/lib/python3.11/dist-packages"
    metadata = {
        "Expressed": "License-Expression: MIT OR Apache-2.0",
        "Named_in.words": "License: Public Domain",
        "classified": "License: the whole text\n  of a license\n"
        "Classifier: License :: OSI Approved :: BSD License",
        "unlicensed": "Summary: nothing said",
    }
    files = {
        f"{packages}/{name}-1.0.dist-info/METADATA": (
            f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0+local\n{more}\n".encode()
        )
        for name, more in metadata.items()
    }
    created = {"org.opencontainers.image.created": "2026-01-02T03:04:05Z"}
    return make_image(files, {"usr/local/bin/python": "/usr/bin/python3"}, **created)


@pytest.fixture(scope="session")
def gateway_base(engine: Any, base_image: str) -> str:
    """The base image with Debian's nginx, as a mirror inside a network has it."""
    repository, tag = "starfreight-test/debian-nginx", base_image.rpartition("-")[2]
    name = f"{repository}:{tag}"
    if not engine.images.list(name):
        install = "apt-get -q install -y --no-install-recommends nginx-light libnginx-mod-http-js"
        command = f"apt-get -q update && {install}"
        try:
            container = engine.containers.create(base_image, ["sh", "-ec", command], network_mode="host")
            container.start()
            if container.wait(timeout=300)["StatusCode"]:
                pytest.skip(f"Debian's packages cannot be fetched: {container.logs(tail=3)!r}")
            container.commit(repository, tag)
        finally:
            container.remove(force=True)
    return name


@pytest.fixture(scope="session")
def gateway_image(build: Build, gateway_base: str) -> BuiltImage:
    """The gateway."""
    return built(build("gateway", "--base-image", gateway_base, "--tag", "starfreight-test/gateway:now"))
