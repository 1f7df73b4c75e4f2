"""Jobs with ``run.kubernetes.results``, from the submission to the fetched run: no volume, no reader."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from starfreight.cli import main
from starfreight.console import Console
from starfreight.errors import InputError
from starfreight.jobs.backends.interface import JobRequest, Location
from starfreight.jobs.backends.kubernetes.backend import KubernetesBackend
from starfreight.jobs.backends.kubernetes.client import fetch as fetching
from starfreight.recipe import load_recipe

ON = ("--on", "kubernetes")
JOBS = "/apis/batch/v1/namespaces/research/jobs"
PODS = "/api/v1/namespaces/research/pods"
MAPS = "/api/v1/namespaces/research/configmaps"
PROGRAM = (
    "import sys, toy_kind; from starfreight.jobs.kinds.table import KINDS; KINDS['toy'] = 'toy_kind:TOY';"
    "from starfreight.jobs.results import sender; sender._INTERVAL = 0.2;"
    "from starfreight.jobs.backends.kubernetes import entrypoint; sys.exit(entrypoint.main(sys.argv[1:]))"
)
"""The entry point with the toy kind in the table, and a sender that looks more often."""


class Kubelet:
    """Runs the container of a pod as a process. A pod's emptyDir is a directory that is deleted with it."""

    def __init__(self, api: Any, data: Path, disk: Path) -> None:
        self._api, self._data, self._disk = api, data, disk
        self.processes: list[subprocess.Popen[str]] = []

    def start(self, job: str) -> tuple[str, subprocess.Popen[str], Path]:
        """Starts the newest pod of a job: its name, its process and its volume of runs."""
        names = [one["metadata"]["name"] for one in self._api.controllers.of(PODS)]
        spec = self._api.objects[f"{JOBS}/{job}"]["spec"]["template"]["spec"]
        (container,) = spec["containers"]
        volumes = {one["name"]: one for one in spec["volumes"]}
        assert "emptyDir" in volumes["runs"]
        assert not [one for one in volumes.values() if "persistentVolumeClaim" in one]
        folder = self._disk / names[-1]
        (folder / "runs").mkdir(parents=True)
        text = self._api.objects[f"{MAPS}/{volumes['recipe']['configMap']['name']}"]["data"]["recipe.yaml"]
        (folder / "recipe.yaml").write_text(text)
        paths = {"/runs": str(folder / "runs"), "/data": str(self._data),
                 "/etc/starfreight/recipe.yaml": str(folder / "recipe.yaml")}  # fmt: skip
        assert container["args"][:4] == [
            "python",
            "-P",
            "-m",
            "starfreight.jobs.backends.kubernetes.entrypoint",
        ]
        process = subprocess.Popen(
            [sys.executable, "-P", "-c", PROGRAM, *(paths.get(one, one) for one in container["args"][4:])],
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[4] / "plugins")},
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.processes.append(process)
        return names[-1], process, folder / "runs"


@pytest.fixture
def kubelet(api: Any, controllers: Any, toy_recipe: Path, tmp_path: Path) -> Iterator[Kubelet]:
    """The only node."""
    made = Kubelet(api, toy_recipe.parent, tmp_path / "node")
    yield made
    for process in made.processes:
        process.kill()


def results_recipe(path: Path, address: str) -> Path:
    """Adds results to the toy's recipe."""
    data = yaml.safe_load(path.read_text())
    image = "registry.example/toy@sha256:" + "0a" * 32
    data["run"] = {"image": image, "gpus": 0, "where": "kubernetes", "kubernetes": {"results": address}}
    path.write_text(yaml.safe_dump(data))
    return path


def test_a_job_outlives_its_pod_its_volume_and_its_own_object(
    api: Any, controllers: Any, kubelet: Kubelet, toy_kind: Any, toy_recipe: Path, registry: Any,
    plain_environment: None, tmp_path: Path, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    address = f"oci://{registry.host}/team/outlives"
    file = load_recipe(results_recipe(toy_recipe, address))
    backend = KubernetesBackend(Location())
    (job,) = backend.submit(JobRequest(toy_kind, file, detach=True), Console(quiet=True)).results
    assert api.objects[f"{JOBS}/{job}"]["metadata"]["annotations"]["dev.starfreight/results"] == address
    assert "secret" not in json.dumps(api.objects[f"{JOBS}/{job}"]).lower().replace("secretref", "")
    pod, first, volume = kubelet.start(job)
    assert first.stdout is not None
    for line in first.stdout:
        if "Sent the run" in line:
            break
    # The node is lost; the controller of Jobs makes another pod.
    first.kill()
    shutil.rmtree(volume)
    api.remove(f"{PODS}/{pod}")
    controllers.act()
    pod, second, volume = kubelet.start(job)
    output, _ = second.communicate(timeout=120)
    assert second.returncode == 0
    assert f"Taking the run count-toy from {address}" in output
    shutil.rmtree(volume)
    controllers.end(pod, 0)
    api.objects[f"{JOBS}/{job}"]["status"] |= {
        "active": 0,
        "conditions": [{"type": "Complete", "status": "True"}],
    }
    api.remove(f"{PODS}/{pod}")
    api.asked.clear()
    runs = str(tmp_path / "here")
    assert main(["jobs", "fetch", job, *ON, "--runs", runs]) == 0
    assert json.loads((tmp_path / "here/count-toy/toy.json").read_text())["sum"] == 5050
    assert main(["jobs", "logs", job, *ON]) == 0
    shown = capsys.readouterr()
    assert "Reading job.log of the run from oci://" in shown.err
    assert "sum 5050" in shown.out
    assert not api.written("POST")  # Neither a reader nor an exec.
    assert main(["jobs", "delete", job, *ON, "--yes"]) == 0
    assert f"in {address}" in capsys.readouterr().out
    assert main(["jobs", "fetch", job, *ON, "--runs", runs]) == 2
    assert "starfreight jobs fetch oci://HOST/NAMESPACE/NAME:JOB" in capsys.readouterr().err
    api.stop()  # And now without any cluster, twice.
    for name in (job, "count-toy"):
        assert main(["jobs", "fetch", f"{address}:{name}", "--runs", runs, "--json"]) == 0
        assert json.loads(capsys.readouterr().out) == {"run": f"{runs}/count-toy"}


def test_a_job_whose_annotation_was_changed_to_nonsense_is_an_error(
    api: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for text in ("file:///etc/passwd", "oci://user:hunter2@host/x", "x" * 10_000):
        api.job("acme", metadata={"annotations": {"dev.starfreight/results": text}})
        assert main(["jobs", "fetch", "acme", *ON, "--runs", str(tmp_path)]) == 2
        shown = capsys.readouterr().err
        assert "The address of results" in shown
        assert "hunter2" not in shown
        assert len(shown) < 1000


def test_a_result_that_does_not_exist_says_what_to_check(
    registry: Any, plain_environment: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["jobs", "fetch", f"oci://{registry.host}/team/none:acme", "--runs", str(tmp_path)]) == 2
    assert "The result does not exist" in capsys.readouterr().err
    assert main(["jobs", "fetch", f"oci://{registry.host}/team/none", "--runs", str(tmp_path)]) == 2
    assert ":RUN-ID" in capsys.readouterr().err


class TestPackagesOnVolumes:
    @pytest.fixture
    def copied(self, api: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
        """Paths that the reader copies, for a job that packages; the directory "packages" is empty."""
        asked: list[str] = []

        def copy(source: Any, path: str, parent: Path, name: str | None, check: Any) -> Path:
            asked.append(path)
            if "no-package" in path and "packages" in path:
                raise InputError(f"{path} holds neither a run nor a package yet.")
            return parent / (name or "acme-0123456789")

        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(fetching._Source, "copy", copy)
        monkeypatch.setattr(fetching, "reader_pod", lambda *given: contextlib.nullcontext("pod"))
        claim = {"name": "r", "persistentVolumeClaim": {"claimName": "runs"}}
        step = {"image": "x", "volumeMounts": [{"name": "r", "mountPath": "/runs"}]}
        pod = {"initContainers": [step | {"name": "train"}], "containers": [step | {"name": "package"}]}
        for name in ("acme", "acme-no-package"):
            api.job(name, spec={"template": {"spec": {**pod, "volumes": [claim]}}})
        train = {"containers": [step | {"name": "train"}], "volumes": [claim]}
        api.job("acme-train", spec={"template": {"spec": train}})
        return asked

    def test_come_home_with_the_run(self, copied: list[str], capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["jobs", "fetch", "acme", *ON, "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert found == {"run": "runs/acme-0123456789", "package": "packages/acme-0123456789"}
        assert copied == ["/runs/.jobs/acme", "/runs/packages/acme"]

    def test_stay_where_they_are_on_request_or_without_the_step(
        self, copied: list[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["jobs", "fetch", "acme", *ON, "--run-only"]) == 0
        assert main(["jobs", "fetch", "acme-train", *ON]) == 0
        assert copied == ["/runs/.jobs/acme", "/runs/.jobs/acme-train"]
        assert not Path("packages").exists()

    def test_that_are_not_built_yet_are_noted_unless_they_are_asked_for(
        self, copied: list[str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["jobs", "fetch", "acme-no-package", *ON]) == 0
        assert "The package of acme-no-package is not fetched" in capsys.readouterr().err
        assert main(["jobs", "fetch", "acme-no-package", *ON, "--packages", "packages"]) == 2
