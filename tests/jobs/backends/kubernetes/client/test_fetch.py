"""Fetching runs and packages: the archive that the pod sends, and its unpacking here."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from starfreight.errors import GateError, InputError, ServiceError, StarfreightError
from starfreight.jobs.backends.kubernetes.client import fetch
from starfreight.jobs.backends.kubernetes.client.fetched_directory import check_job, check_package
from starfreight.jobs.backends.kubernetes.client.targets import JOB, KINDS, Target
from starfreight.jobs.backends.kubernetes.client.unpack import Unpacking
from starfreight.jobs.backends.kubernetes.manifests.render import Rendered
from starfreight.jobs.backends.kubernetes.run_archive import INDEX
from starfreight.packager.layout import verify_layout
from starfreight.run import Run

TARGET = Target(JOB, "acme")


@pytest.fixture
def run_folder(prepare: Callable[[Path], Path], make_job: Callable[..., Path], tmp_path: Path) -> Path:
    """A prepared run with the files of a finished job."""
    run = prepare(make_job(tmp_path / "there"))
    for name in ("checkpoints/step-3/weights", "data/blocks.bin", "plots/loss.png", "inputs.json", ".lock"):
        (run / name).parent.mkdir(parents=True, exist_ok=True)
        (run / name).write_bytes(b"x" * 1000)
    (run / "stolen").symlink_to("/etc/passwd")
    (run / "elsewhere").symlink_to("/etc")
    return run


def send(folder: Path) -> bytes:
    """Output of the archive program."""
    command = [sys.executable, "-P", "-m", "starfreight.jobs.backends.kubernetes.run_archive", str(folder)]
    root = Path(__file__).resolve().parents[5]
    return subprocess.run(command, capture_output=True, check=True, env={"PYTHONPATH": str(root)}).stdout


class Pipe(io.RawIOBase):
    """Bytes in small pieces, as from a program in a pod."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        piece = self._data.read(min(len(buffer), 1000))
        buffer[: len(piece)] = piece
        return len(piece)


def receive(data: bytes, runs: Path, said: Any, package: str | None = None) -> Path:
    runs.mkdir(exist_ok=True)
    source: Any = fetch._Source(None, "pod", TARGET, said)  # type: ignore[arg-type]
    check = check_job if package is None else check_package
    received: Path = source._receive(Pipe(data), runs, package, check)
    return received


class TestReader:
    def test_sends_results_and_leaves_out_files_needed_only_to_resume(
        self, run_folder: Path, tmp_path: Path, said: Any
    ) -> None:
        here = receive(send(run_folder), tmp_path / "here", said)
        assert here.name == run_folder.name
        names = {path.relative_to(here).as_posix() for path in here.rglob("*") if path.is_file()}
        assert {"run.json", "plots/loss.png", "data/manifest.json"} <= names
        assert not names & {"inputs.json", "data/blocks.bin", ".lock", "stolen"}
        assert not any(name.startswith(("checkpoints", "elsewhere")) for name in names)
        for name in names:
            assert (here / name).read_bytes() == (run_folder / name).read_bytes()

    def test_a_run_that_is_not_prepared_yet_is_said(self, tmp_path: Path) -> None:
        with pytest.raises(subprocess.CalledProcessError) as error:
            send(tmp_path)
        assert error.value.returncode == 2
        assert b"neither a run nor a package" in error.value.stderr


class TestReceiving:
    def test_a_stream_that_breaks_off_leaves_nothing(
        self, run_folder: Path, tmp_path: Path, said: Any
    ) -> None:
        whole = send(run_folder)
        end = len(whole.rstrip(b"\0"))
        for length in (0, 100, 600, end // 2, end - 1):
            with pytest.raises(ServiceError, match="files are incomplete"):
                receive(whole[:length], tmp_path / "here", said)
        assert list((tmp_path / "here").iterdir()) == []

    def test_a_run_of_this_machine_is_not_replaced(self, run_folder: Path, tmp_path: Path, said: Any) -> None:
        data = send(run_folder)
        with pytest.raises(InputError, match="A directory of this machine"):
            receive(data, run_folder.parent, said)
        assert (run_folder / "checkpoints/step-3/weights").exists()

    def test_an_earlier_fetch_is_replaced(self, run_folder: Path, tmp_path: Path, said: Any) -> None:
        receive(send(run_folder), tmp_path / "here", said)
        (run_folder / "plots/loss.png").write_bytes(b"newer")
        here = receive(send(run_folder), tmp_path / "here", said)
        assert (here / "plots/loss.png").read_bytes() == b"newer"
        assert list((tmp_path / "here").iterdir()) == [here]

    def test_a_record_that_says_done_without_its_adapter_is_refused(
        self, run_folder: Path, tmp_path: Path, said: Any
    ) -> None:
        for name in ("stolen", "elsewhere"):
            (run_folder / name).unlink()
        record = Run.load(run_folder)
        record.model_copy(update={"status": "done"}).save(run_folder)
        with pytest.raises(GateError, match="does not match its record"):
            receive(send(run_folder), tmp_path / "here", said)
        assert list((tmp_path / "here").iterdir()) == []


def tar(listed: list[dict[str, Any]], *members: tuple[tarfile.TarInfo, bytes], run: str = "acme-1") -> bytes:
    """A tar from an attacker."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as made:
        index = json.dumps({"run": run, "files": listed}).encode()
        info = tarfile.TarInfo(INDEX)
        info.size = len(index)
        made.addfile(info, io.BytesIO(index))
        for member, data in members:
            made.addfile(member, io.BytesIO(data))
    return out.getvalue()


def entry(path: str, data: bytes = b"evil") -> dict[str, Any]:
    return {"path": path, "size": len(data), "digest": "sha256:" + hashlib.sha256(data).hexdigest()}


def member(name: str, data: bytes = b"evil", kind: bytes = tarfile.REGTYPE) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size, info.type, info.linkname = len(data) if kind == tarfile.REGTYPE else 0, kind, "/etc/passwd"
    return info, data


class TestHostileStreams:
    @pytest.mark.parametrize(
        "data",
        [
            tar([entry("../evil")], member("../evil")),
            tar([entry("/tmp/evil")], member("/tmp/evil")),
            tar([entry("a/../../evil")], member("a/../../evil")),
            tar([entry("evil")], member("../evil")),
            tar([entry("evil")], member("evil", kind=tarfile.SYMTYPE)),
            tar([entry("evil")], member("evil", kind=tarfile.LNKTYPE)),
            tar([entry("evil")], member("evil", kind=tarfile.FIFOTYPE)),
            tar([entry("evil")], member("evil", b"good")),
            tar([entry("evil")], member("evil", b"longer than it said")),
            tar([entry("evil"), entry("evil")], member("evil"), member("evil")),
            tar([entry("evil")], member("evil"), run="../evil"),
            tar([entry("evil")], member("evil"), run=".."),
            tar([{"path": "evil"}], member("evil")),
            b"\x1f\x8b" + b"\0" * 1000,
            b"",
        ],
    )
    def test_write_nothing_under_a_final_name(self, data: bytes, tmp_path: Path, said: Any) -> None:
        with pytest.raises(StarfreightError):
            receive(data, tmp_path / "here", said)
        assert list((tmp_path / "here").iterdir()) == []
        assert [path.name for path in tmp_path.iterdir()] == ["here"]

    def test_an_index_of_gigabytes_is_not_read(self) -> None:
        info = tarfile.TarInfo(INDEX)
        info.size = 1 << 40
        with pytest.raises(ServiceError, match="the index is missing"):
            Unpacking(io.BytesIO(info.tobuf() + b"\0" * 4096), "here")

    @pytest.mark.parametrize("paths", [("a", "a/b"), ("a/b", "a"), ("n" * 300,)])
    def test_names_that_exclude_each_other_are_refused(self, paths: tuple[str, ...], tmp_path: Path) -> None:
        buffer = io.BytesIO()
        files = [
            {"path": path, "size": 0, "digest": "sha256:" + hashlib.sha256().hexdigest()} for path in paths
        ]
        index = json.dumps({"run": "acme", "files": files}).encode()
        with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
            for name, data in ((INDEX, index), *((path, b"") for path in paths)):
                info = tarfile.TarInfo(name)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
        buffer.seek(0)
        with pytest.raises(GateError, match="cannot be created beside the other files"):
            Unpacking(buffer, "here").into(tmp_path / "out")

    @pytest.mark.parametrize("position", ["index", "file"])
    def test_a_header_without_end_is_not_read(self, position: str, tmp_path: Path) -> None:
        index = json.dumps(
            {"run": "acme", "files": [{"path": "a", "size": 0, "digest": "sha256:" + "0" * 64}]}
        ).encode()
        first, info = tarfile.TarInfo(INDEX), tarfile.TarInfo("x")
        first.size, info.type, info.size = len(index), tarfile.XHDTYPE, 1 << 40
        data = b"" if position == "index" else first.tobuf() + index.ljust(512, b"\0")
        pipe = Pipe(data + info.tobuf(tarfile.GNU_FORMAT) + b"30 path=aaaaaaaaaaaaaaaaaaaaa\n" * 1_000_000)
        with pytest.raises(GateError, match="header of an invalid size"):
            Unpacking(pipe, "here").into(tmp_path / "out")
        assert pipe._data.tell() < 1 << 20
        assert not list(tmp_path.rglob("*a"))


class TestReaderJob:
    def test_may_only_read_the_claim_of_the_job(self, api: Any) -> None:
        container = {
            "name": "train",
            "image": "trainer@sha256:1",
            "volumeMounts": [{"name": "r", "mountPath": "/runs"}],
        }
        template = {
            "containers": [container],
            "serviceAccountName": "mine",
            "nodeSelector": {"gpu": "yes"},
            "volumes": [{"name": "r", "persistentVolumeClaim": {"claimName": "team-runs"}}],
        }
        submitted = {"spec": {"template": {"spec": template}}}
        spec = fetch.reader_job(submitted, TARGET)["spec"]["template"]["spec"]
        assert spec["volumes"] == [{"name": "runs", "persistentVolumeClaim": {"claimName": "team-runs"}}]
        (reader,) = spec["containers"]
        assert reader["image"] == "trainer@sha256:1"
        assert reader["volumeMounts"] == [{"name": "runs", "mountPath": "/runs", "readOnly": True}]
        assert reader["securityContext"]["readOnlyRootFilesystem"] is True
        assert spec["automountServiceAccountToken"] is False
        assert spec["serviceAccountName"] == "mine"
        assert "nodeSelector" not in spec

    def test_a_job_without_a_claim_has_nothing_to_fetch(self) -> None:
        with pytest.raises(InputError, match="does not keep its runs on a PersistentVolumeClaim"):
            template = {"containers": [{"name": "train", "image": "x"}]}
            fetch.reader_job({"spec": {"template": {"spec": template}}}, TARGET)

    def test_a_train_job_is_read_with_the_image_and_the_claim_that_it_names(
        self, render_file: Callable[..., Rendered]
    ) -> None:
        job = render_file("nodes-trainer").documents[-1]
        assert job["kind"] == "TrainJob"
        spec = fetch.reader_job(job, Target(KINDS[2], job["metadata"]["name"]))["spec"]["template"]["spec"]
        assert spec["containers"][0]["image"] == job["spec"]["trainer"]["image"]
        (volume,) = spec["volumes"]
        assert volume["persistentVolumeClaim"]["claimName"] == "starfreight-runs"
        assert spec["serviceAccountName"] == "starfreight-job"


PACKAGES = Path(__file__).resolve().parents[4] / "golden" / "finished-packages"


class TestPackages:
    def test_arrive_whole_and_replace_an_earlier_fetch_only(self, tmp_path: Path, said: Any) -> None:
        (package,) = PACKAGES.glob("golden-fim-*/package.json")
        packages = tmp_path / "packages"
        for _ in range(2):
            here = receive(send(package.parent), packages, said, package="acme-0123456789")
            assert here == packages / "acme-0123456789"
            assert verify_layout(here, said).problems == ()
        assert list(packages.iterdir()) == [here]
        (packages / "other").mkdir()
        (packages / "other" / "file").write_text("mine")
        with pytest.raises(InputError, match="A directory of this machine has the same name"):
            receive(send(package.parent), packages, said, package="other")
        assert (packages / "other" / "file").read_text() == "mine"

    def test_a_directory_that_is_not_a_package_is_refused(self, tmp_path: Path, said: Any) -> None:
        data = tar([entry("evil")], member("evil"))
        with pytest.raises(GateError, match="not a package"):
            receive(data, tmp_path / "packages", said, package="acme-0123456789")
        assert list((tmp_path / "packages").iterdir()) == []
