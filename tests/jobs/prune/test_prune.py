"""``starfreight jobs prune`` on real directories: what goes, and what must stay."""

from __future__ import annotations

import contextlib
import fcntl
import io
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from starfreight.cli import main
from starfreight.jobs.backends.local.process import process_identity
from starfreight.jobs.disk import DiskUse, disk_use
from starfreight.jobs.prune.directory import remove_run

GOLDEN = Path(__file__).parents[2] / "golden" / "finished-runs" / "golden-fim-de8303b786"
ROOT = Path(__file__).resolve().parents[3]


def copy_run(runs: Path, name: str, **changes: Any) -> Path:
    """A finished run under another name, with changed keys in its record."""
    shutil.copytree(GOLDEN, runs / name)
    path = runs / name / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"id": name} | changes))
    return runs / name


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with three finished runs of two recipes, and one that failed."""
    monkeypatch.chdir(tmp_path)
    runs = tmp_path / "runs"
    for name, ended, status in (
        ("a-1", "2026-01-01", "done"), ("a-2", "2026-02-01", "done"), ("a-3", "2026-03-01", "failed"),
        ("b-1", "2025-01-01", "done"),
    ):  # fmt: skip
        copy_run(runs, name, ended=f"{ended}T00:00:00Z", status=status)
    return runs


def names(runs: Path) -> list[str]:
    return sorted(path.name for path in runs.iterdir())


def prune(*arguments: str, code: int = 0) -> None:
    assert main(["jobs", "prune", *arguments]) == code


def test_nothing_is_removed_without_yes(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prune("--keep", "1")
    out = capsys.readouterr().out
    assert names(runs) == ["a-1", "a-2", "a-3", "b-1"]
    assert [line.split()[0] for line in out.splitlines()[1:3]] == ["a-1", "a-2"]
    assert "Nothing is removed yet. To remove 2 of 4 runs" in out
    assert "Disk of " in out or "the disk of" in out


def test_with_yes_the_selected_runs_go_and_nothing_is_left_of_them(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prune("--keep", "1", "--yes", "--json")
    assert names(runs) == ["a-3", "b-1"]
    data = json.loads(capsys.readouterr().out)
    assert [row["run"] for row in data["runs"] if row["removed"]] == ["a-1", "a-2"]
    assert data["disk"]["total"] > 0
    assert all(row["size"] > 10_000 for row in data["runs"])


def test_by_state_and_age(runs: Path) -> None:
    prune("--state", "failed", "--yes")
    assert names(runs) == ["a-1", "a-2", "b-1"]
    prune("--older-than", "200d", "--yes")
    assert "b-1" not in names(runs)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--yes",), "No rule selects"),
        (("--older-than", "30"), "--older-than"),
        (("--yes", "--force"), "No rule"),
    ],
)
def test_a_command_without_rules_removes_nothing(
    runs: Path, arguments: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    prune(*arguments, code=2)
    assert words in capsys.readouterr().err
    assert len(names(runs)) == 4


def test_a_locked_run_stays(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with (runs / "a-1/.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        prune("--keep", "0", "--yes", "--force")
    assert names(runs) == ["a-1"]
    assert "kept: a job or a command is using it" in capsys.readouterr().out


def test_a_job_that_has_gone_on_while_other_runs_were_removed_stays(
    runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    remove = remove_run

    def slow(parent: Path, name: str, recorded: str) -> None:
        remove(parent, name, recorded)
        record = runs / "a-3/run.json"  # It was resumed, and stopped with its checkpoint.
        record.write_text(json.dumps(json.loads(record.read_text()) | {"status": "stopped"}))

    monkeypatch.setattr("starfreight.jobs.prune.prune.remove_run", slow)
    prune("--keep", "0", "--yes")
    assert names(runs) == ["a-3"]
    assert "kept: Its job has gone on meanwhile." in capsys.readouterr().out


def test_a_directory_of_packages_that_is_missing_protects_nothing_so_it_is_an_error(runs: Path) -> None:
    prune("--keep", "0", "--yes", "--packages", "pakcages", code=2)
    assert len(names(runs)) == 4


def test_a_running_job_stays(runs: Path) -> None:
    job = {
        "version": 1, "runner": "local", "handle": str(os.getpid()),
        "identity": process_identity(os.getpid()), "started": "2026-01-01T00:00:00Z",
    }  # fmt: skip
    (runs / "a-1/job.json").write_text(json.dumps(job))
    prune("--keep", "0", "--yes", "--force")
    assert names(runs) == ["a-1"]


def test_a_job_whose_engine_does_not_answer_stays(
    runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It may be running."""
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    job = {
        "version": 1,
        "runner": "docker",
        "handle": "c",
        "identity": "d" * 64,
        "started": "2026-01-01T00:00:00Z",
    }
    (runs / "a-1/job.json").write_text(json.dumps(job))
    prune("--keep", "0", "--yes", "--force")
    assert names(runs) == ["a-1"]
    assert "a-1 is left out: unknown:" in capsys.readouterr().out


def test_a_run_that_a_package_names_stays(runs: Path, tmp_path: Path) -> None:
    for number, folder in enumerate(("packages", "shipped")):
        package = tmp_path / folder / "coder-1.0/package.json"
        package.parent.mkdir(parents=True)
        package.write_text(json.dumps({"version": 1, "run": f"a-{number + 1}"}))
    prune("--keep", "0", "--packages", "shipped")
    prune("--keep", "0", "--yes")
    assert names(runs) == ["a-1"]
    prune("--keep", "0", "--yes", "--packages", "shipped")
    assert names(runs) == []


def test_links_and_directories_of_others_are_not_touched(runs: Path, tmp_path: Path) -> None:
    outside = copy_run(tmp_path / "elsewhere", "z-1", ended="2025-01-01T00:00:00Z")
    (runs / "z-1").symlink_to(outside)
    copy_run(runs, "other-name", id="a-1")
    (runs / "notes").mkdir()
    (runs / "a-1/link").symlink_to(outside)
    prune("--keep", "0", "--yes", "--force")
    assert names(runs) == ["a-1", "notes", "other-name", "z-1"]
    assert (outside / "run.json").is_file()


def test_an_interrupted_removal_is_finished_by_the_next_one(runs: Path) -> None:
    (runs / ".partial-pruned-x1y2/a-0").mkdir(parents=True)
    (runs / ".partial-pruned-x1y2/a-0/adapter").write_text("half")
    prune("--state", "failed")
    assert (runs / ".partial-pruned-x1y2").exists(), "a dry run changes nothing"
    prune("--state", "failed", "--yes")
    assert not (runs / ".partial-pruned-x1y2").exists()


def test_a_run_that_cannot_be_removed_is_reported_and_the_others_go(
    runs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from starfreight.errors import ServiceError

    real = remove_run

    def refuse(folder: Path, name: str, recorded: str) -> None:
        if name == "a-1":
            raise ServiceError("The operating system reported: Device or resource busy.")
        real(folder, name, recorded)

    monkeypatch.setattr("starfreight.jobs.prune.prune.remove_run", refuse)
    prune("--keep", "0", "--yes")
    assert names(runs) == ["a-1"]
    assert "kept: The operating system reported: Device or resource busy." in capsys.readouterr().out


def test_a_missing_directory_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prune("--keep", "1", "--runs", str(tmp_path / "no"), code=2)
    assert "does not exist" in capsys.readouterr().err


class TestVolume:
    """In a pod: its program, on a directory like a volume."""

    @staticmethod
    def program(runs: Path, **options: Any) -> dict[str, Any]:
        command = [sys.executable, "-P", "-m", "starfreight.jobs.prune.prune", str(runs), json.dumps(options)]
        done = subprocess.run(command, capture_output=True, check=True, env={"PYTHONPATH": str(ROOT)})
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def test_runs_of_active_jobs_stay_and_links_to_removed_ones_go(self, runs: Path) -> None:
        links = runs / ".jobs"
        links.mkdir()
        for name, run in (("coder", "a-1"), ("sweep-3", "a-2"), ("sweep-x", "a-3"), ("old", "b-1")):
            (links / name).symlink_to(Path("..") / run)
        self.program(runs, keep=0, delete=True, force=True, active=["coder", "sweep"])
        assert [path.name for path in runs.glob("?-?")] in (["a-1", "a-2"], ["a-2", "a-1"])
        assert sorted(path.name for path in links.iterdir()) == ["coder", "sweep-3"]

    def test_a_run_with_a_copy_elsewhere_may_go_though_a_package_names_it(self, runs: Path) -> None:
        for number in (1, 2):
            package = runs / f"packages/p-{number}/package.json"
            package.parent.mkdir(parents=True)
            package.write_text(json.dumps({"run": f"a-{number}"}))
        self.program(runs, keep=0, delete=True, copied=["a-1"])
        assert [path.name for path in runs.glob("?-?")] == ["a-2"]

    def test_a_run_whose_pod_is_gone_counts_as_interrupted(self, runs: Path) -> None:
        copy_run(runs, "c-1", status="running")
        (row,) = self.program(runs, states=["interrupted"])["runs"]
        assert (row["run"], row["state"], row["remove"]) == ("c-1", "interrupted", False)

    def test_the_command_mounts_the_volume_writable_only_to_remove(
        self, runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        from starfreight.console import Console
        from starfreight.jobs.backends.kubernetes.client import prune_volume as command
        from starfreight.jobs.prune.rules import PruneRules

        pod = {
            "containers": [
                {
                    "name": "train",
                    "image": "i@sha256:0",
                    "volumeMounts": [{"name": "r", "mountPath": "/runs"}],
                }
            ],
            "volumes": [{"name": "r", "persistentVolumeClaim": {"claimName": "team-runs"}}],
        }
        job = {"metadata": {"name": "acme"}, "spec": {"template": {"spec": pod}}, "status": {}}
        seen: list[Any] = []
        monkeypatch.setattr(
            command, "list_all", lambda cluster, path, **query: [job] if "/jobs" in path else []
        )

        def mounted(cluster: Any, reader: Any, *given: Any) -> Any:
            seen.append(reader["spec"]["template"]["spec"])
            return contextlib.nullcontext("pod")

        class Program(io.BytesIO):
            exit_code, errors = 0, b""

            def __init__(self, cluster: Any, pod: str, container: str, command: list[str]) -> None:
                command = [sys.executable, *command[1:4], str(runs), command[5]]
                super().__init__(subprocess.run(command, capture_output=True, check=True).stdout)

        class Api:
            namespace = "research"

            def path(self, group: str, kind: str, name: str = "") -> str:
                return f"/{group}/{kind}"

        monkeypatch.setattr(command, "reader_pod", mounted)
        monkeypatch.setattr(command, "Execution", Program)
        rules = PruneRules(keep=1)
        api: Any = Api()
        listed = command.prune_volume(api, rules, tmp_path / "here", Console(), delete=False)
        assert "the same command with --yes" in listed.text
        assert len(names(runs)) == 4
        done = command.prune_volume(api, rules, tmp_path / "here", Console(), delete=True)
        assert "Removed from the volume team-runs: 2 of 4 runs" in done.text
        assert names(runs) == ["a-3", "b-1"]
        assert [spec["containers"][0]["volumeMounts"][0].get("readOnly") for spec in seen] == [True, None]
        assert seen[0]["volumes"][0]["persistentVolumeClaim"]["claimName"] == "team-runs"


class TestDisk:
    def test_a_disk_is_measured(self, tmp_path: Path) -> None:
        use = disk_use(tmp_path)
        assert use is not None
        assert 0 < use.free < use.total
        assert disk_use(tmp_path / "missing") is None

    @pytest.mark.parametrize(("free", "warns"), [(16, False), (15, False), (14, True), (0, True)])
    def test_a_warning_comes_above_85_percent(self, free: int, warns: bool) -> None:
        assert DiskUse(100, free).nearly_full == warns

    def test_words(self) -> None:
        assert DiskUse(100 * 10**9, 12 * 10**9).in_words() == "88% full, 12.0 GB free of 100.0 GB"
        assert DiskUse(0, 0).used == 0


def test_a_run_is_as_old_as_its_end_says(runs: Path) -> None:
    """Copying it, or looking at it, does not make it younger."""
    for path in (runs / "b-1").iterdir():
        os.utime(path, (time.time(), time.time()))
    prune("--older-than", "200d", "--yes")
    assert "b-1" not in names(runs)
