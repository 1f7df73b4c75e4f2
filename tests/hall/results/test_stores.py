"""Stores of results: each test with a real registry and a real S3 server."""

from __future__ import annotations

import gc
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from starfreight.errors import GateError, InputError, ServiceError
from starfreight.files import sha256_bytes
from starfreight.results import registry as stored
from starfreight.results.address import Place, ResultAddress, parse_place
from starfreight.results.index import ResultFile, ResultIndex
from starfreight.results.receive import find_result, receive
from starfreight.results.table import open_store

WriteFiles = Callable[..., ResultIndex]
NAMES = ["tiny-0123456789", "tiny-job"]
LARGE = os.urandom(20_000_000)


def count(amount: float, what: str | None = None) -> None:
    """Shows no progress."""


def nothing_to_check(directory: Path) -> None:
    """Any directory is fine."""


def test_what_is_sent_comes_back_by_each_of_its_names_and_by_its_digest(
    place: Place, write_files: WriteFiles, tmp_path: Path, console: Any
) -> None:
    files = {"run.json": b"{}", "adapter/weights": LARGE, "copy": LARGE, "empty": b"", "a/b/c": b"x" * 70_000}
    index = write_files(tmp_path / "there", files)
    digest = open_store(place, write=True).put(index, tmp_path / "there", NAMES, count)
    store = open_store(place)
    for name in (*NAMES, digest):
        assert store.find(name) == index
    here = receive(store, index, tmp_path, console, nothing_to_check)
    assert here == tmp_path / "tiny-0123456789"
    assert {path: (here / path).read_bytes() for path in files} == files
    assert sorted(path.name for path in tmp_path.iterdir()) == ["there", "tiny-0123456789"]


def test_nothing_is_there_before_the_first_result(place: Place) -> None:
    store = open_store(place)
    assert store.find("tiny-job") is None
    assert store.find("sha256:" + "1" * 64) is None
    with pytest.raises(InputError, match="The result does not exist"):
        find_result(store, ResultAddress(place, "tiny-job", None))


def test_an_unchanged_file_is_not_sent_again_by_this_pod_or_the_next(
    place: Place, write_files: WriteFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = write_files(tmp_path / "1", {"weights": LARGE, "metrics": b"1"})
    second = write_files(tmp_path / "2", {"weights": LARGE, "metrics": b"12"})
    third = write_files(tmp_path / "3", {"weights": LARGE, "metrics": b"123"})
    sent = count_sent(place, monkeypatch)
    store = open_store(place, write=True)
    store.put(first, tmp_path / "1", NAMES, count)
    store.put(second, tmp_path / "2", NAMES, count)
    open_store(place, write=True).put(third, tmp_path / "3", NAMES, count)
    assert sent.count(len(LARGE)) == 1
    assert open_store(place).find("tiny-job") == third


def count_sent(place: Place, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Sizes of the files that are sent from now on."""
    sent: list[int] = []
    if place.scheme == "s3":
        from obstore.fsspec import FsspecStore

        put_file = FsspecStore._put_file

        async def put(self: Any, path: str, target: str, **more: Any) -> None:
            sent.append(Path(path).stat().st_size)
            await put_file(self, path, target, **more)

        monkeypatch.setattr(FsspecStore, "_put_file", put)
    else:
        from starfreight.registry.publishing import PublishingClient

        upload = PublishingClient.upload

        def counted(self: Any, source: Any, descriptor: Any, advance: Any) -> bool:
            new: bool = upload(self, source, descriptor, advance)
            sent.extend([descriptor.size] if new else [])
            return new

        monkeypatch.setattr(PublishingClient, "upload", counted)
    return sent


def test_a_name_never_leads_to_half_a_result(place: Place, write_files: WriteFiles, tmp_path: Path) -> None:
    first = write_files(tmp_path / "1", {"a": b"1", "b": b"2"})
    store = open_store(place, write=True)
    store.put(first, tmp_path / "1", NAMES, count)
    second = write_files(tmp_path / "2", {"a": b"3", "b": b"4" * 1000})
    (tmp_path / "2" / "b").write_bytes(b"5" * 1000)  # It changes while it is sent.
    with pytest.raises(GateError):
        store.put(second, tmp_path / "2", NAMES, count)
    assert open_store(place).find("tiny-job") == first
    (tmp_path / "2" / "b").unlink()
    with pytest.raises((GateError, ServiceError, OSError)):
        store.put(second, tmp_path / "2", NAMES, count)
    assert open_store(place).find("tiny-0123456789") == first


def test_superseded_checkpoints_are_deleted_from_object_storage_and_nothing_else(
    bucket: Any, write_files: WriteFiles, tmp_path: Path
) -> None:
    place = parse_place(f"{bucket.address}/team")
    bucket.write("other", b"mine")
    bucket.write("team/files/other-job/" + "0" * 64, b"another's")
    store = open_store(place, write=True)
    store.put(write_files(tmp_path / "1", {"weights": b"1", "same": b"s"}), tmp_path / "1", NAMES, count)
    store.put(write_files(tmp_path / "2", {"weights": b"2", "same": b"s"}), tmp_path / "2", NAMES, count)
    # The next pod takes over.
    last = write_files(tmp_path / "3", {"weights": b"3", "same": b"s"})
    open_store(place, write=True).put(last, tmp_path / "3", NAMES, count)
    files = {sha256_bytes(data).removeprefix("sha256:") for data in (b"3", b"s")}
    assert set(bucket.names()) == {
        "other",
        "team/files/other-job/" + "0" * 64,
        *(f"team/files/tiny-job/{name}" for name in files),
        *(f"team/names/{name}.json" for name in NAMES),
        f"team/digests/{last.digest.removeprefix('sha256:')}.json",
    }
    assert open_store(place).find("tiny-job") == last


def test_two_pods_of_one_job_leave_a_whole_result(
    place: Place, write_files: WriteFiles, tmp_path: Path, console: Any
) -> None:
    one, other = open_store(place, write=True), open_store(place, write=True)
    for number, (store, files) in enumerate(
        [(one, ("f", "a")), (other, ("f", "b")), (one, ("a",)), (other, ("f", "c"))]
    ):
        folder = tmp_path / str(number)
        last = write_files(folder, {name: name.encode() for name in files})
        store.put(last, folder, NAMES, count)
    assert open_store(place).find("tiny-job") == last
    here = receive(open_store(place), last, tmp_path, console, nothing_to_check)
    assert sorted(path.name for path in here.iterdir()) == ["c", "f"]


class TestHostileStores:
    """Everything that is read may have been written by somebody else."""

    def test_bytes_with_another_digest_leave_nothing(
        self, bucket: Any, write_files: WriteFiles, tmp_path: Path, console: Any
    ) -> None:
        place = parse_place(f"{bucket.address}/team")
        index = write_files(tmp_path / "there", {"a": b"first", "b": b"second"})
        open_store(place, write=True).put(index, tmp_path / "there", NAMES, count)
        key = f"team/files/tiny-job/{sha256_bytes(b'second').removeprefix('sha256:')}"
        for data in (b"secomd", b"second and more" * 1_000_000, b""):
            bucket.write(key, data)
            with pytest.raises(GateError, match="sent other bytes"):
                receive(open_store(place), index, tmp_path / "there", console, nothing_to_check)
        assert sorted(path.name for path in (tmp_path / "there").iterdir()) == ["a", "b"]

    @pytest.mark.parametrize(
        "data",
        [
            b"", b"[]", b"null", b"{}", b'{"version": 1', b"\xff", b"[" * 100_000, b"x" * (5 << 20),
            b'{"version":1,"kind":"run","kind":"run","name":"a","job":"a","files":[]}',
        ],
    )  # fmt: skip
    def test_an_index_that_is_none_is_refused(self, bucket: Any, data: bytes) -> None:
        bucket.write("names/tiny-job.json", data)
        with pytest.raises(GateError if data else ServiceError):
            open_store(parse_place(bucket.address)).find("tiny-job")

    def test_an_object_that_is_gone_is_one_error_without_noise(
        self, bucket: Any, write_files: WriteFiles, tmp_path: Path, console: Any,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        noise: list[Any] = []
        monkeypatch.setattr(sys, "unraisablehook", noise.append)
        place = parse_place(f"{bucket.address}/team")
        index = write_files(tmp_path / "there", {"a": b"1"})
        bucket.write(f"team/digests/{index.digest.removeprefix('sha256:')}.json", index.as_bytes())
        with pytest.raises(ServiceError, match="'a' is gone"):
            receive(open_store(place), index, tmp_path, console, nothing_to_check)
        gc.collect()
        assert not noise

    def test_an_index_with_another_digest_is_refused(
        self, bucket: Any, write_files: WriteFiles, tmp_path: Path
    ) -> None:
        bucket.write(f"digests/{'0' * 64}.json", write_files(tmp_path / "1", {"a": b"1"}).as_bytes())
        with pytest.raises(GateError, match="does not match its digest"):
            open_store(parse_place(bucket.address)).find("sha256:" + "0" * 64)

    @pytest.mark.parametrize(
        "path",
        [
            "../evil", "/etc/passwd", "a/../../b", "a//b", ".", "inputs.json", "job.json", ".lock",
            "a/.git/config", "a\\b", "a\0b", "",
        ],
    )  # fmt: skip
    def test_a_path_that_leaves_the_directory_or_is_never_sent_is_refused(self, path: str) -> None:
        digest = sha256_bytes(b"")
        with pytest.raises(ValueError, match=r"path|never sent|at least 1"):
            file = ResultFile(path=path, digest=digest, size=0)
            ResultIndex(kind="run", name="tiny", job="tiny", files=(file,))

    @pytest.mark.parametrize("paths", [("a", "a"), ("a", "a/b"), ("a/b/c", "a/b"), ("a", "a/b/c/d")])
    def test_files_that_exclude_each_other_are_refused(self, paths: tuple[str, ...]) -> None:
        files = tuple(ResultFile(path=path, digest=sha256_bytes(b""), size=0) for path in paths)
        with pytest.raises(ValueError, match="lists"):
            ResultIndex(kind="run", name="tiny", job="tiny", files=files)

    @pytest.mark.parametrize("name", ["../evil", ".partial-1", "A", "a/b", ""])
    def test_a_name_that_is_no_directory_of_ours_is_refused(self, name: str) -> None:
        file = ResultFile(path="a", digest=sha256_bytes(b""), size=0)
        with pytest.raises(ValueError, match="name"):
            ResultIndex(kind="run", name=name, job="tiny", files=(file,))

    def test_an_empty_file_has_the_digest_of_one(
        self, place: Place, write_files: WriteFiles, tmp_path: Path, console: Any
    ) -> None:
        index = write_files(tmp_path / "there", {"a": b"1"})
        wrong = ResultFile(path="b", digest=sha256_bytes(b"1"), size=0)
        with pytest.raises(GateError):
            open_store(place).get(index, wrong, tmp_path / "out", count)
        assert not (tmp_path / "out").exists()

    def test_more_than_the_disk_holds_is_refused_before_the_first_byte(
        self, place: Place, tmp_path: Path, console: Any
    ) -> None:
        file = ResultFile(path="a", digest=sha256_bytes(b"1"), size=1 << 50)
        index = ResultIndex(kind="run", name="tiny", job="tiny", files=(file,))
        with pytest.raises(ServiceError, match="too little space"):
            receive(open_store(place), index, tmp_path, console, nothing_to_check)
        assert list(tmp_path.iterdir()) == []

    def test_another_kind_of_artifact_is_refused(self, registry: Any, plain_environment: None) -> None:
        import requests

        base = f"{registry.url}/v2/team/other"
        config = b"{}"
        upload = requests.post(f"{base}/blobs/uploads/", timeout=30).headers["Location"]
        mark = "&" if "?" in upload else "?"
        requests.put(
            f"{upload}{mark}digest={sha256_bytes(config)}", data=config, timeout=30
        ).raise_for_status()
        described = {
            "mediaType": "application/vnd.oci.empty.v1+json",
            "digest": sha256_bytes(config),
            "size": 2,
        }
        manifest = {
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": described, "layers": [described],
        }  # fmt: skip
        kind = {"Content-Type": str(manifest["mediaType"])}
        requests.put(f"{base}/manifests/acme", json=manifest, headers=kind, timeout=30).raise_for_status()
        with pytest.raises(InputError, match="not a result of a job"):
            open_store(parse_place(f"oci://{registry.host}/team/other")).find("acme")

    def test_a_manifest_without_the_files_of_its_index_is_refused(
        self, registry: Any, plain_environment: None, write_files: WriteFiles, tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        place = parse_place(f"oci://{registry.host}/team/incomplete")
        index = write_files(tmp_path / "there", {"a": b"1", "b": b"2"})
        fewer = index.model_copy(update={"files": index.files[:1]})
        whole = stored._manifest
        monkeypatch.setattr(stored, "_manifest", lambda index, config: whole(fewer, config))
        open_store(place, write=True).put(index, tmp_path / "there", NAMES, count)
        with pytest.raises(GateError, match="lacks the layer"):
            open_store(place).find("tiny-job")


class TestServicesThatFail:
    def test_a_bucket_that_does_not_exist(self, bucket: Any, write_files: WriteFiles, tmp_path: Path) -> None:
        index = write_files(tmp_path / "1", {"a": b"1"})
        store = open_store(parse_place("s3://no-such-bucket"), write=True)
        with pytest.raises(ServiceError, match="bucket does not exist") as error:
            store.put(index, tmp_path / "1", NAMES, count)
        assert "a-secret" not in str(error.value)

    @pytest.mark.parametrize("scheme", ["oci", "oci+http", "s3"])
    def test_a_server_that_is_not_there(
        self, scheme: str, bucket: Any, free_port: Callable[[], int], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        host = f"127.0.0.1:{free_port()}"
        monkeypatch.setattr("starfreight.results.object_storage._RETRIES", 0)
        monkeypatch.setattr("starfreight.registry.session.MAX_WAIT", 0)
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}")
        address = "s3://bucket/runs" if scheme == "s3" else f"{scheme}://{host}/team/runs"
        with pytest.raises(ServiceError) as error:
            open_store(parse_place(address)).find("tiny-job")
        assert error.value.fix

    def test_a_registry_that_wants_a_password(
        self, locked_registry: Any, plain_environment: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
        write_files: WriteFiles,
    ) -> None:  # fmt: skip
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(locked_registry.certificate))
        place = parse_place(f"oci://{locked_registry.host}/team/runs")
        index = write_files(tmp_path / "1", {"a": b"1"})
        with pytest.raises(ServiceError, match=r"(?i)password|credentials|refuse"):
            open_store(place, write=True).put(index, tmp_path / "1", NAMES, count)
        monkeypatch.setenv("STARFREIGHT_REGISTRY_USERNAME", locked_registry.username)
        monkeypatch.setenv("STARFREIGHT_REGISTRY_PASSWORD", locked_registry.password)
        open_store(place, write=True).put(index, tmp_path / "1", NAMES, count)
        monkeypatch.setenv("STARFREIGHT_REGISTRY_HOST", locked_registry.host)
        assert open_store(place).find("tiny-job") == index


def test_a_directory_of_this_machine_is_not_replaced(
    place: Place, write_files: WriteFiles, tmp_path: Path, console: Any
) -> None:
    index = write_files(tmp_path / "there", {"a": b"1"})
    open_store(place, write=True).put(index, tmp_path / "there", NAMES, count)
    mine = tmp_path / "tiny-0123456789"
    mine.mkdir()
    (mine / "file").write_text("mine")
    with pytest.raises(InputError, match="A directory of this machine"):
        receive(open_store(place), index, tmp_path, console, nothing_to_check)
    assert (mine / "file").read_text() == "mine"
    shutil.rmtree(mine)
    mine.symlink_to(tmp_path / "there")
    with pytest.raises(InputError, match="symbolic link"):
        receive(open_store(place), index, tmp_path, console, nothing_to_check, may_replace=lambda one: True)
