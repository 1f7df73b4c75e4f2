"""Training data from a real registry, which other tools have put there."""

from __future__ import annotations

import hashlib
import http.server
import io
import json
import subprocess
import sys
import tarfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import oras.client
import pytest
import requests

from starfreight.console import Console
from starfreight.errors import GateError, InputError, RecipeError, ServiceError
from starfreight.files import sha256_bytes
from starfreight.jobs.data.sources import Sample, locate_source, open_source
from starfreight.package import Descriptor
from starfreight.recipe import Data
from starfreight.registry import parse_digest_reference
from starfreight.registry.client import RegistryClient
from starfreight.registry.fetch_blob import fetch_blob
from starfreight.registry.session import MAX_ANSWER_BYTES

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
TITLE = "org.opencontainers.image.title"
DATASET = "application/vnd.cncf.model.dataset.v1."
RECORDS = b'{"prompt": "1", "response": "2"}\n{"prompt": "3", "response": "4"}\n'

Push = Callable[..., str]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache/starfreight/oci"


@pytest.fixture
def push_files(registry: Any, repository: str, tmp_path: Path) -> Callable[[Mapping[str, bytes]], str]:
    """Pushes files with the oras library, each with its name for a title, and gives the manifest's digest."""

    def push(files: Mapping[str, bytes]) -> str:
        folder = tmp_path / "pushed"
        folder.mkdir()
        for name, data in files.items():
            (folder / name).write_bytes(data)
        client = oras.client.OrasClient(hostname=registry.host, insecure=True)
        answer = client.push(
            target=f"{registry.host}/{repository}:1.0",
            files=[str(folder / name) for name in files],
            disable_path_validation=True,
        )
        return str(answer.headers["Docker-Content-Digest"])

    return push


@pytest.fixture
def push_layers(registry: Any, repository: str) -> Push:
    """Puts an artifact of any shape into the registry, request by request, and gives its digest."""

    def push(*layers: tuple[str, dict[str, str], bytes], **more: Any) -> str:
        base = f"{registry.url}/v2/{repository}"

        def blob(media_type: str, data: bytes) -> dict[str, Any]:
            opened = requests.post(f"{base}/blobs/uploads/", timeout=10)
            digest = sha256_bytes(data)
            put = requests.put(opened.headers["Location"], params={"digest": digest}, data=data, timeout=10)
            assert put.status_code == 201
            return {"mediaType": media_type, "digest": digest, "size": len(data)}

        manifest = {
            "schemaVersion": 2, "mediaType": OCI_MANIFEST,
            "config": blob("application/vnd.oci.empty.v1+json", b"{}"),
            "layers": [blob(kind, data) | {"annotations": notes} for kind, notes, data in layers],
        } | more  # fmt: skip
        put = requests.put(
            f"{base}/manifests/1.0", data=json.dumps(manifest), timeout=10,
            headers={"Content-Type": manifest["mediaType"]},
        )  # fmt: skip
        assert put.status_code == 201, put.text
        return put.headers["Docker-Content-Digest"]

    return push


def tar_of(files: Mapping[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, data in files.items():
            header = tarfile.TarInfo(name)
            header.size = len(data)
            tar.addfile(header, io.BytesIO(data))
    return stream.getvalue()


def locate(host: str, repository: str, digest: str, **rules: Any) -> tuple[Data, Path]:
    data = Data(source=f"oci://{host}/{repository}@{digest}", **rules)
    return data, locate_source(data, Path("/nowhere"), Console(quiet=True))


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(each.relative_to(folder)): each.read_bytes() for each in folder.rglob("*") if each.is_file()}


def nothing_is_left(cache: Path) -> bool:
    return [each.suffix for each in cache.iterdir()] == [".lock"]


def test_a_file_of_records_that_oras_pushed_is_read_as_one(
    registry: Any, repository: str, push_files: Callable[..., str]
) -> None:
    digest = push_files({"pairs.jsonl": RECORDS, "LICENSE": b"...", "README.md": b"# Pairs\n"})
    data, path = locate(registry.host, repository, digest, format="instruct")
    assert path.name == "pairs.jsonl"
    assert len(list(open_source(data, path).samples())) == 2
    with pytest.raises(RecipeError, match="not a directory of repositories"):
        locate(registry.host, repository, digest, repositories="subfolders")


def test_several_files_of_records_are_refused(
    registry: Any, repository: str, push_files: Callable[..., str]
) -> None:
    digest = push_files({"a.jsonl": RECORDS, "b.parquet": b"PAR1"})
    with pytest.raises(InputError, match="several files of records"):
        locate(registry.host, repository, digest)


def test_other_files_are_a_folder_of_code_that_is_named_after_the_repository(
    registry: Any, repository: str, push_layers: Push
) -> None:
    digest = push_layers(
        ("text/x-python", {TITLE: "src/a.py"}, b"one = 1\n"),
        ("application/x-ndjson", {TITLE: "tests/cases.jsonl"}, RECORDS),
        ("text/plain", {TITLE: "empty.txt"}, b""),
    )
    data, path = locate(registry.host, repository, digest)
    assert files_of(path) == {"src/a.py": b"one = 1\n", "tests/cases.jsonl": RECORDS, "empty.txt": b""}
    samples = [each for each in open_source(data, path).samples() if isinstance(each, Sample)]
    assert [(each.name, each.repository) for each in samples] == [
        ("src/a.py", repository),
        ("tests/cases.jsonl", repository),
    ]


def test_the_dataset_layers_of_a_model_pack_are_fetched_and_no_other(
    registry: Any, repository: str, push_layers: Push
) -> None:
    path_note = "org.cncf.model.filepath"
    digest = push_layers(
        ("application/vnd.cncf.model.weight.v1.raw", {path_note: "model.gguf"}, b"GGUF"),
        (DATASET + "tar", {path_note: "code"}, tar_of({"code/a.py": b"1\n", "code/b/c.py": b"2\n"})),
        (DATASET + "raw", {path_note: "code/d.py"}, b"3\n"),
        artifactType="application/vnd.cncf.model.manifest.v1+json",
    )
    _, path = locate(registry.host, repository, digest)
    assert files_of(path) == {"code/a.py": b"1\n", "code/b/c.py": b"2\n", "code/d.py": b"3\n"}


def test_what_was_fetched_once_needs_no_registry(
    faulty: Any, repository: str, push_files: Callable[..., str], cache: Path
) -> None:
    digest = push_files({"pairs.jsonl": RECORDS})
    _, first = locate(faulty.host, repository, digest)
    asked = len(faulty.seen)
    assert asked > 0
    assert locate(faulty.host, repository, digest)[1] == first
    assert len(faulty.seen) == asked
    assert locate("registry.invalid", repository, digest)[1] == first
    assert first.read_bytes() == RECORDS
    assert first.parent == cache / digest.removeprefix("sha256:")


@pytest.mark.parametrize(
    ("layers", "said"),
    [
        ([("text/plain", {TITLE: "../evil"}, b"x")], "'..'"),
        ([("text/plain", {TITLE: "/tmp/evil"}, b"x")], "absolute"),
        ([("text/plain", {TITLE: "a"}, b"x"), ("text/plain", {TITLE: "a"}, b"y")], "twice"),
        ([(DATASET + "tar", {}, tar_of({"good": b"1", "../evil": b"x"}))], "'..'"),
        ([(DATASET + "tar", {}, b"no archive")], "not a tar archive"),
        ([(DATASET + "tar+zstd", {}, b"x")], "not supported"),
        ([("application/vnd.oci.image.layer.v1.tar+gzip", {}, b"x")], "compressed"),
    ],
)
def test_an_evil_artifact_is_refused_and_leaves_nothing(
    layers: list[Any], said: str, registry: Any, repository: str, push_layers: Push, cache: Path
) -> None:
    digest = push_layers(*layers)
    with pytest.raises(InputError, match=said):
        locate(registry.host, repository, digest)
    assert nothing_is_left(cache)


def test_an_index_is_refused(registry: Any, repository: str, push_layers: Push) -> None:
    manifest = push_layers(("text/plain", {TITLE: "a"}, b"x"))
    kind = "application/vnd.oci.image.index.v1+json"
    size = len(requests.get(
        f"{registry.url}/v2/{repository}/manifests/{manifest}", headers={"Accept": OCI_MANIFEST}, timeout=10
    ).content)  # fmt: skip
    listed = [{"mediaType": OCI_MANIFEST, "digest": manifest, "size": size}]
    index = json.dumps({"schemaVersion": 2, "mediaType": kind, "manifests": listed})
    put = requests.put(
        f"{registry.url}/v2/{repository}/manifests/all",
        data=index,
        headers={"Content-Type": kind},
        timeout=10,
    )
    with pytest.raises(InputError, match="an index of several artifacts"):
        locate(registry.host, repository, put.headers["Docker-Content-Digest"])


def test_a_missing_artifact_is_said_to_be_missing(registry: Any, repository: str, cache: Path) -> None:
    with pytest.raises(InputError, match="artifact does not exist or cannot be accessed") as caught:
        locate(registry.host, repository, "sha256:" + "0" * 64)
    assert "docker login" in str(caught.value.fix)
    assert nothing_is_left(cache)


def test_a_manifest_with_another_digest_is_not_used(
    faulty: Any, fault: Any, repository: str, push_files: Callable[..., str], cache: Path
) -> None:
    digest = push_files({"pairs.jsonl": RECORDS})
    faulty.faults.append(fault("GET", "/manifests/", status=200, body=b'{"schemaVersion": 2}'))
    with pytest.raises(GateError, match="a manifest that does not match the digest"):
        locate(faulty.host, repository, digest)
    assert nothing_is_left(cache)


def test_a_manifest_that_never_ends_is_not_read_to_its_end(
    faulty: Any, fault: Any, repository: str, push_files: Callable[..., str]
) -> None:
    digest = push_files({"pairs.jsonl": RECORDS})
    faulty.faults.append(fault("GET", "/manifests/", status=200, body=b" " * (MAX_ANSWER_BYTES + 1)))
    with pytest.raises(ServiceError, match="larger than"):
        locate(faulty.host, repository, digest)


@pytest.mark.parametrize("body", [RECORDS[:-1] + b"x", RECORDS[:10], b"", RECORDS + b"x"])
def test_a_blob_with_other_bytes_is_not_used(
    body: bytes, faulty: Any, fault: Any, repository: str, push_files: Callable[..., str], cache: Path
) -> None:
    digest = push_files({"pairs.jsonl": RECORDS})
    faulty.faults.append(fault("GET", "/blobs/", status=200, body=body, times=2))
    with pytest.raises(GateError, match="bytes with another digest than"):
        locate(faulty.host, repository, digest)
    assert nothing_is_left(cache)
    assert files_of(locate(faulty.host, repository, digest)[1].parent) == {"pairs.jsonl": RECORDS}


def test_a_blob_that_the_registry_lost_is_named(
    registry: Any, repository: str, push_files: Callable[..., str], cache: Path
) -> None:
    lost = b'{"prompt": "lost", "response": "lost"}\n'
    digest = push_files({"pairs.jsonl": lost})
    registry.blob(sha256_bytes(lost)).unlink()
    with pytest.raises(ServiceError, match="not all of its blobs") as caught:
        locate(registry.host, repository, digest)
    assert sha256_bytes(lost) in str(caught.value.where)
    assert nothing_is_left(cache)


class _Storage(http.server.ThreadingHTTPServer):
    """Sends one blob, breaks off as often as it is told to, or leads elsewhere."""

    daemon_threads = True

    def __init__(self, blob: bytes, cuts: int = 0, location: str = "") -> None:
        super().__init__(("127.0.0.1", 0), _StorageHandler)
        self.blob, self.cuts, self.location = blob, cuts, location
        self.asked: list[dict[str, str]] = []
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"


class _StorageHandler(http.server.BaseHTTPRequestHandler):
    server: _Storage

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        self.server.asked.append(dict(self.headers))
        if self.server.location:
            self.send_response(307)
            self.send_header("Location", self.server.location)
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.server.blob)))
        self.end_headers()
        cut = self.server.cuts > 0
        self.server.cuts -= cut
        self.wfile.write(self.server.blob[: len(self.server.blob) // 2] if cut else self.server.blob)


def descriptor(data: bytes) -> Descriptor:
    return Descriptor(media_type="text/plain", digest=sha256_bytes(data), size=len(data))


def client_of(server: _Storage) -> RegistryClient:
    reference = parse_digest_reference(f"{server.host}/team/data@sha256:{'0' * 64}")
    return RegistryClient(reference, insecure=True)


@pytest.mark.usefixtures("impatient")
def test_a_download_that_breaks_off_is_begun_anew_and_counted_once(tmp_path: Path) -> None:
    data = hashlib.shake_256(b"x").digest(3 << 20)
    counted: list[float] = []
    with _Storage(data, cuts=2) as server:
        fetch_blob(
            client_of(server),
            descriptor(data),
            tmp_path / "blob",
            lambda amount, what=None: counted.append(amount),
            keep_partial=False,
        )
        assert len(server.asked) == 3
        server.shutdown()
    assert (tmp_path / "blob").read_bytes() == data
    assert sum(counted) == len(data)
    assert [each.name for each in tmp_path.iterdir()] == ["blob"]


@pytest.mark.usefixtures("impatient")
def test_a_download_that_always_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    data = b"x" * 10_000
    with _Storage(data, cuts=99) as server:
        with pytest.raises(ServiceError, match="cannot be reached"):
            fetch_blob(
                client_of(server),
                descriptor(data),
                tmp_path / "blob",
                lambda amount, what=None: None,
                keep_partial=False,
            )
        server.shutdown()
    assert not list(tmp_path.iterdir())


def test_a_blob_may_lie_elsewhere_and_credentials_do_not_go_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = b"x" * 1000
    with _Storage(data) as storage, _Storage(b"") as home:
        home.location = f"http://localhost:{storage.server_address[1]}/bucket?signature=1"
        client = client_of(home)
        monkeypatch.setattr(client._provider.auth, "start", lambda scopes, long: "Basic eDp5")
        fetch_blob(
            client, descriptor(data), tmp_path / "blob", lambda amount, what=None: None, keep_partial=False
        )
        assert "Authorization" in home.asked[0]
        assert "Authorization" not in storage.asked[0]
        home.shutdown()
        storage.shutdown()
    assert (tmp_path / "blob").read_bytes() == data


def test_a_private_registry_gets_the_credentials_that_are_meant_for_its_host(
    locked_registry: Any, repository: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    certificate = str(locked_registry.certificate)
    client = oras.client.OrasClient(
        hostname=locked_registry.host, auth_backend="basic", tls_verify=certificate
    )
    client.auth.set_basic_auth(locked_registry.username, locked_registry.password)
    (tmp_path / "pairs.jsonl").write_bytes(RECORDS)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", certificate)
    answer = client.push(
        target=f"{locked_registry.host}/{repository}:1.0", files=[str(tmp_path / "pairs.jsonl")],
        disable_path_validation=True,
    )  # fmt: skip
    digest = answer.headers["Docker-Content-Digest"]
    with pytest.raises(ServiceError, match="requires valid credentials"):
        locate(locked_registry.host, repository, digest)
    monkeypatch.setenv("STARFREIGHT_REGISTRY_USERNAME", locked_registry.username)
    monkeypatch.setenv("STARFREIGHT_REGISTRY_PASSWORD", locked_registry.password)
    named = f"STARFREIGHT_REGISTRY_HOST={locked_registry.host}"
    with pytest.raises(ServiceError, match=f"requires valid credentials.* set {named}"):
        locate(locked_registry.host, repository, digest)
    monkeypatch.setenv("STARFREIGHT_REGISTRY_HOST", "registry.example.org")
    with pytest.raises(ServiceError, match=f"are kept for registry.example.org; .* set {named}"):
        locate(locked_registry.host, repository, digest)
    monkeypatch.setenv("STARFREIGHT_REGISTRY_HOST", locked_registry.host)
    assert locate(locked_registry.host, repository, digest)[1].read_bytes() == RECORDS
    # A certificate that is not trusted is no reason to speak plain http.
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other"))
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    for name in ("CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ServiceError, match=r"TLS connection to the registry .* is not trusted"):
        locate(locked_registry.host, repository, digest)


def test_only_a_registry_on_this_machine_may_speak_plain_http(
    registry: Any, repository: str, push_files: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = push_files({"pairs.jsonl": RECORDS})
    monkeypatch.setattr("starfreight.registry.artifact_manifest.is_local", lambda host: False)
    with pytest.raises(ServiceError, match=r"TLS connection to the registry .* failed"):
        locate(registry.host, repository, digest)


def test_a_recipe_can_be_inspected_that_names_one(
    registry: Any, repository: str, push_files: Callable[..., str], tmp_path: Path
) -> None:
    records = b"".join(
        b'{"prompt": "Add %d and %d, please.", "response": "The sum is %d."}\n' % (one, one * 7, one * 8)
        for one in range(40)
    )
    digest = push_files({"sums.jsonl": records})
    source = f"oci://{registry.host}/{repository}@{digest}"
    (tmp_path / "recipe.yaml").write_text(
        f"version: 1\nname: sums\nbase: {{model: 'builtin:starter'}}\n"
        f"data:\n  - {{source: '{source}', format: instruct, license: MIT, "
        "filters: {near_duplicates: false}}\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "starfreight", "data", "inspect", "--json", str(tmp_path / "recipe.yaml")],
        capture_output=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr.decode()
    assert source in done.stdout.decode()
