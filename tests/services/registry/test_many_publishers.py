"""Publishing over a bad line, and by many at a time: all of it ends right, and no reader sees half a model.

``STARFREIGHT_FAULT_RUNS=100`` tries as many bad lines, ``STARFREIGHT_PUBLISHERS=50`` as many publishers.
"""

from __future__ import annotations

import os
import random
import re
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests

from starfreight.console import Console
from starfreight.errors import ServiceError
from starfreight.files import sha256_bytes
from starfreight.package import Package
from starfreight.packager.layout import Evidence, ImageLayout, attach
from starfreight.packager.layout.write_package import PackageContents, write_package
from starfreight.packager.registry.push import publish
from starfreight.quantization import Quantization

RUNS = int(os.environ.get("STARFREIGHT_FAULT_RUNS", "4"))
PUBLISHERS = int(os.environ.get("STARFREIGHT_PUBLISHERS", "6"))
RATE = 0.04
"""Faults per request; a publish makes about a hundred."""

INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER = "application/vnd.docker.distribution.manifest.v2+json"
OCI = "application/vnd.oci.image.manifest.v1+json"
ENVELOPE = "application/vnd.dsse.envelope.v1+json"
QUIET = Console(quiet=True)


def bad_line(seed: int, fault: Any) -> Callable[[str, str, int], Any]:
    """Cuts, delays, corrupts and answers with errors, always the same for one seed and order of requests."""
    chance, lock = random.Random(seed), threading.Lock()

    def make(method: str, path: str, length: int) -> Any:
        with lock:
            if chance.random() > RATE:
                return None
            byte = chance.randrange(1 << 20)
            kinds: list[dict[str, Any]] = [
                {"status": chance.choice((500, 502, 503, 504))},
                {"status": 429, "headers": {"Retry-After": "0"}},
                {"cut_after": byte % (length + 1)},
                {"cut_answer_after": 0},
                {"cut_answer_after": byte % 300},
                {"corrupt_at": byte},
                {"delay": chance.random() / 5},
            ]
            if method == "PUT" and "/blobs/" in path and length > 2:
                kinds.append({"keep_after": 1 + byte % (length - 1)})
            return fault(method, re.escape(path), **chance.choice(kinds))

    return make


def assert_published(registry: Any, repository: str, tags: Any, folder: Path) -> None:
    """Every tag names its manifest, and every file of each is in the registry byte for byte."""
    layout = ImageLayout(folder)
    for tag in tags:
        url = f"{registry.url}/v2/{repository}/manifests/{tag.tag}"
        answer = requests.get(url, headers={"Accept": f"{DOCKER}, {OCI}"}, timeout=30)
        assert sha256_bytes(answer.content) == tag.digest, tag
        for blob in [answer.json()["config"], *answer.json()["layers"]]:
            stored = registry.blob(blob["digest"]).read_bytes()
            assert stored == layout.blob_path(blob["digest"]).read_bytes()


def listed(registry: Any, repository: str, subject: str) -> list[str]:
    """The digests in the index of a manifest's referrers, which every reader can read."""
    url = f"{registry.url}/v2/{repository}/manifests/{subject.replace(':', '-')}"
    entries = requests.get(url, headers={"Accept": INDEX}, timeout=30).json()["manifests"]
    return [each["digest"] for each in entries]


def test_publishes_over_a_bad_line_end_right(
    faulty: Any, fault: Any, registry: Any, tmp_path: Path, make_contents: Callable[..., PackageContents],
    impatient: None,
) -> None:  # fmt: skip
    again = 0
    for run in range(RUNS):
        folder, repository = tmp_path / str(run), f"chaos/run-{run}"
        ggufs = {Quantization.Q4_K_M: b"GGUF" + os.urandom(400_000), Quantization.Q8_0: os.urandom(700_000)}
        write_package(folder, make_contents(ggufs=ggufs), QUIET)
        faulty.chaos = bad_line(run, fault)
        for attempt in range(6):
            try:
                published = publish(folder, f"{faulty.host}/{repository}:1.0", insecure=True, console=QUIET)
                break
            except ServiceError as error:  # It says so, and the same command completes it.
                assert error.exit_code == 4
                assert attempt < 5, error
                again += 1
                print(run, error)
        assert_published(registry, repository, published.tags, folder)
        for attachment in Package.load(folder).attachments:
            if attachment.subject in {tag.digest for tag in published.tags}:
                found = listed(registry, repository, attachment.subject)
                assert found == list(dict.fromkeys(found))
                assert attachment.manifest.digest in found
    print(f"{RUNS} publishes over a bad line; {again} times the command was run again")
    assert again <= RUNS / 2


def test_many_publishers_of_one_repository_lose_nothing(
    registry: Any, tmp_path: Path, make_contents: Callable[..., PackageContents],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Each has evidence of its own about the same model, and a model of its own at a tag of its own."""
    monkeypatch.setattr("starfreight.registry.referrers.SETTLE", 0.1)
    monkeypatch.setattr("starfreight.registry.referrers.SETTLE_FACTOR", 6)
    shared = {Quantization.Q4_K_M: b"GGUF" + os.urandom(200_000)}
    folders, signatures = [], {}
    for number in range(PUBLISHERS):
        common, own = tmp_path / f"common-{number}", tmp_path / f"own-{number}"
        write_package(common, make_contents(ggufs=shared), QUIET)
        subject = Package.load(common).default_variant.manifests[0].manifest
        evidence = Evidence(
            subject=subject, data=f"signed by {number}".encode(), media_type=ENVELOPE,
            artifact_type=ENVELOPE, annotations={},
        )  # fmt: skip
        signatures[number] = attach(common, [evidence], QUIET).attachments[-1].manifest.digest
        write_package(own, make_contents(ggufs={Quantization.Q8_0: os.urandom(100_000)}), QUIET)
        folders.append((common, own))
    start = threading.Barrier(PUBLISHERS)

    def run(number: int) -> Any:
        common, own = folders[number]
        start.wait()
        base = f"{registry.host}/team/many"
        first = publish(common, f"{base}:common", insecure=True, console=QUIET)
        return first, publish(own, f"{base}:v{number}", insecure=True, console=QUIET)

    with ThreadPoolExecutor(PUBLISHERS) as pool:
        results = list(pool.map(run, range(PUBLISHERS)))
    for (common, own), (first, second) in zip(folders, results, strict=True):
        assert_published(registry, "team/many", first.tags, common)
        assert_published(registry, "team/many", second.tags, own)
    assert set(signatures.values()) <= set(listed(registry, "team/many", subject.digest))


def test_publishers_of_one_tag_leave_one_of_their_models_whole(
    registry: Any, tmp_path: Path, make_contents: Callable[..., PackageContents]
) -> None:
    folders = []
    for number in range(4):
        folder = tmp_path / str(number)
        write_package(folder, make_contents(ggufs={Quantization.Q4_K_M: os.urandom(100_000)}), QUIET)
        folders.append(folder)
    start = threading.Barrier(len(folders))

    def run(folder: Path) -> Any:
        start.wait()
        try:
            return publish(folder, f"{registry.host}/team/race:1.0", insecure=True, console=QUIET)
        except ServiceError as error:
            assert "another manifest than the one written" in error.what
            return None

    with ThreadPoolExecutor(len(folders)) as pool:
        list(pool.map(run, folders))
    url = f"{registry.url}/v2/team/race/manifests/1.0"
    answer = requests.get(url, headers={"Accept": DOCKER}, timeout=30)
    digests = [Package.load(folder).default_variant.manifests[0].manifest.digest for folder in folders]
    assert sha256_bytes(answer.content) in digests
    for layer in answer.json()["layers"]:
        assert sha256_bytes(registry.blob(layer["digest"]).read_bytes()) == layer["digest"]
