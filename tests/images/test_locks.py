"""The Dockerfiles and the lock files beside them."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from starfreight.image import LABEL_IMAGE, LABEL_PROTOCOL, PROTOCOL
from starfreight.images.catalogue import NAMES, find_source
from starfreight.images.context import LockFile, lock_files
from starfreight.images.lock import TORCH, needed_by

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
ALL_LOCKS = [
    *lock_files(find_source("trainer"), "cuda"),
    *lock_files(find_source("trainer"), "cpu"),
    *lock_files(find_source("packager"), None),
    *lock_files(find_source("gateway"), None),
]


def locked(*locks: LockFile) -> dict[str, str]:
    return dict(package for lock in locks for package in lock.packages())


def requirements(*extras: str) -> Iterator[Requirement]:
    """The project's requirements with some extras, and with the extras that those include."""
    optional = PROJECT["optional-dependencies"]
    for text in (*PROJECT["dependencies"], *(text for extra in extras for text in optional[extra])):
        need = Requirement(text)
        if need.name == PROJECT["name"]:
            yield from requirements(*need.extras)
        else:
            yield need


@pytest.mark.parametrize(
    ("name", "torch", "extra"),
    [
        ("trainer", "cuda", "train"),
        ("trainer", "cpu", "train"),
        ("trainer", "cuda", "evaluate"),
        ("packager", None, "llama"),
    ],
)
def test_the_locks_fulfil_the_requirements_of_the_project(name: str, torch: str | None, extra: str) -> None:
    have = locked(*lock_files(find_source(name), torch))
    for need in requirements(extra):
        version = have[need.name.lower().replace("_", "-")]
        assert need.specifier.contains(version), f"{need}, but {version} is locked: run make locks"


def test_llama_cpp_is_in_both_images_and_in_no_installation_without_extras() -> None:
    assert "xllamacpp" not in {need.name for need in requirements()}
    assert "xllamacpp" in {need.name for need in requirements("train")}
    for name in ("trainer", "packager"):
        assert "xllamacpp" in locked(*lock_files(find_source(name), None))


def test_one_version_of_everything() -> None:
    trainer, packager = locked(*lock_files(find_source("trainer"), "cuda")), locked(ALL_LOCKS[-2])
    assert packager.items() <= trainer.items()
    assert locked(ALL_LOCKS[-1]).items() <= packager.items()
    cpu = locked(*lock_files(find_source("trainer"), "cpu"))
    assert cpu["torch"] == f"{trainer['torch']}+cpu" == f"{TORCH}+cpu"


def test_the_gateway_has_what_its_commands_import_and_no_more() -> None:
    program = (
        "import sys\n"
        "import starfreight.packager.cli.gateway, starfreight.packager.gateway.run_local\n"
        "import jinja2, yaml\n"
        "from cryptography.hazmat.primitives.asymmetric import ed25519\n"
        "found = {name.partition('.')[0] for name, module in sys.modules.items()"
        " if 'site-packages' in (getattr(module, '__file__', None) or '')}\n"
        "print(*found)\n"
    )
    done = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True, check=True)
    providers = packages_distributions()
    wanted = {
        re.sub(r"[-_.]+", "-", distribution).lower()
        for name in done.stdout.split()
        for distribution in providers.get(name, [])
    } - {"setuptools", "starfreight"}
    have = set(locked(*lock_files(find_source("gateway"), None)))
    assert wanted <= have and {"click", "cryptography", "jinja2", "pydantic", "pyyaml"} <= wanted
    assert not have & {"numpy", "numba", "requests", "docker", "huggingface-hub", "oras", "xllamacpp"}


def test_what_some_packages_need_is_found_by_the_annotations() -> None:
    blocks = [
        "a==1 \\\n    --hash=sha256:0\n    # via b, c\n",
        "b==1 \\\n    # via\n    #   starfreight (pyproject.toml)\n",
        "c==1\n    # via d\n",
        "d==1\n    # via starfreight (pyproject.toml)\n",
    ]
    assert needed_by(frozenset({"b"}), blocks) == blocks[:2]
    assert needed_by(frozenset({"d"}), blocks) == [blocks[0], *blocks[2:]]


@pytest.mark.parametrize("lock", ALL_LOCKS, ids=lambda lock: f"{lock.path.parent.name}-{lock.path.stem}")
def test_every_package_has_the_digests_of_its_files(lock: LockFile) -> None:
    blocks = re.split(r"^(?=[a-z0-9])", lock.path.read_text(), flags=re.MULTILINE)[1:]
    assert len(blocks) == len(lock.packages()) > 0
    assert all(re.search(r"--hash=sha256:[0-9a-f]{64}", block) for block in blocks)


@pytest.mark.parametrize("name", NAMES)
def test_the_dockerfile_is_sound(name: str) -> None:
    dockerfile = find_source(name).folder / "Dockerfile"
    hadolint = Path(sys.executable).parent / "hadolint"
    done = subprocess.run([hadolint, dockerfile], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    text = dockerfile.read_text()
    assert re.search(r"^ARG BASE_IMAGE=\S+@sha256:[0-9a-f]{64}$", text, re.MULTILINE)
    assert f'{LABEL_IMAGE}="{name}"' in text and f'{LABEL_PROTOCOL}="{PROTOCOL}"' in text
    assert "# syntax=" not in text.splitlines()[0]
