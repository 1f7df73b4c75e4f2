"""What goes wrong between here and a registry, and what must hold then."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from starfreight.console import Console
from starfreight.errors import InputError, ServiceError
from starfreight.package import Package
from starfreight.packager.cli.publish import publish as publish_command
from starfreight.packager.layout import ImageLayout, verify_layout
from starfreight.packager.layout.write_package import PackageContents, write_package
from starfreight.packager.registry.package_record import PackageRecord
from starfreight.packager.registry.push import publish
from starfreight.quantization import Quantization


def largest_blob(folder: Path) -> str:
    return max((variant.gguf for variant in Package.load(folder).variants), key=lambda gguf: gguf.size).digest


def assert_whole(registry: Any, folder: Path, tags: int = 6) -> None:
    """The registry holds every model of the package, byte for byte."""
    for variant in Package.load(folder).variants:
        stored = registry.blob(variant.gguf.digest)
        assert stored.read_bytes() == ImageLayout(folder).blob_path(variant.gguf.digest).read_bytes()


def test_a_503_twice_is_waited_out(
    faulty: Any,
    fault: Any,
    registry: Any,
    package_folder: Path,
    repository: str,
    console: Console,
    impatient: None,
) -> None:
    faulty.faults += [
        fault("GET", "^/v2/$", status=503, times=2),
        fault("HEAD", "/blobs/", status=503, times=2),
        fault("POST", "/uploads/", status=503, times=2),
        fault("PUT", "/uploads/", status=503, times=2),
        fault("PUT", "/manifests/", status=503, times=2),
    ]
    publish(package_folder, f"{faulty.host}/{repository}:1.0", insecure=True, console=console)
    assert all(each.times == 0 for each in faulty.faults)
    assert_whole(registry, package_folder)


def test_a_429_is_waited_out_for_as_long_as_the_registry_says(
    faulty: Any,
    fault: Any,
    package_folder: Path,
    repository: str,
    console: Console,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slept: list[float] = []
    monkeypatch.setattr("urllib3.util.retry.time.sleep", slept.append)
    faulty.faults.append(fault("PUT", "/manifests/", status=429, headers={"Retry-After": "7"}))
    faulty.faults.append(fault("PUT", "/uploads/", status=429, headers={"Retry-After": "999999"}))
    publish(package_folder, f"{faulty.host}/{repository}:1.0", insecure=True, console=console)
    assert sorted(slept)[-2:] == [7, 60]


def test_a_503_for_good_is_given_up_with_exit_4(
    faulty: Any, fault: Any, package_folder: Path, repository: str, console: Console, impatient: None
) -> None:
    faulty.faults.append(fault("PUT", "/uploads/", status=503, times=1000))
    with pytest.raises(ServiceError, match=r"kept failing after retries \(503") as caught:
        publish(package_folder, f"{faulty.host}/{repository}:1.0", insecure=True, console=console)
    assert caught.value.exit_code == 4
    assert faulty.count("PUT") == 5


@pytest.mark.parametrize("cuts", [1, 3])
def test_a_connection_cut_in_the_middle_of_an_upload_is_begun_anew(
    cuts: int, faulty: Any, fault: Any, registry: Any, package_folder: Path, repository: str,
    console: Console, impatient: None,
) -> None:  # fmt: skip
    digest = largest_blob(package_folder)
    path = f"digest=.*{digest.removeprefix('sha256:')}"
    faulty.faults.append(fault("PUT", path, cut_after=100_000, times=cuts))
    published = publish(package_folder, f"{faulty.host}/{repository}:1.0", insecure=True, console=console)
    assert faulty.count("PUT", path) == cuts + 1
    record = PackageRecord(Package.load(package_folder), ImageLayout(package_folder))
    sizes = {each.digest: each.size for each in (*_blobs(package_folder), *record.blobs)}
    assert published.bytes_sent == sum(sizes.values())
    assert published.bytes_present == 0
    assert_whole(registry, package_folder)


def _blobs(folder: Path) -> list[Any]:
    package, layout = Package.load(folder), ImageLayout(folder)
    manifests = [each.manifest for variant in package.variants for each in variant.manifests[:2]]
    manifests += [each.manifest for each in package.attachments]
    return [
        blob for each in manifests for blob in (layout.manifest(each).config, *layout.manifest(each).layers)
    ]


def test_a_connection_that_is_always_cut_is_given_up_and_no_tag_moves(
    faulty: Any, fault: Any, package_folder: Path, repository: str, console: Console, impatient: None
) -> None:
    faulty.faults.append(fault("PUT", "/uploads/", cut_after=0, times=1000))
    with pytest.raises(ServiceError, match="cannot be reached"):
        publish(package_folder, f"{faulty.host}/{repository}:1.0", insecure=True, console=console)
    assert faulty.count("PUT", "/manifests/") == 0


def test_an_unreachable_registry_is_named(
    package_folder: Path, console: Console, free_port: Callable[[], int], impatient: None
) -> None:
    host = f"127.0.0.1:{free_port()}"
    with pytest.raises(ServiceError, match="Connection refused") as caught:
        publish(package_folder, f"{host}/team/coder:1.0", insecure=True, console=console)
    assert caught.value.exit_code == 4
    assert host in str(caught.value)


def test_http_and_https_mistaken_for_each_other_are_named(
    registry: Any, locked_registry: Any, package_folder: Path, console: Console
) -> None:
    with pytest.raises(ServiceError, match=r"TLS connection .* failed") as plain:
        publish(package_folder, f"{registry.host}/team/x:1.0", insecure=False, console=console)
    assert "add --insecure" in str(plain.value.fix)
    with pytest.raises(ServiceError, match="expects HTTPS") as encrypted:
        publish(package_folder, f"{locked_registry.host}/team/x:1.0", insecure=True, console=console)
    assert "without --insecure" in str(encrypted.value.fix)


def test_a_host_that_does_not_exist_is_named(package_folder: Path, console: Console, impatient: None) -> None:
    with pytest.raises(ServiceError, match=r"registry\.invalid cannot be reached"):
        publish(package_folder, "registry.invalid/team/coder:1.0", insecure=False, console=console)


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (404, b"", "repository or path does not exist"),
        (
            403,
            b'{"errors":[{"code":"DENIED","message":"not yours"}]}',
            "denies access \\(403: DENIED not yours",
        ),
        (413, b"<html>too large</html>", "refuses a file of this size"),
        (507, b"", "has no space left"),
        (405, b"", "does not allow this"),
        (400, b"Client sent an HTTP request to an HTTPS server.\n", "expects HTTPS"),
        (400, b"<html>The plain HTTP request was sent to HTTPS port</html>", "expects HTTPS"),
        (400, b'{"errors":[{"code":"DIGEST_INVALID"}]}', "refused \\(400: DIGEST_INVALID"),
    ],
)
def test_a_refused_upload_says_why(
    status: int, body: bytes, said: str, faulty: Any, fault: Any, package_folder: Path, repository: str,
    console: Console,
) -> None:  # fmt: skip
    faulty.faults.append(fault("POST", "/uploads/", status=status, body=body, times=1000))
    with pytest.raises(ServiceError, match=said) as caught:
        publish(package_folder, f"{faulty.host}/{repository}:1.0", insecure=True, console=console)
    assert caught.value.exit_code == 4
    assert faulty.host in str(caught.value)


@pytest.mark.parametrize(
    "location", ["", "file:///etc/passwd", "http://[::1", "http://h:9999999/", "https:///x"]
)
def test_an_upload_that_leads_nowhere_is_refused(
    location: str, faulty: Any, fault: Any, package_folder: Path, repository: str, console: Console
) -> None:
    headers = {"Location": location} if location else {}
    faulty.faults.append(fault("POST", "/uploads/", status=202, headers=headers, times=1000))
    with pytest.raises(ServiceError, match="names no valid upload address"):
        publish(package_folder, f"{faulty.host}/{repository}:1.0", insecure=True, console=console)


def test_a_token_service_that_is_not_there_is_named(
    faulty: Any,
    fault: Any,
    package_folder: Path,
    console: Console,
    free_port: Callable[[], int],
    impatient: None,
) -> None:
    service = f"127.0.0.1:{free_port()}"
    challenge = {"WWW-Authenticate": f'Bearer realm="http://{service}/token",service="x"'}
    faulty.faults.append(fault("GET", "^/v2/$", status=401, headers=challenge, times=1000))
    with pytest.raises(ServiceError, match=f"{service}, the target of a redirection by {faulty.host}"):
        publish(package_folder, f"{faulty.host}/team/coder:1.0", insecure=True, console=console)


def test_a_web_server_that_is_no_registry_is_told_apart(
    faulty: Any, fault: Any, package_folder: Path, console: Console
) -> None:
    faulty.faults.append(fault("GET", "^/v2/$", status=404))
    with pytest.raises(ServiceError, match="is not a registry"):
        publish(package_folder, f"{faulty.host}/team/coder:1.0", insecure=True, console=console)


def test_an_endless_answer_is_not_read(
    faulty: Any, fault: Any, package_folder: Path, console: Console
) -> None:
    faulty.faults.append(fault("GET", "^/v2/$", status=200, body=b"x" * (5 << 20)))
    with pytest.raises(ServiceError, match="larger than"):
        publish(package_folder, f"{faulty.host}/team/coder:1.0", insecure=True, console=console)


def test_a_registry_that_changes_the_manifest_is_noticed(
    faulty: Any, fault: Any, package_folder: Path, repository: str, console: Console
) -> None:
    faulty.faults.append(fault("GET", "/manifests/1.0$", status=200, body=b"{}", times=9))
    with pytest.raises(ServiceError, match="another manifest than the one written") as caught:
        publish(package_folder, f"{faulty.host}/{repository}:1.0", insecure=True, console=console)
    assert caught.value.where == f"{faulty.host}/{repository}:1.0"


def test_killed_in_the_middle_of_an_upload_the_same_command_completes_it(
    faulty: Any, fault: Any, registry: Any, package_folder: Path, repository: str, console: Console
) -> None:
    digest = largest_blob(package_folder)
    hold = fault("PUT", f"digest=.*{digest.removeprefix('sha256:')}", hold_after=200_000)
    faulty.faults.append(hold)
    reference = f"{faulty.host}/{repository}:1.0"
    program = (
        "from pathlib import Path\nfrom starfreight.packager.registry.push import publish\n"
        "from starfreight.console import Console\n"
        f"publish(Path({str(package_folder)!r}), {reference!r}, insecure=True, console=Console(quiet=True))\n"
    )
    root = Path(__file__).parents[3]
    process = subprocess.Popen(
        [sys.executable, "-c", program], cwd=root, env={**os.environ, "PYTHONPATH": str(root)}
    )
    try:
        assert hold.held.wait(30)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    faulty.released.set()
    assert not registry.blob(digest).exists()
    published = publish(package_folder, reference, insecure=True, console=console)
    assert published.bytes_present > 0
    assert_whole(registry, package_folder)
    verify_layout(package_folder, console)


def test_a_full_disk_leaves_nothing_half_written_and_the_same_command_completes_it(
    small_disk: Path, make_contents: Callable[..., PackageContents], console: Console
) -> None:
    weights = {Quantization.Q4_K_M: b"four" * 50_000, Quantization.Q8_0: b"8bit" * 150_000}
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * 400_000)
    folder = small_disk / "package"
    with pytest.raises(ServiceError, match="No space left to write") as caught:
        write_package(folder, make_contents(weights), console)
    assert caught.value.exit_code == 4
    assert not (folder / "package.json").exists()
    assert not list(folder.rglob(".partial-*"))
    for blob in (folder / "blobs/sha256").iterdir():
        assert blob.read_bytes() == weights[Quantization.Q4_K_M]
    with pytest.raises(InputError):
        publish(folder, "registry.invalid/team/coder:1.0", insecure=False, console=console)
    ballast.unlink()
    write_package(folder, make_contents(weights), console)
    assert not verify_layout(folder, console).problems


def test_a_registry_with_a_full_disk_is_said_to_be_full(
    start_registry: Callable[..., Any], small_disk: Path, package_folder: Path, repository: str,
    console: Console, impatient: None,
) -> None:  # fmt: skip
    server = start_registry(storage=small_disk)
    with pytest.raises(ServiceError, match="registry has no space left") as caught:
        publish(package_folder, f"{server.host}/{repository}:1.0", insecure=True, console=console)
    assert caught.value.exit_code == 4


def test_an_address_that_never_answers_is_given_up(
    package_folder: Path, console: Console, monkeypatch: pytest.MonkeyPatch, impatient: None
) -> None:
    monkeypatch.setattr("starfreight.registry.session.READ_TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        host = f"127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(ServiceError, match="cannot be reached"):
            publish(package_folder, f"{host}/team/coder:1.0", insecure=True, console=console)


def test_an_interrupted_publish_waits_for_no_upload(
    faulty: Any, fault: Any, package_folder: Path, repository: str
) -> None:
    hold = fault("PUT", f"digest=.*{largest_blob(package_folder)[7:]}", hold_after=200_000)
    faulty.faults.append(hold)
    root = Path(__file__).parents[3]
    process = subprocess.Popen(
        [sys.executable, "-m", "starfreight", "publish", str(package_folder),
         f"{faulty.host}/{repository}:1.0", "--insecure"],
        cwd=root, env={**os.environ, "PYTHONPATH": str(root)}, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert hold.held.wait(30)
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130
    finally:
        process.kill()
    assert b"Traceback" not in process.communicate()[1]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--format", "oci"], "'oci' is not one of"), (["--format", "ollama,,modelpack"], "is not one of"),
        (["--mount-from", "host:5000/a"], "is not a repository"), (["--mount-from", "../x"], "is not a rep"),
        (["--mount-from", "a/../b"], "is not a rep"), (["--mount-from", "a//b"], "is not a rep"),
        (["--mount-from", "a/b?x=1"], "is not a rep"), (["--prune-tags=some"], "is not one of"),
    ],
)  # fmt: skip
def test_an_unknown_option_s_value_is_a_usage_error(
    options: list[str], said: str, package_folder: Path
) -> None:
    done = CliRunner().invoke(publish_command, [str(package_folder), "ghcr.io/acme/coder:1.0", *options])
    assert done.exit_code == 2
    assert said in done.output
