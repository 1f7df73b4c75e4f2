"""Publishers and readers by the dozen, each a process of its own, at one registry at the same time.

``STARFREIGHT_CLIENTS=8`` tries fewer than fifty of each.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
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
CROWD = Path(__file__).parent / "crowd.py"
QUIET = Console(quiet=True)
DOCKER = "application/vnd.docker.distribution.manifest.v2+json"
MEGABYTES = 300
"""Resident memory of one client at most: that of its libraries, whatever the package's size."""
CONTESTED = "another manifest than the one written"


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    returncode: int
    stderr: str
    seconds: float


class Crowd:
    """Clients that run the command line, each command in a process of its own.

    Args:
        folder: the directory for what they say.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.memory = 0
        """Largest resident memory so far, in bytes."""

    def __call__(self, *clients: Sequence[Sequence[str | Path]]) -> list[list[Done]]:
        """Runs each client's commands one after another, and all clients at the same time."""
        said = Path(tempfile.mkdtemp(dir=self._folder))
        lines = [[[*map(str, words), "--insecure", "--json"] for words in commands] for commands in clients]
        (said / "clients.json").write_text(json.dumps(lines))
        done = subprocess.run(
            [sys.executable, "-P", CROWD, said / "clients.json", said],
            stdout=subprocess.PIPE, text=True, timeout=3000, check=True,
        )  # fmt: skip
        found = json.loads(done.stdout)
        self.memory = max(self.memory, found["memory"])
        return [[Done(**each) for each in client] for client in found["clients"]]


@pytest.fixture
def crowd(plain_environment: None, tmp_path: Path) -> Crowd:
    """Starts clients."""
    return Crowd(tmp_path)


@pytest.mark.nightly
def test_many_publishers_and_readers_at_once(
    registry: Any,
    crowd: Crowd,
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

    # Readers of the contested tag meet a release from the beginning.
    crowd([("publish", folders[0], f"{repository}:race")])
    publishers = [
        [("publish", folder, f"{repository}:{tag}") for tag in (f"v{turn}", "race")]
        for turn, folder in enumerate(folders)
    ]
    pullers = [
        [("package", "pull", f"{repository}:race", tmp_path / f"raced-{turn}")] for turn in range(CLIENTS)
    ]
    results = crowd(*publishers, *pullers)
    published, pulls = results[:CLIENTS], [each for (each,) in results[CLIENTS:]]
    for turn, (own, raced) in enumerate(published):
        assert own.returncode == 0, (turn, own.stderr)
        assert raced.returncode == 0 or CONTESTED in raced.stderr, (turn, raced.stderr)

    # They met one that had just moved, or a whole one.
    for turn, pulled in enumerate(pulls):
        assert pulled.returncode in (0, 2, 3, 4) and "Traceback" not in pulled.stderr
        if pulled.returncode == 0:
            assert verify_layout(tmp_path / f"raced-{turn}", QUIET).error() is None

    digests = {Package.load(folder).default_variant.manifests[0].manifest.digest for folder in folders}
    url = f"{registry.url}/v2/team/load/manifests"
    raced = requests.get(f"{url}/race", headers={"Accept": DOCKER}, timeout=30)
    assert sha256_bytes(raced.content) in digests

    readers = [
        [("package", "pull", f"{repository}:v{turn}", tmp_path / f"pulled-{turn}")]
        if turn % 2
        else [("package", "install", f"{repository}:v{turn}", "--to", tmp_path / f"installed-{turn}")]
        for turn in range(CLIENTS)
    ]
    reads = [each for (each,) in crowd(*readers)]
    for turn, done in enumerate(reads):
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

    won = sum(raced.returncode == 0 for _, raced in published)
    whole = sum(pulled.returncode == 0 for pulled in pulls)
    slowest = max(each.seconds for client in (*results, reads) for each in client)
    print(json.dumps({
        "clients": CLIENTS, "kept the race": won, "whole pulls": whole, "slowest s": round(slowest, 1),
        "peak MB": crowd.memory / 1e6,
    }))  # fmt: skip
    assert crowd.memory < MEGABYTES * 1e6
