"""``package serve``: what clients read from a package's directory, and what nobody reads."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from ollama_client import OllamaClient, OllamaError, public_key

from starfreight.console import Console
from starfreight.errors import GateError, InputError, ServiceError
from starfreight.files import sha256_file
from starfreight.package import Package
from starfreight.packager.registry.pull_package import pull_package
from starfreight.packager.serve.access import KeyAccess
from starfreight.packager.serve.read_only_registry import ReadOnlyRegistry, serve_packages
from starfreight.packager.serve.report import result

DOCKER = "application/vnd.docker.distribution.manifest.v2+json"
NAME = "starfreight/tiny-coder"


@pytest.fixture
def served(package_folder: Path) -> Iterator[ReadOnlyRegistry]:
    with serve_packages([package_folder]) as registry:
        yield registry


@pytest.fixture(scope="module")
def shared_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Path], ReadOnlyRegistry]]:
    with contextlib.ExitStack() as stack:
        running: list[ReadOnlyRegistry] = []

        def start(folder: Path) -> ReadOnlyRegistry:
            if not running:
                copy = shutil.copytree(folder, tmp_path_factory.mktemp("shared") / "package")
                running.append(stack.enter_context(serve_packages([copy])))
            return running[0]

        yield start


@pytest.fixture
def shared(
    shared_once: Callable[[Path], ReadOnlyRegistry], request: pytest.FixtureRequest
) -> ReadOnlyRegistry:
    """One registry for all tests that change nothing."""
    try:
        return shared_once(Path())
    except InputError:
        return shared_once(request.getfixturevalue("package_folder"))


def ask(
    registry: ReadOnlyRegistry, method: str, target: str, **headers: str
) -> tuple[int, dict[str, str], bytes]:
    """One request with exactly this target and Host."""
    connection = http.client.HTTPConnection("127.0.0.1", registry.port, timeout=10)
    headers.setdefault("Host", registry.host)
    connection.putrequest(method, target, skip_host=True)
    for name, value in headers.items():
        connection.putheader(name.replace("_", "-"), value)
    connection.endheaders()
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, {name.lower(): value for name, value in answer.getheaders()}, body


def folder_of(registry: ReadOnlyRegistry) -> Path:
    return registry.tags[0].served.folder


def blob_of(folder: Path) -> str:
    return Package.load(folder).default_variant.gguf.digest


def test_ollama_pulls_every_printed_model(
    served: ReadOnlyRegistry, package_folder: Path, tmp_path: Path
) -> None:
    models = [tag for tag in served.tags if tag.served.format == "ollama"]
    assert [tag.served.tag for tag in models] == ["q4_K_M", "q8_0", "latest"]
    package = Package.load(package_folder)
    for tag in models:
        host, _, name = tag.reference.partition("/")
        client = OllamaClient(host, insecure=True, least_part=50_000)
        client.pull(name, tmp_path / tag.served.tag)
        gguf = next(each.gguf for each in package.variants if each.quantization == tag.served.quantization)
        found = tmp_path / tag.served.tag / "blobs" / gguf.digest.replace(":", "-")
        assert sha256_file(found) == gguf.digest
        assert len([each for each in client.asked if gguf.digest in each.url]) > 5


def test_a_package_can_be_served_under_another_name(package_folder: Path, tmp_path: Path) -> None:
    with serve_packages([(package_folder, "team/coder:1.0")]) as registry:
        tags = {tag.served.tag for tag in registry.tags}
        assert tags >= {"1.0", "1.0-oci", "1.0-q4_K_M", "1.0-q8_0", "1.0-q8_0-oci"}
        OllamaClient(registry.host, insecure=True).pull("team/coder:1.0-q8_0", tmp_path)


def test_skopeo_copies_each_format(
    shared: ReadOnlyRegistry, require_service: Callable[[str], str], tmp_path: Path
) -> None:
    skopeo = require_service("skopeo")
    for tag in ("latest", "latest-oci"):
        source = f"docker://{shared.host}/{NAME}:{tag}"
        command = [skopeo, "inspect", "--raw", "--tls-verify=false", source]
        raw = subprocess.run(command, check=True, capture_output=True).stdout
        (expected,) = [each.served.digest for each in shared.tags if each.served.tag == tag]
        assert f"sha256:{hashlib.sha256(raw).hexdigest()}" == expected


def test_attached_evidence_is_listed_in_both_ways(shared: ReadOnlyRegistry) -> None:
    package = Package.load(folder_of(shared))
    subject = package.attachments[0].subject
    base = f"/v2/{NAME}"
    status, _, listed = ask(shared, "GET", f"{base}/referrers/{subject}")
    assert status == 200
    digests = [each["digest"] for each in json.loads(listed)["manifests"]]
    assert package.attachments[0].manifest.digest in digests
    status, headers, fallback = ask(shared, "GET", f"{base}/manifests/{subject.replace(':', '-')}")
    assert (status, fallback) == (200, listed)
    assert headers["content-type"] == "application/vnd.oci.image.index.v1+json"
    status, headers, none = ask(shared, "GET", f"{base}/referrers/{subject}?artifactType=some/thing")
    assert json.loads(none)["manifests"] == []
    assert headers["oci-filters-applied"] == "artifactType"
    assert ask(shared, "GET", f"{base}/manifests/{digests[0]}")[0] == 200


def test_the_whole_package_can_be_pulled(shared: ReadOnlyRegistry, tmp_path: Path, console: Console) -> None:
    pull_package(f"{shared.host}/{NAME}:latest-oci", tmp_path / "pulled", insecure=True, console=console)
    assert (tmp_path / "pulled/package.json").read_bytes() == (
        folder_of(shared) / "package.json"
    ).read_bytes()


@pytest.mark.parametrize(
    ("wanted", "status", "first", "length"),
    [
        ("bytes=0-9", 206, 0, 10),
        ("bytes=5-", 206, 5, None),
        ("bytes=-7", 206, -7, 7),
        ("bytes=0-99999999999", 206, 0, None),
        ("bytes=3-2", 200, 0, None),
        ("bytes=0-1,4-5", 200, 0, None),
        ("bytes=a-b", 200, 0, None),
        ("lines=0-1", 200, 0, None),
        ("bytes=99999999999-", 416, 0, 0),
        ("bytes=-0", 416, 0, 0),
        ("bytes=" + "9" * 400 + "-", 200, 0, None),
    ],
)
def test_ranges(shared: ReadOnlyRegistry, wanted: str, status: int, first: int, length: int | None) -> None:
    digest = blob_of(folder_of(shared))
    data = (folder_of(shared) / "blobs/sha256" / digest[7:]).read_bytes()
    path = f"/v2/{NAME}/blobs/{digest}"
    found, headers, body = ask(shared, "GET", path, Range=wanted)
    assert found == status
    if status == 416:
        assert headers["content-range"] == f"bytes */{len(data)}"
        return
    expected = data[first:] if length is None else data[first:][:length]
    assert body == expected
    assert headers["location"] == path
    if status == 206:
        start = len(data) + first if first < 0 else first
        assert headers["content-range"] == f"bytes {start}-{start + len(expected) - 1}/{len(data)}"


def test_head_has_the_length_and_no_body(shared: ReadOnlyRegistry) -> None:
    digest = blob_of(folder_of(shared))
    status, headers, body = ask(shared, "HEAD", f"/v2/{NAME}/blobs/{digest}", Range="bytes=0-1")
    size = Package.load(folder_of(shared)).default_variant.gguf.size
    assert (status, int(headers["content-length"]), body) == (200, size, b"")


@pytest.mark.parametrize(
    "target",
    [
        "/", "/v2", "/v2/_catalog", f"/v2/{NAME}/tags/list", f"/v2/{NAME}/manifests/",
        f"/v2/{NAME}/manifests/none",
        f"/v2/{NAME}/blobs/uploads/", "/v2/other/tiny-coder/manifests/latest", "/package.json", "/etc/passwd",
        f"/v2/{NAME}/blobs/../../../package.json", f"/v2/{NAME}/blobs/..%2f..%2fpackage.json",
        f"/v2/{NAME}/blobs/%2e%2e", f"/v2/{NAME}/manifests/latest%00", f"/v2/{NAME}/manifests/./latest",
        f"/v2/{NAME}//manifests/latest", f"/v2/{NAME}/manifests/latest/", f"/v2/{NAME}/manifests/LATEST",
        f"/v2/../v2/{NAME}/manifests/latest", f"/v2/{NAME}/blobs/sha256:" + "0" * 64,
        f"/v2/{NAME}/blobs/sha256-" + "0" * 64, f"http://127.0.0.1/v2/{NAME}/manifests/latest", "*",
        f"/v2\\{NAME}/manifests/latest", f"/V2/{NAME}/manifests/latest", "/token?service=starfreight",
    ],
)  # fmt: skip
def test_nothing_else_is_served(shared: ReadOnlyRegistry, target: str) -> None:
    status, headers, body = ask(shared, "GET", target)
    assert status == 404
    assert "location" not in headers
    assert json.loads(body)["errors"]


@pytest.mark.parametrize(
    "method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "MKCOL", "PROPFIND"]
)
@pytest.mark.parametrize(
    "path", ["blobs/uploads/", "manifests/latest", "blobs/uploads/?mount=sha256:0&from=a/b"]
)
def test_nothing_can_be_written(shared: ReadOnlyRegistry, method: str, path: str) -> None:
    assert ask(shared, method, f"/v2/{NAME}/{path}")[0] in (405, 501)


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1", "127.0.0.1:1", "", "a b"])
def test_another_name_is_refused(shared: ReadOnlyRegistry, host: str) -> None:
    """A web page cannot read the models by pointing a name of its own at this machine."""
    assert ask(shared, "GET", f"/v2/{NAME}/manifests/latest", Host=host, Accept=DOCKER)[0] == 421


def test_localhost_is_this_server(shared: ReadOnlyRegistry, tmp_path: Path) -> None:
    port = shared.host.rpartition(":")[2]
    OllamaClient(f"localhost:{port}", insecure=True).pull(f"{NAME}:latest", tmp_path)


def test_a_given_name_is_this_server(package_folder: Path) -> None:
    target = f"/v2/{NAME}/manifests/latest"
    names = ("Models.example:5000", "other.example")
    with serve_packages([package_folder], names=names) as registry:
        assert registry.tags[0].reference.startswith("models.example:5000/")
        for host in ("models.example:5000", "other.example", f"other.example:{registry.port}"):
            assert ask(registry, "GET", target, Host=host)[0] == 200


def test_a_manifest_of_another_type_is_not_found(shared: ReadOnlyRegistry) -> None:
    target = f"/v2/{NAME}/manifests/"
    assert ask(shared, "GET", target + "latest-oci", Accept=DOCKER)[0] == 404
    assert ask(shared, "GET", target + "latest", Accept=f"text/html, {DOCKER};q=0.5")[0] == 200
    assert ask(shared, "GET", target + "latest", Accept="*/*")[0] == 200
    assert ask(shared, "GET", target + "latest")[0] == 200


def test_a_request_with_a_body_ends_the_connection(shared: ReadOnlyRegistry) -> None:
    """Its body is never taken for a second request."""
    hidden = f"GET /v2/{NAME}/manifests/latest HTTP/1.1\r\nHost: {shared.host}\r\n\r\n"
    text = f"GET /v2/ HTTP/1.1\r\nHost: {shared.host}\r\nContent-Length: {len(hidden)}\r\n\r\n{hidden}"
    with socket.create_connection(("127.0.0.1", shared.port), 10) as connection:
        connection.sendall(text.encode())
        received = b""
        try:
            while piece := connection.recv(65536):
                received += piece
        except ConnectionResetError:
            pass
    assert received.count(b"HTTP/1.1 ") == 1


@pytest.mark.parametrize(
    "header", ["Content-Length: ", "Content-Length", "Transfer-Encoding : chunked", ": x"]
)
def test_a_request_with_a_header_that_proxies_read_otherwise_ends_the_connection(
    header: str, shared: ReadOnlyRegistry
) -> None:
    hidden = f"GET /v2/{NAME}/manifests/latest HTTP/1.1\r\nHost: {shared.host}\r\n\r\n"
    for text in (f"Host: {shared.host}\r\n{header}", f"{header}\r\nHost: {shared.host}"):
        with socket.create_connection(("127.0.0.1", shared.port), 10) as connection:
            connection.sendall(f"GET /v2/ HTTP/1.1\r\n{text}\r\n\r\n{hidden}".encode())
            received = b""
            with contextlib.suppress(ConnectionResetError):
                while piece := connection.recv(65536):
                    received += piece
        assert received.count(b"HTTP/1.1 ") == 1
        assert b"layers" not in received


def test_many_ranges_at_once_and_a_silent_client(shared: ReadOnlyRegistry) -> None:
    digest = blob_of(folder_of(shared))
    data = (folder_of(shared) / "blobs/sha256" / digest[7:]).read_bytes()
    url = f"http://{shared.host}/v2/{NAME}/blobs/{digest}"
    idle = [socket.create_connection(("127.0.0.1", shared.port)) for _ in range(20)]

    def part(start: int) -> bytes:
        return requests.get(url, headers={"Range": f"bytes={start}-{start + 999}"}, timeout=10).content

    starts = range(0, len(data), 1000)
    with ThreadPoolExecutor(32) as pool:
        assert b"".join(pool.map(part, starts)) == data
    for connection in idle:
        connection.close()


def test_a_damaged_package_is_not_served(package_folder: Path) -> None:
    blob = package_folder / "blobs/sha256" / blob_of(package_folder)[7:]
    with blob.open("ab") as stream:
        stream.write(b"more")
    with pytest.raises(GateError, match=r"has .* bytes where"), serve_packages([package_folder]):
        pass


def test_a_file_that_changes_meanwhile_is_an_error(served: ReadOnlyRegistry, package_folder: Path) -> None:
    digest = blob_of(package_folder)
    blob = package_folder / "blobs/sha256" / digest[7:]
    blob.unlink()
    blob.symlink_to("/etc/passwd")
    status, _, body = ask(served, "GET", f"/v2/{NAME}/blobs/{digest}")
    assert status == 500
    assert b"root:" not in body


def test_no_package_two_of_one_name_and_a_port_in_use(package_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError), serve_packages([tmp_path]):
        pass
    with pytest.raises(InputError, match="Two of the packages"), serve_packages([package_folder] * 2):
        pass
    with pytest.raises(InputError, match="cannot be pulled"), serve_packages([(package_folder, "Deep/er/x")]):
        pass
    with serve_packages([package_folder]) as registry:
        port = registry.port
        with pytest.raises(ServiceError, match="cannot listen"), serve_packages([package_folder], port=port):
            pass


def test_ollama_is_not_told_an_address_that_it_cannot_read(package_folder: Path) -> None:
    try:
        with serve_packages([package_folder], "::1") as registry:
            text = result(registry)[1]
    except ServiceError:
        pytest.skip("no IPv6 on this machine")
    assert "ollama pull" not in text
    assert "--name" in text
    with serve_packages([package_folder], "::1", names=("localhost",)) as registry:
        assert f"ollama pull --insecure localhost:{registry.port}/" in result(registry)[1]


def test_the_address_is_free_afterwards(package_folder: Path) -> None:
    with serve_packages([package_folder]) as registry:
        port = registry.port
    with serve_packages([package_folder], port=port):
        pass


class TestKeys:
    @pytest.fixture
    def key(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.generate()

    @pytest.fixture
    def keys(self, key: Ed25519PrivateKey, tmp_path: Path) -> Path:
        path = tmp_path / "keys"
        path.write_text(f"{public_key(key)} alice\n")
        return path

    @pytest.fixture
    def log(self) -> list[str]:
        return []

    @pytest.fixture
    def locked(self, package_folder: Path, keys: Path, log: list[str]) -> Iterator[ReadOnlyRegistry]:
        with serve_packages([package_folder], access=KeyAccess(keys), log=log.append) as registry:
            yield registry

    def test_the_holder_of_a_listed_key_pulls(
        self, locked: ReadOnlyRegistry, key: Ed25519PrivateKey, tmp_path: Path, log: list[str]
    ) -> None:
        client = OllamaClient(locked.host, insecure=True, key=key, least_part=50_000)
        client.pull(f"{NAME}:latest", tmp_path / "models")
        parts = [each for each in client.asked if "Range" in each.headers]
        assert parts
        assert not any("Authorization" in each.headers for each in parts)
        assert {each.status for each in parts} == {206}
        assert any("alice GET" in line for line in log)
        assert not any("sig=" in line for line in log)

    def test_nobody_else_does(self, locked: ReadOnlyRegistry, package_folder: Path, tmp_path: Path) -> None:
        with pytest.raises(OllamaError, match=r"pull model manifest: 401: .*this key may not pull"):
            OllamaClient(locked.host, insecure=True).pull(f"{NAME}:latest", tmp_path / "models")
        assert ask(locked, "GET", f"/v2/{NAME}/blobs/{blob_of(package_folder)}")[0] == 401
        assert ask(locked, "GET", f"/v2/{NAME}/blobs/{blob_of(package_folder)}?exp=1&sig=2")[0] == 403

    def test_a_removed_key_ends_at_once(
        self,
        locked: ReadOnlyRegistry,
        key: Ed25519PrivateKey,
        keys: Path,
        package_folder: Path,
        tmp_path: Path,
    ) -> None:
        client = OllamaClient(locked.host, insecure=True, key=key)
        client.pull(f"{NAME}:latest", tmp_path / "models")
        (address,) = {
            each.url for each in client.asked if "sig=" in each.url and blob_of(package_folder) in each.url
        }
        assert requests.get(address, timeout=10).status_code == 200
        keys.write_text("# nobody\n")
        assert requests.get(address, timeout=10).status_code == 403
        with pytest.raises(OllamaError, match="401"):
            OllamaClient(locked.host, insecure=True, key=key).pull(f"{NAME}:latest", tmp_path / "again")

    def test_a_signed_address_is_for_one_blob(
        self, locked: ReadOnlyRegistry, key: Ed25519PrivateKey, package_folder: Path, tmp_path: Path
    ) -> None:
        client = OllamaClient(locked.host, insecure=True, key=key)
        client.pull(f"{NAME}:latest", tmp_path / "models")
        signed = next(each.url for each in client.asked if "sig=" in each.url)
        other = Package.load(package_folder).variants[1].gguf.digest
        query = signed.partition("?")[2]
        assert ask(locked, "GET", f"/v2/{NAME}/blobs/{other}?{query}")[0] == 403
        assert ask(locked, "GET", f"/v2/{NAME}/manifests/latest?{query}")[0] == 401

    def test_a_sign_in_for_another_server_is_refused(
        self, locked: ReadOnlyRegistry, key: Ed25519PrivateKey
    ) -> None:
        from ollama_client import sign

        target = (
            f"/token?nonce={'n' * 22}&scope=repository%3A{NAME.replace('/', '%2F')}%3Apull"
            f"&service=starfreight&ts={int(time.time())}"
        )
        stolen = sign(key, f"http://evil.example{target}")
        assert ask(locked, "GET", target, Authorization=stolen, Host="evil.example")[0] == 421
        assert ask(locked, "GET", target, Authorization=stolen)[0] == 401
        own = sign(key, f"http://{locked.host}{target}")
        assert ask(locked, "GET", target, Authorization=own)[0] == 200
        assert ask(locked, "GET", target, Authorization=own)[0] == 401  # Once only.


def test_https(
    package_folder: Path, certificate_authority: Callable[[], tuple[Path, Path, Path]], tmp_path: Path
) -> None:
    authority, certificate, key = certificate_authority()
    with serve_packages([package_folder], certificate=(certificate, key)) as registry:
        silent = socket.create_connection(("127.0.0.1", registry.port))
        client = OllamaClient(registry.host, authority=authority, least_part=50_000)
        client.pull(f"{NAME}:latest", tmp_path)
        silent.close()
    with pytest.raises(InputError), serve_packages([package_folder], certificate=(key, certificate)):
        pass


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_serves_until_it_is_stopped(package_folder: Path, tmp_path: Path, number: int) -> None:
    command = [
        sys.executable,
        "-m",
        "starfreight",
        "package",
        "serve",
        str(package_folder),
        "--listen",
        "0",
        "--json",
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    text = ""
    while not text.endswith("}\n") or text.count("{") != text.count("}"):
        text += process.stdout.readline()
    document = json.loads(text)
    OllamaClient(document["address"], insecure=True).pull(f"{NAME}:latest", tmp_path / "models")
    os.kill(process.pid, number)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 0
    assert "Traceback" not in errors
    assert errors.endswith("Stopped.\n")


def test_serving_others_warns() -> None:
    from starfreight.packager.serve.listen_address import parse_listen
    from starfreight.packager.serve.report import warnings

    everyone = parse_listen("0.0.0.0:5080")
    assert len(warnings(everyone, keyed=False, encrypted=False)) == 2
    assert not warnings(everyone, keyed=True, encrypted=True)
    assert not warnings(parse_listen("5080"), keyed=False, encrypted=False)
    assert not warnings(parse_listen("[::1]:5080"), keyed=False, encrypted=False)
    for wrong in ("", "host", "1.2.3.4:99999", "a b:1", "[::1]", "http://x:1", "-1"):
        with pytest.raises(InputError):
            parse_listen(wrong)
