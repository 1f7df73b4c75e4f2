"""The line printed after publishing is true: the command in it works, or it names what is missing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from listeners import Answer, Listener, trust
from ollama_client import OllamaClient, OllamaError

from starfreight.console import Console
from starfreight.package import Package
from starfreight.packager.registry.client_probe import probe_ollama
from starfreight.packager.registry.push import publish
from starfreight.registry import parse_reference


def agree(reference: str, folder: Path) -> bool:
    """Probe, check that a client of Ollama's kind has the same success, and return it."""
    host, _, name = reference.partition("/")
    probe = probe_ollama(parse_reference(reference), insecure=True)
    try:
        OllamaClient(host, insecure=True).pull(name, folder)
    except OllamaError:
        assert not probe.pulls
    else:
        assert probe.pulls
    return probe.pulls


def test_a_plain_registry_needs_a_gateway(
    registry: Any, repository: str, package_folder: Path, console: Console, tmp_path: Path
) -> None:
    reference = f"{registry.host}/{repository}:1.0"
    published = publish(package_folder, reference, insecure=True, console=console)
    assert not agree(reference, tmp_path / "store")
    text = published.as_text()
    assert "no Location header" in text
    assert "starfreight gateway run" in text
    assert text.count("\nNext: ") == 1
    assert text.endswith(f"Next: starfreight package install --insecure {reference}")
    assert published.as_dict()["ollama"]["pulls"] is False


def test_through_a_gateway_the_command_is_ollama_pull(
    gateway: Any, registry: Any, repository: str, package_folder: Path, console: Console, tmp_path: Path
) -> None:
    reference = f"{gateway.host}/{repository}:1.0"
    published = publish(package_folder, reference, insecure=True, console=console)
    assert published.as_text().endswith(f"Next: ollama pull --insecure {reference}")
    assert published.as_dict()["ollama"]["command"] == f"ollama pull --insecure {reference}"
    assert agree(reference, tmp_path / "store")


def test_a_registry_with_passwords_is_private(
    locked_registry: Any, repository: str, package_folder: Path, console: Console,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    trust(locked_registry, monkeypatch)
    monkeypatch.setenv("STARFREIGHT_REGISTRY_USERNAME", locked_registry.username)
    monkeypatch.setenv("STARFREIGHT_REGISTRY_PASSWORD", locked_registry.password)
    reference = f"{locked_registry.host}/{repository}:1.0"
    published = publish(package_folder, reference, insecure=False, console=console)
    assert published.probe is not None
    assert not published.probe.pulls
    assert "user name and a password" in str(published.probe.problem)
    assert "gateway" in str(published.probe.fix)
    assert locked_registry.password not in published.as_text()


def blob_answer(package: Package, status: int, location: str | None, part: int) -> Callable[..., Answer]:
    """A server that answers for a blob with ``status`` and ``location``, elsewhere with ``part``."""
    size = package.default_variant.gguf.size

    def answer(path: str, authorization: str | None) -> Answer:
        if "/manifests/" in path:
            layer = {"digest": package.default_variant.gguf.digest, "size": size}
            return 200, {}, json.dumps({"layers": [layer]}).encode()
        if "/blobs/" in path:
            # The body's length is what HEAD announces.
            return status, {} if location is None else {"Location": location}, b"x" * size
        return part, {}, b"x"

    return answer


@pytest.mark.parametrize(
    ("status", "location", "part", "pulls"),
    [
        (200, "http://{host}/data", 206, True),
        (200, None, 206, False),
        (307, "http://localhost:{port}/data", 206, True),
        (302, "http://localhost:{port}/data", 206, False),
        (307, "http://{host}/v2/team/coder/blobs/loop", 206, False),
        (307, None, 206, False),
        (404, None, 206, False),
        (200, "http://{host}/data", 403, False),
        (200, "http://{host}/data", 500, False),
        (200, "file:///etc/passwd", 206, False),
        (200, "http://[::1", 206, False),
    ],
)
def test_an_answer_is_judged_as_ollama_does(
    status: int, location: str | None, part: int, pulls: bool, package_folder: Path,
    listen: Callable[[str], Listener], impatient: None,
) -> None:  # fmt: skip
    server = listen("127.0.0.1")
    port = server.host.rpartition(":")[2]
    target = location and location.replace("{host}", server.host).replace("{port}", port)
    answer = blob_answer(Package.load(package_folder), status, target, part)
    server.answer = lambda path, authorization: (
        (200, *answer(path, authorization)[1:])
        if server.asked[-1].startswith("HEAD")
        else answer(path, authorization)
    )
    assert probe_ollama(parse_reference(f"{server.host}/team/coder:1.0"), insecure=True).pulls is pulls


def test_rubbish_is_no_reason_to_fail_after_publishing(
    listen: Callable[[str], Listener], impatient: None
) -> None:
    server = listen("127.0.0.1")
    for body in (b"", b"[]", b"null", b'{"layers":[]}', b'{"layers":[{"size":"x"}]}', b"<html>"):
        server.answer = lambda path, authorization, body=body: (200, {}, body)
        probe = probe_ollama(parse_reference(f"{server.host}/team/coder:1.0"), insecure=True)
        assert not probe.pulls
        assert probe.problem
