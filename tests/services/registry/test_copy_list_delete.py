"""Releases between registries: copied whole, listed with what they share, deleted with what hangs on them."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import requests
from click.testing import CliRunner
from listeners import Listener
from servers import Server

from starfreight.cli import cli
from starfreight.console import Console
from starfreight.errors import GateError, InputError, ServiceError
from starfreight.package import Attachment, Package
from starfreight.packager.registry.copied import Copied
from starfreight.packager.registry.copy_release import copy_release
from starfreight.packager.registry.delete_tags import Deleted, DeletionUnsupported, carry_out, plan_deletion
from starfreight.packager.registry.list_tags import list_tags
from starfreight.packager.registry.push import publish
from starfreight.packager.registry.release_tags import parse_repository
from starfreight.packager.registry.remote_manifest import ACCEPT, attached, parse_remote
from starfreight.registry import parse_reference
from starfreight.registry.client import RegistryClient
from starfreight.registry.manifests import build_attachment, descriptor_for
from starfreight.registry.publishing import PublishingClient
from starfreight.registry.referrers import attach

FORMATS = ("ollama", "modelpack", "docker")
WITH_CTRL_C = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # Whoever ignored it before.
signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
from starfreight.cli import entry
entry()
"""
TAGS = {f"1.0{variant}{end}" for variant in ("", "-q4_K_M", "-q8_0") for end in ("", "-oci", "-docker")}


@pytest.fixture(scope="session")
def second_registry(start_registry: Callable[..., Server]) -> Server:
    """Another registry, which deletes."""
    with mock.patch.dict(os.environ, {"REGISTRY_STORAGE_DELETE_ENABLED": "true"}):
        return start_registry()


@pytest.fixture
def published(registry: Server, repository: str, package_folder: Path, console: Console) -> str:
    """``HOST/NAMESPACE/NAME`` with the release 1.0."""
    put(package_folder, f"{registry.host}/{repository}:1.0", console)
    return f"{registry.host}/{repository}"


@pytest.fixture
def deletable(second_registry: Server, repository: str, package_folder: Path, console: Console) -> str:
    put(package_folder, f"{second_registry.host}/{repository}:1.0", console)
    return f"{second_registry.host}/{repository}"


def put(folder: Path, reference: str, console: Console) -> None:
    publish(folder, reference, insecure=True, console=console, formats=FORMATS)


def copy(source: str, target: str, console: Console, **options: Any) -> Copied:
    chosen = {
        "one_tag": False,
        "insecure_source": True,
        "insecure_target": True,
        "console": console,
        **options,
    }
    return copy_release(source, target, **chosen)


def delete(reference: str, console: Console, **options: Any) -> Deleted:
    chosen = {"release": False, "same_manifest": False, "insecure": True, **options}
    client, plan = plan_deletion(reference, console=console, **chosen)
    return carry_out(client, plan, console)


def listing(repository: str) -> RegistryClient:
    return RegistryClient(parse_repository(repository), insecure=True)


def evidence_of(repository: str, digest: str) -> set[str]:
    return {each.digest for each in attached(listing(repository), digest, repository)}


def tags_of(repository: str) -> set[str]:
    return {tag for tag in listing(repository).tags() or () if not tag.startswith("sha256-")}


def test_a_release_is_copied_with_its_evidence(
    published: str, second_registry: Server, repository: str, package_folder: Path, console: Console
) -> None:
    target = f"{second_registry.host}/{repository}"
    copied = copy(f"{published}:1.0", f"{target}:2.0", console)
    assert set(copied.tags) == tags_of(target) == {tag.replace("1.0", "2.0") for tag in TAGS}
    package = Package.load(package_folder)
    assert copied.attachments >= len(package.attachments) > 0
    for attachment in package.attachments:
        assert attachment.manifest.digest in evidence_of(target, attachment.subject)
    for variant in package.variants:
        assert second_registry.blob(variant.gguf.digest).read_bytes().startswith(b"GGUF")
    again = copy(f"{published}:1.0", f"{target}:2.0", console)
    assert (again.bytes_sent, again.tags) == (0, copied.tags)


def test_skopeo_agrees_on_the_copy(
    published: str, second_registry: Server, repository: str, console: Console,
    require_service: Callable[[str], str],
) -> None:  # fmt: skip
    skopeo = require_service("skopeo")
    target = f"{second_registry.host}/{repository}"
    copy(f"{published}:1.0", f"{target}:1.0", console)

    def raw(reference: str) -> bytes:
        command = [skopeo, "inspect", "--raw", "--tls-verify=false", f"docker://{reference}"]
        return subprocess.run(command, check=True, capture_output=True).stdout

    assert raw(f"{published}:1.0-oci") == raw(f"{target}:1.0-oci")


def test_within_a_registry_files_are_mounted(published: str, registry: Server, console: Console) -> None:
    copied = copy(f"{published}:1.0", f"{registry.host}/other/mounted:1.0", console)
    assert copied.bytes_sent == 0
    assert copied.bytes_mounted > 0


def test_one_tag_or_one_manifest(published: str, second_registry: Server, console: Console) -> None:
    target = f"{second_registry.host}/some/part"
    assert set(copy(f"{published}:1.0-q8_0", f"{target}:big", console, one_tag=True).tags) == {"big"}
    digest = list_tags(published, insecure=True, console=console).tags[0].digest
    assert copy(f"{published}@{digest}", f"{target}:pinned", console).tags == {"pinned": digest}
    assert tags_of(target) == {"big", "pinned"}


def test_evidence_about_evidence_and_cosigns_tags_are_copied(
    published: str, second_registry: Server, package_folder: Path, console: Console
) -> None:
    writer = PublishingClient(parse_reference(f"{published}:1.0"), insecure=True)
    statement = Package.load(package_folder).attachments[0].manifest
    blob = b"a signature on the statement"
    layer = descriptor_for("application/x-signature", blob)
    built = build_attachment(statement, layer, "application/x-signature", {})

    class Source:
        def open(self, descriptor: Any) -> Any:
            import contextlib
            import io

            data = blob if descriptor.size == len(blob) else b"{}"
            return contextlib.closing(io.BytesIO(data))

        def where(self, descriptor: Any) -> str:
            return "here"

    for each in (layer, descriptor_for("application/vnd.oci.empty.v1+json", b"{}")):
        writer.upload(Source(), each, lambda amount, what=None: None)
    signature = descriptor_for(built.media_type, built.manifest)
    attachment = Attachment(
        subject=statement.digest, artifact_type="application/x-signature", manifest=signature
    )
    attach(writer, attachment, built.manifest)
    subject = Package.load(package_folder).attachments[0].subject
    writer.put_manifest(subject.replace(":", "-") + ".sig", built.media_type, built.manifest)
    target = f"{second_registry.host}/team/signed"
    copy(f"{published}:1.0", f"{target}:1.0", console)
    assert evidence_of(target, statement.digest) == {signature.digest}
    assert subject.replace(":", "-") + ".sig" in (listing(target).tags() or ())


def test_a_copy_survives_broken_connections(
    faulty: Any, fault: Any, registry: Server, published: str, second_registry: Server, impatient: None,
    console: Console, package_folder: Path,
) -> None:  # fmt: skip
    gguf = Package.load(package_folder).default_variant.gguf
    path = f"/blobs/{gguf.digest}$"
    start = registry.blob(gguf.digest).read_bytes()[:30_000]
    faulty.faults.append(fault("GET", path, status=200, body=start))
    source = published.replace(registry.host, faulty.host)
    copied = copy(f"{source}:1.0", f"{second_registry.host}/team/broken:1.0", console)
    assert second_registry.blob(gguf.digest).stat().st_size == gguf.size
    assert set(copied.tags) == TAGS
    assert faulty.count("GET", path) == 2


def test_wrong_bytes_are_never_copied(
    published: str, registry: Server, second_registry: Server, console: Console, package_folder: Path
) -> None:
    gguf = Package.load(package_folder).default_variant.gguf
    path = registry.blob(gguf.digest)
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(data)
    target = f"{second_registry.host}/team/corrupt"
    with pytest.raises(GateError, match="has another digest"):
        copy(f"{published}:1.0", f"{target}:1.0", console)
    assert not tags_of_or_none(target)


def tags_of_or_none(repository: str) -> set[str]:
    return set(listing(repository).tags() or ())


def test_a_blob_with_two_sizes_is_not_copied(
    published: str, second_registry: Server, repository: str, console: Console
) -> None:
    client = PublishingClient(parse_reference(f"{published}:1.0"), insecure=True)
    data = client.get_manifest("1.0-oci", ACCEPT)
    assert data is not None
    document = json.loads(data)
    document["config"]["size"] = 10**12
    client.put_manifest("1.0-oci", document["mediaType"], json.dumps(document).encode())
    target = f"{second_registry.host}/{repository}"
    with pytest.raises(GateError, match="two sizes"):
        copy(f"{published}:1.0", f"{target}:2.0", console)
    assert not tags_of(target)


def test_copies_that_cannot_be(published: str, second_registry: Server, console: Console) -> None:
    target = f"{second_registry.host}/team/never:1.0"
    with pytest.raises(InputError, match="no such tag"):
        copy(f"{published}:9.9", target, console)
    with pytest.raises(InputError, match="no such manifest"):
        copy(f"{published}@sha256:{'0' * 64}", target, console)
    with pytest.raises(InputError, match="the same"):
        copy(f"{published}:1.0", f"{published}:1.0", console)
    for wrong in ("team/never", "https://host/a/b:1", f"{second_registry.host}/team/never:1.0-oci"):
        with pytest.raises(InputError):
            copy(f"{published}:1.0", wrong, console)


def test_the_list_has_formats_sizes_and_shared_bytes(
    published: str, package_folder: Path, console: Console
) -> None:
    found = list_tags(published, insecure=True, console=console)
    assert [tag.tag for tag in found.tags] == sorted(tag.tag for tag in found.tags)
    by_tag = {tag.tag: tag for tag in found.tags}
    assert set(by_tag) == TAGS
    assert by_tag["1.0"].format == "ollama"
    assert by_tag["1.0-oci"].format == "modelpack"
    assert by_tag["1.0-docker"].format == "docker"
    assert by_tag["1.0"].digest == by_tag["1.0-q4_K_M"].digest
    package = Package.load(package_folder)
    gguf = package.variants[1].gguf.size
    assert by_tag["1.0-q8_0"].size > by_tag["1.0-q8_0"].shared >= gguf  # -oci has the same file.
    assert found.stored < sum(tag.size for tag in found.tags)
    assert found.evidence_tags > 0
    assert "if nothing were shared" in found.as_text()
    assert json.loads(json.dumps(found.as_dict()))["tags"]


def test_lists_that_cannot_be(registry: Server, published: str, console: Console) -> None:
    for wrong in (f"{published}:1.0", "team/x", f"{registry.host}/team/nobody"):
        with pytest.raises(InputError):
            list_tags(wrong, insecure=True, console=console)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"[]",
        b"{}",
        b'{"tags": 3}',
        b'{"tags": [1]}',
        b'{"tags": ["../x"]}',
        b'{"tags": ["a b"]}',
        b"<html>",
    ],
)
def test_a_malformed_list_is_one_error(
    listen: Callable[[str], Listener], console: Console, answer: bytes
) -> None:
    server = listen("127.0.0.1")
    server.answer = lambda path, authorization: (200, {}, answer if "tags" in path else b"{}")
    with pytest.raises(ServiceError, match="list of tags is malformed"):
        list_tags(f"{server.host}/a/b", insecure=True, console=console)


def test_pages_of_tags_are_followed_on_this_server_only(
    listen: Callable[[str], Listener], console: Console
) -> None:
    server, other = listen("127.0.0.1"), listen("127.0.0.2")

    def answer(path: str, authorization: str | None) -> Any:
        if "last=c" in path:
            return 200, {"Link": f'<http://{other.host}{path}>; rel="next"'}, b'{"tags": ["c"]}'
        if "last=b" in path:
            return 200, {"Link": '</v2/a/b/tags/list?last=c&n=1>; rel="next"'}, b'{"tags": ["b"]}'
        if "tags/list" in path:
            return 200, {"Link": '</v2/a/b/tags/list?last=b&n=1>; rel="next"'}, b'{"tags": ["a"]}'
        return 404, {}, b""

    server.answer = answer
    assert listing(f"{server.host}/a/b").tags() == ("a", "b", "c")
    assert not other.asked


@pytest.mark.parametrize(
    "data",
    [
        b"", b"[]", b"{}", b'{"mediaType": 3}', b'{"manifests": {}}', b'{"layers": [], "config": null}',
        b'{"config": {"mediaType": "a/b", "digest": "sha256:00", "size": 1}, "layers": []}',
        b'{"config": {"mediaType": "a/b", "digest": "sha256:' + b"0" * 64 + b'", "size": -1}, "layers": []}',
        b'{"layers": [], "Layers": []}', b"[" * 100_000,
        b'{"mediaType": "application/vnd.oci.image.manifest.v1+json", "manifests": []}',
        b'{"manifests": [' + b"1," * 20_000 + b"1]}",
    ],
)  # fmt: skip
def test_malformed_manifests_are_refused(data: bytes) -> None:
    with pytest.raises(GateError):
        parse_remote(data, "here")


def test_a_release_is_deleted_with_its_evidence(
    deletable: str, second_registry: Server, package_folder: Path, console: Console
) -> None:
    package = Package.load(package_folder)
    done = delete(f"{deletable}:1.0", console, release=True)
    assert set(done.plan.tags) == TAGS
    assert {each.manifest.digest for each in package.attachments} <= set(done.plan.attachments)
    assert done.plan.freed > sum(variant.gguf.size for variant in package.variants)
    assert not tags_of_or_none(deletable)
    for attachment in package.attachments:
        for digest in (attachment.subject, attachment.manifest.digest):
            url = f"http://{deletable.replace('/team', '/v2/team')}/manifests/{digest}"
            accept = ACCEPT
            assert requests.get(url, headers={"Accept": accept}, timeout=10).status_code == 404


def test_a_deletion_that_leaves_the_tag_is_an_error(
    faulty: Any, fault: Any, repository: str, package_folder: Path, console: Console,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("starfreight.packager.registry.delete_tags._PATIENCE", (0, 0))
    put(package_folder, f"{faulty.host}/{repository}:1.0", console)
    faulty.faults.append(fault("DELETE", "/manifests/", status=202, times=100))
    with pytest.raises(ServiceError, match=r"still has 1\.0"):
        delete(f"{faulty.host}/{repository}:1.0", console)


def test_one_variant_is_deleted_and_the_others_stay(deletable: str, console: Console) -> None:
    client, plan = plan_deletion(
        f"{deletable}:1.0-q8_0", release=False, same_manifest=False, insecure=True, console=console
    )
    assert set(plan.tags) == {"1.0-q8_0"}
    assert plan.shared > 0  # The GGUF stays in 1.0-q8_0-oci.
    assert "used by other tags" in plan.as_text()
    carry_out(client, plan, console)
    assert tags_of(deletable) == TAGS - {"1.0-q8_0"}


def test_a_tag_of_a_shared_manifest_stops_where_only_manifests_are_deleted(
    deletable: str, console: Console
) -> None:
    """docker-registry 2 would take 1.0-q4_K_M away with 1.0."""
    with pytest.raises(GateError, match=r"1\.0-q4_K_M has the same manifest") as refused:
        delete(f"{deletable}:1.0", console)
    assert "--same-manifest" in str(refused.value.fix)
    assert tags_of(deletable) == TAGS
    done = delete(f"{deletable}:1.0", console, same_manifest=True)
    assert set(done.plan.tags) == {"1.0", "1.0-q4_K_M"}
    assert tags_of(deletable) == TAGS - {"1.0", "1.0-q4_K_M"}


def test_a_registry_that_deletes_nothing_gives_the_remedy(published: str, console: Console) -> None:
    with pytest.raises(DeletionUnsupported, match="does not delete") as refused:
        delete(f"{published}:1.0", console, release=True)
    assert "storage.delete.enabled" in str(refused.value.fix)
    assert tags_of(published) == TAGS


class TestCommands:
    @pytest.fixture
    def run(self) -> Iterator[Callable[..., Any]]:
        yield lambda *arguments, **options: CliRunner().invoke(cli, ["package", *arguments], **options)

    def test_delete_asks_and_shows_what_it_would_do(self, run: Callable[..., Any], deletable: str) -> None:
        command = ("delete", f"{deletable}:1.0", "--release", "--insecure")
        assert json.loads(run(*command, "--dry-run", "--json").output)["freed"] > 0
        refused = run(*command, input="n\n")
        assert isinstance(refused.exception, InputError)
        assert isinstance(run(*command, input="").exception, InputError)
        assert tags_of(deletable) == TAGS
        assert run(*command, "--yes").exit_code == 0
        assert not tags_of_or_none(deletable)

    def test_ctrl_c_at_the_question_interrupts(self, deletable: str) -> None:
        command = [sys.executable, "-c", WITH_CTRL_C, "package", "delete", f"{deletable}:1.0", "--insecure"]
        with subprocess.Popen(
            [*command, "--release"], stdin=subprocess.PIPE, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL
        ) as asking:
            assert asking.stderr is not None
            said = b""
            while b"Delete?" not in said:
                said += (byte := asking.stderr.read(1))
                assert byte, said
            for _ in range(5):
                asking.send_signal(signal.SIGINT)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    asking.wait(5)
                    break
            assert asking.wait(0) == 130, asking.stderr.read(4000)
        assert tags_of(deletable) == TAGS

    def test_list_and_copy_print_tables_and_json(self, run: Callable[..., Any], published: str) -> None:
        assert "modelpack" in run("list", published, "--insecure").output
        assert json.loads(run("list", published, "--insecure", "--json").output)["stored"] > 0
        done = run("copy", f"{published}:1.0", f"{published}:2.0", "--insecure", "--json")
        assert len(json.loads(done.output)["tags"]) == len(TAGS)
