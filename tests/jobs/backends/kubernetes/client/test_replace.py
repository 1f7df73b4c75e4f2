"""Corrected options: ``--replace`` and ``jobs delete``."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kubernetes_controllers import BATCH, JOB_SETS, PODS, TRAIN_JOBS

from starfreight.cli import main
from starfreight.errors import RecipeError
from starfreight.jobs.backends.kubernetes.client.cluster import Cluster
from starfreight.jobs.backends.kubernetes.client.submit import submit
from starfreight.jobs.backends.kubernetes.manifests.render import Rendered

ON = ("--on", "kubernetes")
MAPS = "/api/v1/namespaces/research/configmaps"
IMAGE = f"registry.example/starfreight/trainer@sha256:{'0' * 64}"
OTHER = IMAGE.replace("sha256:0", "sha256:1")


@pytest.fixture
def recipe(write_job: Callable[..., Path]) -> Callable[..., Path]:
    """Writes a recipe for a cluster with the given image."""

    def write(image: str = IMAGE, **more: Any) -> Path:
        run = {"where": "kubernetes", "gpus": 0, "image": image, **more}
        return write_job(name="acme", run=json.dumps(run))

    return write


def name_of(controllers: Any) -> str:
    (job,) = controllers.of(BATCH)
    return str(job["metadata"]["name"])


def image_of(controllers: Any) -> str:
    (job,) = controllers.of(BATCH)
    return str(job["spec"]["template"]["spec"]["containers"][0]["image"])


class TestReplace:
    @pytest.mark.parametrize("status", ["running", "cancelled", "failed", "done"])
    def test_the_job_has_the_new_options_whatever_became_of_the_old_one(
        self, api: Any, controllers: Any, recipe: Any, status: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["jobs", "run", str(recipe()), "--detach"]) == 0
        name = name_of(controllers)
        if status == "cancelled":
            assert main(["jobs", "cancel", name, *ON]) == 0
        elif status != "running":
            kind = "Failed" if status == "failed" else "Complete"
            api.objects[f"{BATCH}/{name}"]["status"] = {"conditions": [{"type": kind, "status": "True"}]}
        assert main(["jobs", "run", str(recipe(OTHER)), "--detach", "--replace"]) == 0
        assert name_of(controllers) == name
        assert image_of(controllers) == OTHER
        job = api.objects[f"{BATCH}/{name}"]
        assert "dev.starfreight/paused" not in job["metadata"].get("annotations", {})
        (config_map,) = controllers.of(MAPS)
        assert config_map["metadata"]["ownerReferences"][0]["uid"] == job["metadata"]["uid"]
        assert "is deleted and submitted again with the current options" in capsys.readouterr().err

    def test_without_it_the_advice_is_to_add_it(
        self, controllers: Any, recipe: Any, capsys: pytest.CaptureFixture[str]
    ) -> None:
        main(["jobs", "run", str(recipe()), "--detach"])
        main(["jobs", "run", str(recipe(OTHER)), "--detach"])
        assert image_of(controllers) == IMAGE
        assert "(to apply the current ones, add --replace)" in capsys.readouterr().err

    def test_a_job_that_is_not_there_is_submitted(self, controllers: Any, recipe: Any) -> None:
        assert main(["jobs", "run", str(recipe()), "--detach", "--replace"]) == 0
        assert image_of(controllers) == IMAGE

    def test_an_invalid_job_replaces_nothing(
        self, api: Any, controllers: Any, recipe: Any, reply: Any, failure: Any
    ) -> None:
        main(["jobs", "run", str(recipe()), "--detach"])
        wrong = failure(422, "Invalid", "spec.template: Required value")
        api.before = lambda asked: (
            reply(422, wrong) if (asked.method, asked.path) == ("POST", BATCH) else None
        )
        assert main(["jobs", "run", str(recipe(OTHER)), "--detach", "--replace"]) == RecipeError.exit_code
        assert image_of(controllers) == IMAGE

    def test_a_job_of_another_kind_makes_way_with_all_that_it_owns(
        self, controllers: Any, cluster: Cluster, said: Any, render_file: Callable[..., Rendered]
    ) -> None:
        old, new = (list(render_file(f"nodes-{engine}").documents) for engine in ("trainer", "jobset"))
        name = new[-1]["metadata"]["name"] = old[-1]["metadata"]["name"]
        submit(cluster, old, said)
        assert len(controllers.of(TRAIN_JOBS)) == 1
        (found,) = submit(cluster, new, said, replace=True)
        assert (found.target.kind.name, found.target.name, found.how) == ("JobSet", name, "again")
        assert controllers.of(TRAIN_JOBS) == []
        (job_set,) = controllers.of(JOB_SETS)
        assert "ownerReferences" not in job_set["metadata"]

    def test_it_is_for_jobs_in_a_cluster(
        self, recipe: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path = recipe()
        command = ["jobs", "run", str(path), "--on", "local", "--replace", "--runs", str(tmp_path / "runs")]
        assert main(command) == 2
        assert "--replace" in capsys.readouterr().err
        assert not (tmp_path / "runs").exists()


class TestDelete:
    def test_the_job_goes_with_its_pods_and_what_is_kept_is_said(
        self, api: Any, controllers: Any, recipe: Any, capsys: pytest.CaptureFixture[str]
    ) -> None:
        main(["jobs", "run", str(recipe()), "--detach"])
        name = name_of(controllers)
        assert main(["jobs", "delete", name, *ON, "--yes"]) == 0
        assert (controllers.of(BATCH), controllers.of(PODS), controllers.of(MAPS)) == ([], [], [])
        assert f"{name} is deleted. Kept: its runs, checkpoints and packages" in capsys.readouterr().out
        (asked,) = api.written("DELETE")
        assert asked.body["propagationPolicy"] == "Foreground"

    @pytest.mark.parametrize("kind", [JOB_SETS, TRAIN_JOBS])
    def test_a_part_of_a_job_takes_the_whole_with_it(
        self, controllers: Any, cluster: Cluster, said: Any, kind: str, render_file: Callable[..., Rendered]
    ) -> None:
        engine = "jobset" if kind is JOB_SETS else "trainer"
        submit(cluster, render_file(f"nodes-{engine}").documents, said)
        assert main(["jobs", "delete", name_of(controllers), *ON, "--yes"]) == 0
        assert [controllers.of(each) for each in (TRAIN_JOBS, JOB_SETS, BATCH, PODS)] == [[], [], [], []]

    @pytest.mark.parametrize("answer", ["", "n\n", "\n"])
    def test_anything_but_yes_means_no(
        self, controllers: Any, recipe: Any, answer: str, monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:  # fmt: skip
        main(["jobs", "run", str(recipe()), "--detach"])
        name = name_of(controllers)
        monkeypatch.setattr("sys.stdin", io.StringIO(answer))
        assert main(["jobs", "delete", name, *ON]) == 2
        assert name_of(controllers) == name
        shown = capsys.readouterr().err
        assert f"This deletes the Job {name} (active), its pod with its log, and the ConfigMap" in shown
        assert "--yes" in shown
        monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
        assert main(["jobs", "delete", name, *ON]) == 0
        assert controllers.of(BATCH) == []

    def test_one_variant_cannot_be_deleted_alone(self, api: Any, capsys: pytest.CaptureFixture[str]) -> None:
        api.job("acme", spec={"completions": 5, "completionMode": "Indexed"})
        assert main(["jobs", "delete", "acme-3", *ON, "--yes"]) == 2
        assert "delete the sweep: starfreight jobs delete acme " in capsys.readouterr().err

    def test_a_run_of_this_machine_is_not_touched(
        self, prepare: Callable[[Path], Path], make_job: Callable[..., Path], tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:  # fmt: skip
        run = prepare(make_job(tmp_path))
        assert main(["jobs", "delete", str(run), "--on", "local", "--yes"]) == 2
        assert run.is_dir()
        assert f"rm -r {run}" in capsys.readouterr().err
