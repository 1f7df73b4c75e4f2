"""Publishers and readers by the dozen, each a process of its own, at one registry at the same time.

``STARFREIGHT_CLIENTS=8`` tries fewer than fifty of each.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests

from starfreight.console import Console
from starfreight.files import sha256_bytes, sha256_file
from starfreight.package import Package
from starfreight.packager.layout.verify import verify_layout
from starfreight.packager.layout.write_package import PackageContents, write_package
from starfreight.quantization import Quantization

CLIENTS = int(os.environ.get("STARFREIGHT_CLIENTS", "50"))
QUIET = Console(quiet=True)
DOCKER = "application/vnd.docker.distribution.manifest.v2+json"
MEGABYTES = 300
"""Resident memory of one client at most: that of its libraries, whatever the package's size."""
CONTESTED = "another manifest than the one written"


@pytest.fixture
def starfreight(plain_environment: None, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs the command line in a process of its own."""

    def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "starfreight", *words, "--insecure", "--json"],
            capture_output=True, text=True, timeout=3000, cwd=tmp_path,
        )  # fmt: skip

    return run


def all_at_once(task: Callable[[int], Any], count: int) -> list[Any]:
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(task, range(count)))


@pytest.mark.nightly
def test_many_publishers_and_readers_at_once(
    registry: Any,
    starfreight: Callable[..., subprocess.CompletedProcess[str]],
    tmp_path: Path,
    make_contents: Callable[..., PackageContents],
) -> None:
    """Half of the publishers have one and the same package, the others a model of their own beside its file.

    Each publishes at a tag of its own and at one that all contest, while readers pull the contested one.
    """
    common = b"GGUF" + os.urandom(4_000_000)
    folders = []
    for number in range(CLIENTS):
        folder = tmp_path / f"package-{number}"
        own = {} if number % 2 else {Quantization.Q8_0: b"GGUF" + os.urandom(500_000)}
        write_package(folder, make_contents(ggufs=own | {Quantization.Q4_K_M: common}), QUIET)
        folders.append(folder)
    repository = f"{registry.host}/team/load"

    def client(number: int) -> Any:
        turn, kind = divmod(number, 2)
        if kind:
            return starfreight("package", "pull", f"{repository}:race", tmp_path / f"raced-{turn}")
        own = starfreight("publish", folders[turn], f"{repository}:v{turn}")
        return own, starfreight("publish", folders[turn], f"{repository}:race")

    results = all_at_once(client, 2 * CLIENTS)
    for turn, (own, raced) in enumerate(results[::2]):
        assert own.returncode == 0, (turn, own.stderr)
        assert raced.returncode == 0 or CONTESTED in raced.stderr, (turn, raced.stderr)

    # Readers of the contested tag met no release yet, one that had just moved, or a whole one.
    for turn, pulled in enumerate(results[1::2]):
        assert pulled.returncode in (0, 2, 3, 4) and "Traceback" not in pulled.stderr
        if pulled.returncode == 0:
            assert verify_layout(tmp_path / f"raced-{turn}", QUIET).error() is None

    digests = {Package.load(folder).default_variant.manifests[0].manifest.digest for folder in folders}
    url = f"{registry.url}/v2/team/load/manifests"
    raced = requests.get(f"{url}/race", headers={"Accept": DOCKER}, timeout=30)
    assert sha256_bytes(raced.content) in digests

    def reader(turn: int) -> Any:
        if turn % 2:
            return starfreight("package", "pull", f"{repository}:v{turn}", tmp_path / f"pulled-{turn}")
        to = tmp_path / f"installed-{turn}"
        return starfreight("package", "install", f"{repository}:v{turn}", "--to", to)

    for turn, done in enumerate(all_at_once(reader, CLIENTS)):
        assert done.returncode == 0, (turn, done.stderr)
        package = Package.load(folders[turn])
        if turn % 2:
            folder = tmp_path / f"pulled-{turn}"
            # The others' packages hold the same file, so the record may be that of one of them.
            found = {each.manifests[0].manifest.digest for each in Package.load(folder).variants}
            assert package.default_variant.manifests[0].manifest.digest in found
            assert verify_layout(folder, QUIET).error() is None
        else:
            (gguf,) = (tmp_path / f"installed-{turn}").glob("*.gguf")
            assert sha256_file(gguf) == package.default_variant.gguf.digest
        answer = requests.get(f"{url}/v{turn}", headers={"Accept": DOCKER}, timeout=30)
        assert sha256_bytes(answer.content) == package.default_variant.manifests[0].manifest.digest

    # Each file is stored once, whoever sent it first.
    wanted = {each.gguf.digest for folder in folders for each in Package.load(folder).variants}
    stored = [path.name for path in (registry.storage / "docker/registry/v2/blobs/sha256").glob("*/*")]
    assert {digest.removeprefix("sha256:") for digest in wanted} <= set(stored)
    assert len(wanted) == 1 + (CLIENTS + 1) // 2

    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    won = sum(raced.returncode == 0 for _, raced in results[::2])
    whole = sum(pulled.returncode == 0 for pulled in results[1::2])
    print(json.dumps({"clients": CLIENTS, "kept the race": won, "whole pulls": whole, "peak MB": peak}))
    assert peak < MEGABYTES
