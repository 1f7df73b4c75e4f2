"""Images into real registries, by a real engine."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from starfreight.cli import main
from starfreight.console import Console
from starfreight.errors import InputError, ServiceError, StarfreightError
from starfreight.files import sha256_bytes
from starfreight.image import BuiltImage, find_image, remember_image
from starfreight.images.push import _follow, _read_back, push_image
from starfreight.images.sbom import MEDIA_TYPE, make_sbom
from starfreight.package import Descriptor
from starfreight.registry import parse_tag_reference
from starfreight.registry.fetch_blob import fetch_blob
from starfreight.registry.media_types import DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST
from starfreight.registry.publishing import PublishingClient

pytestmark = pytest.mark.usefixtures("own_state")


@pytest.fixture
def remembered(small_image: BuiltImage) -> BuiltImage:
    """The small image as it was remembered when it was built."""
    remember_image(small_image)
    return small_image


@pytest.fixture
def locked(locked_registry: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The registry that wants a password, with its CA known to us. The engine trusts any on this machine."""
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SSL_CERT_FILE", str(locked_registry.certificate))
    return locked_registry


def client_of(reference: str) -> PublishingClient:
    return PublishingClient(parse_tag_reference(reference), insecure=True)


def attached(client: PublishingClient, digest: str) -> list[dict[str, Any]]:
    """What the registry's readers find at the tag that stands in for the list of referrers."""
    index = client.get_manifest(digest.replace(":", "-"), OCI_INDEX)
    assert index is not None
    manifests: list[dict[str, Any]] = json.loads(index)["manifests"]
    return manifests


def test_a_pushed_image_is_known_by_the_digest_that_other_clients_find(
    remembered: BuiltImage, registry: Any, console: Console, require_service: Callable[[str], str]
) -> None:
    reference = f"{registry.host}/team/deep/trainer:1.0"
    pushed = push_image(remembered, reference, console, insecure=True)
    command = [require_service("skopeo"), "inspect", "--raw", "--tls-verify=false", f"docker://{reference}"]
    raw = subprocess.run(command, check=True, capture_output=True).stdout
    assert pushed.pushed == f"{registry.host}/team/deep/trainer@{sha256_bytes(raw)}"
    assert pushed.digest == sha256_bytes(raw)
    assert json.loads(raw)["config"]["digest"] == remembered.id
    assert find_image("trainer") == pushed


def test_the_bill_hangs_on_the_pushed_manifest(
    remembered: BuiltImage, registry: Any, console: Console, engine: Any, tmp_path: Path
) -> None:
    reference = f"{registry.host}/team/bill:1.0"
    digest = push_image(remembered, reference, console, insecure=True).digest
    client = client_of(reference)
    (entry,) = attached(client, digest)
    assert entry["artifactType"] == MEDIA_TYPE
    manifest = json.loads(client.get_manifest(entry["digest"], OCI_MANIFEST) or b"")
    subject = client.get_manifest("1.0", DOCKER_MANIFEST) or b""
    assert manifest["subject"] == {"mediaType": DOCKER_MANIFEST, "digest": digest, "size": len(subject)}
    (layer,) = manifest["layers"]
    blob = Descriptor(media_type=layer["mediaType"], digest=layer["digest"], size=layer["size"])
    fetch_blob(client, blob, tmp_path / "bill.json", lambda amount, what=None: None, keep_partial=False)
    assert (tmp_path / "bill.json").read_bytes() == make_sbom(engine, remembered)


def test_a_second_push_changes_nothing(remembered: BuiltImage, registry: Any, console: Console) -> None:
    reference = f"{registry.host}/team/again:1.0"
    first = push_image(remembered, reference, console, insecure=True)
    stored = sorted(path for path in registry.storage.rglob("data") if path.is_file())
    assert push_image(first, reference, console, insecure=True) == first
    assert sorted(path for path in registry.storage.rglob("data") if path.is_file()) == stored
    assert len(attached(client_of(reference), first.digest)) == 1


def test_credentials_of_the_environment_go_to_the_engine_too(
    remembered: BuiltImage, locked: Any, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STARFREIGHT_REGISTRY_USERNAME", locked.username)
    monkeypatch.setenv("STARFREIGHT_REGISTRY_PASSWORD", locked.password)
    pushed = push_image(remembered, f"{locked.host}/team/environment:1.0", console)
    assert find_image("trainer") == pushed != remembered


def test_credentials_of_docker_login_go_to_the_engine_too(
    remembered: BuiltImage, locked: Any, console: Console, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    account = base64.b64encode(f"{locked.username}:{locked.password}".encode()).decode()
    (tmp_path / "docker").mkdir()
    (tmp_path / "docker/config.json").write_text(json.dumps({"auths": {locked.host: {"auth": account}}}))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    assert push_image(remembered, f"{locked.host}/team/login:1.0", console).pushed is not None


@pytest.mark.parametrize("password", ["", "a wrong password"])
def test_a_registry_that_wants_other_credentials_gets_nothing_and_the_password_is_not_shown(
    password: str, remembered: BuiltImage, locked: Any, console: Console, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    if password:
        monkeypatch.setenv("STARFREIGHT_REGISTRY_USERNAME", locked.username)
        monkeypatch.setenv("STARFREIGHT_REGISTRY_PASSWORD", password)
    with pytest.raises(ServiceError, match="requires valid credentials") as raised:
        push_image(remembered, f"{locked.host}/team/refused:1.0", console)
    assert "docker login" in str(raised.value)
    assert "a wrong password" not in str(raised.value)
    assert not list(locked.storage.rglob("refused"))
    assert find_image("trainer") == remembered


def test_a_registry_that_does_not_run_is_said_to_be_out_of_reach(
    remembered: BuiltImage, free_port: Callable[[], int], console: Console
) -> None:
    with pytest.raises(ServiceError, match="cannot be reached"):
        push_image(remembered, f"127.0.0.1:{free_port()}/team/trainer:1.0", console, insecure=True)
    assert find_image("trainer") == remembered


def test_a_registry_that_takes_nothing_is_not_taken_for_one_that_did(
    remembered: BuiltImage, start_registry: Callable[..., Any], console: Console,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("REGISTRY_STORAGE_MAINTENANCE_READONLY", "{enabled: true}")
    closed = start_registry()
    with pytest.raises(ServiceError, match="does not allow this"):
        push_image(remembered, f"{closed.host}/team/trainer:1.0", console, insecure=True)
    assert find_image("trainer") == remembered


@pytest.mark.parametrize(
    ("said", "what", "fix"),
    [
        (
            "Get https://r.example/v2/: http: server gave HTTP response to HTTPS client",
            "does not use plain http",
            "insecure-reg",
        ),
        ("Get https://r.example/v2/: x509: certificate signed by unknown authority", "not trust", "certs.d"),
        ("denied: requested access to the resource is denied", "This account may not push", "docker login"),
        (
            "Get http://r.example/v2/: dial tcp 127.0.0.1:1: connect: connection refused",
            "cannot reach",
            "runs",
        ),
        ("unexpected HTTP status: 500 Internal Server Error", "failed repeatedly", "disk may be full"),
        ("write /var/lib/docker/tmp/x: no space left on device", "No space is left", "free some space"),
        ("errors: name invalid: repository name is not known", "refused the image: errors: name", "log"),
    ],
)
def test_what_the_engine_says_of_a_push_that_failed_is_put_in_plain_words(
    said: str, what: str, fix: str
) -> None:
    target = parse_tag_reference("r.example/team/trainer:1.0")
    with pytest.raises(ServiceError, match=what) as raised:
        list(_follow([{"status": "Preparing", "id": "a"}, {"error": f"{said} s3cret"}], target, ("s3cret",)))
    assert fix in str(raised.value)
    assert "s3cret" not in str(raised.value)


def test_what_is_at_the_tag_must_be_what_the_engine_pushed(
    remembered: BuiltImage, registry: Any, console: Console
) -> None:
    reference = f"{registry.host}/team/moved:1.0"
    digest = push_image(remembered, reference, console, insecure=True).digest
    other = remembered.model_copy(update={"id": "sha256:" + "0" * 64})
    client, target = client_of(reference), parse_tag_reference(reference)
    assert _read_back(client, target, digest, remembered).digest == digest
    for wrong in ((target, "sha256:" + "0" * 64, remembered), (target, digest, other)):
        with pytest.raises(ServiceError, match="another image than the pushed one"):
            _read_back(client, *wrong)


def test_an_image_that_the_engine_has_lost_is_to_be_built_again(
    small_image: BuiltImage, registry: Any, console: Console
) -> None:
    lost = small_image.model_copy(update={"id": "sha256:" + "0" * 64})
    with pytest.raises(InputError, match="no longer has this image") as raised:
        push_image(lost, f"{registry.host}/team/lost:1.0", console, insecure=True)
    assert "images build" in str(raised.value)


def test_without_an_engine_nothing_is_asked_of_the_registry(
    small_image: BuiltImage, registry: Any, console: Console, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    with pytest.raises(StarfreightError, match="No Docker Engine is running"):
        push_image(small_image, f"{registry.host}/team/nobody:1.0", console, insecure=True)


def test_the_command_pushes_what_was_built_last(
    remembered: BuiltImage, registry: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    reference = f"{registry.host}/team/command:1.0"
    assert main(["images", "push", "trainer", reference, "--insecure", "--json"]) == 0
    pushed = find_image("trainer")
    assert pushed is not None
    assert json.loads(capsys.readouterr().out)["pushed"] == pushed.pushed


def test_the_command_says_what_to_build_when_nothing_was(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["images", "push", "trainer", "127.0.0.1:1/team/trainer:1.0"]) == 2
    assert "starfreight images build trainer" in capsys.readouterr().err
