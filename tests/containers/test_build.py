"""What the images are: where their bytes come from, and what may run in them."""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Callable
from pathlib import Path

import docker
import pytest

from starfreight import __version__
from starfreight.image import LABEL_IMAGE, LABEL_PROTOCOL, PROTOCOL, BuiltImage

Build = Callable[..., subprocess.CompletedProcess[str]]
ReadBuilt = Callable[[subprocess.CompletedProcess[str]], BuiltImage]

STRICT = {
    "network_mode": "none", "read_only": True, "tmpfs": {"/tmp": ""}, "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges"],
}  # fmt: skip

CHECK_REQUIREMENTS = """
import importlib.metadata as metadata
from packaging.requirements import Requirement
for distribution in metadata.distributions():
    for text in distribution.requires or []:
        need = Requirement(text)
        if need.marker is None or need.marker.evaluate({"extra": ""}):
            have = metadata.version(need.name)
            assert need.specifier.contains(have, prereleases=True), (distribution.name, text, have)
"""

STOP_AT_SIGTERM = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(75))
print("ready", flush=True)
time.sleep(60)
"""


def layers(engine: docker.DockerClient, image: BuiltImage) -> list[str]:
    return list(engine.images.get(image.id).attrs["RootFS"]["Layers"])


@pytest.fixture(params=["trainer", "packager"])
def image(request: pytest.FixtureRequest) -> BuiltImage:
    """Each of the images."""
    found: BuiltImage = request.getfixturevalue(f"{request.param}_image")
    return found


def test_its_labels_say_what_it_is_and_where_it_comes_from(
    engine: docker.DockerClient, image: BuiltImage, base_image: str
) -> None:
    labels = engine.images.get(image.id).labels
    assert labels[LABEL_IMAGE] == image.name
    assert labels[LABEL_PROTOCOL] == str(PROTOCOL)
    assert labels["org.opencontainers.image.title"] == f"Starfreight {image.name}"
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert labels["org.opencontainers.image.version"] == __version__
    assert labels["org.opencontainers.image.revision"] == image.revision
    assert labels["org.opencontainers.image.base.name"] == base_image
    base = engine.images.get(base_image)
    known = [str(base.id), *(name.rpartition("@")[2] for name in base.attrs["RepoDigests"])]
    assert labels["org.opencontainers.image.base.digest"] in known
    assert image.platform == "linux/amd64"


@pytest.mark.parametrize("user", ["65532:65532", "1234:4321"])
def test_it_works_read_only_without_network_or_capabilities_as_any_user(
    engine: docker.DockerClient, image: BuiltImage, user: str
) -> None:
    command = [
        "python",
        "-P",
        "-c",
        "import os, pathlib, starfreight.packager.build.build_package as _; "
        "print(os.getuid(), pathlib.Path.home())",
    ]
    said = engine.containers.run(image.id, command, user=user, remove=True, **STRICT)
    assert said.decode().split() == [user.split(":")[0], "/tmp"]
    assert engine.images.get(image.id).attrs["Config"]["User"] == "65532:65532"
    said = engine.containers.run(image.id, ["starfreight", "--version"], user=user, remove=True, **STRICT)
    assert __version__ in said.decode()


def test_it_has_all_that_its_libraries_ask_for_and_no_pip(
    engine: docker.DockerClient, image: BuiltImage
) -> None:
    engine.containers.run(image.id, ["python", "-P", "-c", CHECK_REQUIREMENTS], remove=True, **STRICT)
    look = "import importlib.util, os; print(importlib.util.find_spec('pip'), os.listdir('/opt'))"
    said = engine.containers.run(image.id, ["python", "-P", "-c", look], remove=True, **STRICT).decode()
    assert said.strip() == "None ['starfreight', 'venv']" or said.strip() == "None ['venv', 'starfreight']"


def test_the_trainer_trains_and_the_packager_has_no_torch(
    engine: docker.DockerClient, trainer_image: BuiltImage, packager_image: BuiltImage
) -> None:
    look = (
        "from importlib.util import find_spec;"
        "print([bool(find_spec(name)) for name in ('torch', 'peft', 'datasets')])"
    )
    for image, expected in ((trainer_image, [True] * 3), (packager_image, [False] * 3)):
        said = engine.containers.run(image.id, ["python", "-P", "-c", look], remove=True, **STRICT)
        assert said.decode().strip() == str(expected)
    said = engine.containers.run(trainer_image.id, ["git", "--version"], remove=True, **STRICT)
    assert said.startswith(b"git version")


def test_llama_cpp_finds_its_libraries(engine: docker.DockerClient, image: BuiltImage) -> None:
    look = "import xllamacpp; print(bool(xllamacpp.get_system_info()))"
    said = engine.containers.run(image.id, ["python", "-P", "-c", look], remove=True, **STRICT)
    assert said.decode().splitlines()[-1] == "True"


def test_sigterm_reaches_the_program(engine: docker.DockerClient, image: BuiltImage) -> None:
    container = engine.containers.run(
        image.id, ["python", "-P", "-c", STOP_AT_SIGTERM], detach=True, **STRICT
    )
    try:
        assert next(container.logs(stream=True)).startswith(b"ready")
        container.stop(timeout=30)
        assert container.wait()["StatusCode"] == 75  # And not 137, of one that had to be killed.
    finally:
        container.remove(force=True)


def test_what_changes_with_each_commit_is_small_and_lies_on_top(
    engine: docker.DockerClient, image: BuiltImage
) -> None:
    project, starter, *_ = [layer for layer in engine.images.get(image.id).history() if layer["Size"]]
    assert "/out/project/" in project["CreatedBy"] and "/out/starter/" in starter["CreatedBy"]
    assert project["Size"] < 16_000_000  # The code twice, as text and as bytecode: 13.4 MB in November 2026.
    assert starter["Size"] < 6_000_000


@pytest.fixture
def fresh_base(make_image: Callable[..., BuiltImage]) -> list[str]:
    """The options for a base image that nothing was built on yet.

    BuildKit keeps what it built of a step each time that it did it, and takes any of them the next time.
    """
    base = make_image({"usr/local/share/fresh": uuid.uuid4().bytes})
    return ["--base-image", base.reference]


def test_a_second_build_of_the_same_commit_gives_the_same_layers_of_its_own(
    engine: docker.DockerClient,
    build: Build,
    read_built: ReadBuilt,
    checkout: Path,
    fresh_base: list[str],
    tmp_path: Path,
) -> None:
    options = [*fresh_base, "--tag", "starfreight-test/packager:again"]
    first = read_built(build("packager", *options, source=checkout))
    options += ["--no-cache"]
    again = read_built(build("packager", *options, source=checkout, XDG_CACHE_HOME=str(tmp_path)))
    assert layers(engine, first)[-2:] == layers(engine, again)[-2:]
    assert first.revision == again.revision and not str(first.revision).endswith("-dirty")


def test_a_change_of_the_code_changes_the_last_layer_only_and_is_said(
    engine: docker.DockerClient, build: Build, read_built: ReadBuilt, checkout: Path, fresh_base: list[str]
) -> None:
    options = [*fresh_base, "--tag", "starfreight-test/packager:changed"]
    before = read_built(build("packager", *options, source=checkout))
    changed = checkout / "packager" / "build" / "identity.py"
    text = changed.read_text()
    changed.write_text(f"{text}\n# One more line.\n")
    try:
        after = read_built(build("packager", *options, source=checkout))
    finally:
        changed.write_text(text)
    assert layers(engine, before)[:-1] == layers(engine, after)[:-1]
    assert layers(engine, before)[-1] != layers(engine, after)[-1]
    assert after.revision == f"{before.revision}-dirty"
    assert engine.images.get(after.id).labels["org.opencontainers.image.revision"] == after.revision


def test_both_images_have_the_project_in_the_same_layers(
    engine: docker.DockerClient, build: Build, read_built: ReadBuilt, checkout: Path
) -> None:
    tag = "starfreight-test/{}:same"
    trainer = read_built(build("trainer", "--torch", "cpu", "--tag", tag.format("trainer"), source=checkout))
    packager = read_built(build("packager", "--tag", tag.format("packager"), source=checkout))
    assert layers(engine, trainer)[-2:] == layers(engine, packager)[-2:]
