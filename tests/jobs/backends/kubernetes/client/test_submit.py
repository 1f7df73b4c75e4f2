from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from starfreight.errors import InputError, RecipeError, ServiceError
from starfreight.jobs.backends.kubernetes.backend import _renamed
from starfreight.jobs.backends.kubernetes.client.cluster import Cluster
from starfreight.jobs.backends.kubernetes.client.submit import resume, submit
from starfreight.jobs.backends.kubernetes.client.targets import JOB, Target, find_target, pod_templates
from starfreight.jobs.backends.kubernetes.manifests.render import Rendered, render
from starfreight.recipe import load_recipe

IMAGE = f"registry.example/starfreight/trainer@sha256:{'0' * 64}"
JOBS = "/apis/batch/v1/namespaces/research/jobs"
MAPS = "/api/v1/namespaces/research/configmaps"


@pytest.fixture
def rendered(tmp_path: Path) -> Rendered:
    """A small job."""
    return render_recipe(tmp_path)


def render_recipe(folder: Path, **changes: Any) -> Rendered:
    recipe = {
        "version": 1,
        "name": "acme",
        "base": {"model": "builtin:starter"},
        "data": [{"source": "python:click", "license": "BSD-3-Clause"}],
        "run": {"where": "kubernetes", "gpus": 0, "image": IMAGE},
        **changes,
    }
    path = folder / "recipe.yaml"
    path.write_text(json.dumps(recipe))
    return render(load_recipe(path))


class TestSubmitting:
    def test_the_server_is_asked_before_anything_is_made(
        self, api: Any, cluster: Cluster, said: Any, rendered: Rendered
    ) -> None:
        (found,) = submit(cluster, rendered.documents, said)
        assert found.how == "created"
        posts = [one for one in api.asked if one.method == "POST"]
        assert [(one.path, one.query.get("dryRun")) for one in posts] == [
            (MAPS, "All"), (JOBS, "All"), (JOBS, None), (MAPS, None),
        ]  # fmt: skip
        assert all(one.query["fieldValidation"] == "Strict" for one in posts[:2])

    def test_the_recipe_goes_when_its_job_goes(
        self, api: Any, cluster: Cluster, said: Any, rendered: Rendered
    ) -> None:
        submit(cluster, rendered.documents, said)
        job = api.objects[f"{JOBS}/{rendered.name}"]
        (config_map,) = [one for path, one in api.objects.items() if path.startswith(MAPS)]
        (owner,) = config_map["metadata"]["ownerReferences"]
        assert owner == {
            "apiVersion": "batch/v1", "kind": "Job", "name": rendered.name, "uid": job["metadata"]["uid"],
        }  # fmt: skip

    def test_a_sweep_of_a_hundred_variants_is_one_write_of_a_job(
        self, api: Any, cluster: Cluster, said: Any, tmp_path: Path
    ) -> None:
        sweep = {"training.seed": list(range(100))}
        submit(cluster, render_recipe(tmp_path, sweep=sweep).documents, said)
        assert [one.path for one in api.written("POST")] == [JOBS, MAPS]
        assert api.written("POST")[0].body["spec"]["completions"] == 100

    def test_a_job_under_its_earlier_name_is_the_same_job_unless_it_failed(
        self, api: Any, cluster: Cluster, said: Any, rendered: Rendered
    ) -> None:
        earlier = rendered.earlier_names[rendered.name]
        assert earlier != rendered.name
        api.job(earlier)
        (found,) = submit(cluster, rendered.documents, said, rendered.earlier_names)
        assert (found.target.name, found.how) == (earlier, "running")
        assert api.written("POST") == []
        api.job(earlier, status={"conditions": [{"type": "Failed", "status": "True"}]})
        (found,) = submit(cluster, rendered.documents, said, rendered.earlier_names)
        assert (found.target.name, found.how) == (rendered.name, "created")
        # Now the cluster has it under its own name, and the earlier one is not asked for.
        api.asked.clear()
        submit(cluster, rendered.documents, said, rendered.earlier_names)
        assert not [one for one in api.asked if one.path.endswith(earlier)]

    def test_each_job_of_a_sweep_without_indexed_jobs_has_its_earlier_name(
        self, tmp_path: Path, said: Any
    ) -> None:
        render_recipe(tmp_path, sweep={"training.seed": list(range(11))})
        many = render(load_recipe(tmp_path / "recipe.yaml"), version="1.20")
        names = many.earlier_names
        assert list(names) == list(many.results) == [f"{many.name}-{number}" for number in range(11)]
        assert list(names.values()) == [f"{many.earlier_name}-{number}" for number in range(11)]
        renamed = _renamed(many.results, f"{many.name}-1", names[f"{many.name}-1"])
        assert [index for index, name in enumerate(renamed) if name != many.results[index]] == [1]

    def test_a_document_that_the_server_does_not_take_leaves_nothing_behind(
        self, api: Any, cluster: Cluster, said: Any, rendered: Rendered, reply: Any, failure: Any
    ) -> None:
        wrong = failure(422, "Invalid", 'Job "acme" is invalid: spec.template: Required value')
        api.before = lambda asked: (
            reply(422, wrong) if asked.method == "POST" and asked.path == JOBS else None
        )
        with pytest.raises(RecipeError, match="Required value"):
            submit(cluster, rendered.documents, said)
        assert api.written("POST") == []

    def test_a_recipe_that_is_refused_after_its_job_takes_the_job_back(
        self, api: Any, cluster: Cluster, said: Any, rendered: Rendered, reply: Any, failure: Any
    ) -> None:
        refused = failure(403, "Forbidden", "exceeded quota: count/configmaps")
        api.before = lambda asked: (
            reply(403, refused)
            if (asked.method, asked.path) == ("POST", MAPS) and "dryRun" not in asked.query
            else None
        )
        with pytest.raises(ServiceError, match="quota is used up"):
            submit(cluster, rendered.documents, said)
        assert f"{JOBS}/{rendered.name}" not in api.objects

    def test_a_namespace_that_is_not_there_is_named(
        self, api: Any, cluster: Cluster, said: Any, rendered: Rendered
    ) -> None:
        del api.objects["/api/v1/namespaces/research"]
        with pytest.raises(InputError, match="The namespace research does not exist"):
            submit(cluster, rendered.documents, said)

    def test_several_nodes_without_what_holds_them_together(
        self, api: Any, cluster: Cluster, said: Any
    ) -> None:
        document = {"kind": "JobSet", "metadata": {"name": "acme"}}
        with pytest.raises(ServiceError, match="does not have JobSets"):
            submit(cluster, (document,), said)


class TestAgain:
    def test_a_second_submission_says_so_and_makes_nothing(
        self, api: Any, cluster: Cluster, said: Any, rendered: Rendered
    ) -> None:
        submit(cluster, rendered.documents, said)
        before = len(api.written("POST"))
        api.objects[f"{JOBS}/{rendered.name}"]["status"] = {"active": 1}
        (found,) = submit(cluster, rendered.documents, said)
        assert found.how == "running"
        assert "was submitted before and is not submitted again" in said.notes[-1]
        made = [one for one in api.written("POST")[before:] if one.path == JOBS]
        assert made == []

    def test_a_submission_at_the_same_moment_is_followed_and_has_its_recipe(
        self, api: Any, cluster: Cluster, said: Any, rendered: Rendered
    ) -> None:
        def be_quicker(asked: Any) -> Any:
            if (asked.method, asked.path) == ("POST", JOBS) and "dryRun" not in asked.query:
                api.answer(asked)
            return None

        api.before = be_quicker
        (found,) = submit(cluster, rendered.documents, said)
        assert found.how == "running"
        assert any(path.startswith(MAPS) for path in api.objects)

    def test_one_with_other_options_keeps_those_it_had(
        self, api: Any, cluster: Cluster, said: Any, tmp_path: Path
    ) -> None:
        submit(cluster, render_recipe(tmp_path).documents, said)
        run = {"where": "kubernetes", "gpus": 0, "image": IMAGE, "memory": "3GB"}
        submit(cluster, render_recipe(tmp_path, run=run).documents, said)
        assert "keeps the options it was submitted with" in said.notes[-1]

    def test_a_recipe_that_was_lost_is_made_again(
        self, api: Any, cluster: Cluster, said: Any, rendered: Rendered
    ) -> None:
        submit(cluster, rendered.documents, said)
        (path,) = [path for path in api.objects if path.startswith(MAPS)]
        del api.objects[path]
        submit(cluster, rendered.documents, said)
        assert path in api.objects

    def test_one_that_is_done_stays_done(
        self, api: Any, cluster: Cluster, said: Any, rendered: Rendered
    ) -> None:
        submit(cluster, rendered.documents, said)
        api.objects[f"{JOBS}/{rendered.name}"]["status"] = {"conditions": [condition("Complete")]}
        assert submit(cluster, rendered.documents, said)[0].how == "done"

    @pytest.mark.parametrize("by_resume", [False, True])
    def test_one_that_failed_is_made_again_as_it_was(
        self, api: Any, cluster: Cluster, said: Any, rendered: Rendered, by_resume: bool
    ) -> None:
        submit(cluster, rendered.documents, said)
        path = f"{JOBS}/{rendered.name}"
        old = api.objects[path]
        old["metadata"]["uid"] = "of-the-old-one"
        old["status"] = {"conditions": [condition("Failed", reason="BackoffLimitExceeded")], "failed": 1}
        # What a server and its controllers write into a Job.
        old["spec"]["selector"] = {"matchLabels": {"controller-uid": "of-the-old-one"}}
        old["spec"]["template"]["metadata"]["labels"] |= {"controller-uid": "x", "job-name": rendered.name}
        old["metadata"]["managedFields"] = []
        if by_resume:
            found = resume(cluster, Target(JOB, rendered.name), old, said)
        else:
            (found,) = submit(cluster, rendered.documents, said)
        assert found.how == "again"
        new = api.objects[path]
        job = rendered.documents[1]
        assert new["spec"] == job["spec"]
        assert new["metadata"]["labels"] == job["metadata"]["labels"]
        assert "status" not in new
        (config_map,) = [one for where, one in api.objects.items() if where.startswith(MAPS)]
        assert config_map["metadata"]["ownerReferences"][0]["uid"] == new["metadata"]["uid"]
        assert config_map["data"]

    @pytest.mark.parametrize("engine", ["jobset", "trainer"])
    def test_one_on_several_nodes_keeps_its_recipe_and_loses_what_kueue_wrote(
        self, api: Any, cluster: Cluster, said: Any, render_file: Any, engine: str
    ) -> None:
        api.objects["/apis/jobset.x-k8s.io/v1alpha2"] = api.objects[
            "/apis/trainer.kubeflow.org/v1alpha1"
        ] = {}
        rendered = render_file(f"nodes-{engine}")
        config_map, document = rendered.documents
        (found,) = submit(cluster, rendered.documents, said)
        path = found.target.path(cluster)
        old = api.objects[path]
        old["metadata"]["uid"] = "of-the-old-one"
        old["status"] = {"conditions": [condition("Failed", reason="FailedJobs")]}
        (template,) = pod_templates(old)
        template["metadata"].setdefault("annotations", {})["kueue.x-k8s.io/workload"] = "of-the-old-one"
        if engine == "trainer":
            old["spec"]["runtimePatches"].append({"manager": "kueue.x-k8s.io/manager"})
        assert resume(cluster, found.target, old, said).how == "again"
        assert api.objects[path]["spec"] == document["spec"]
        unowned = [one for one in api.written("PATCH") if one.body == {"metadata": {"ownerReferences": None}}]
        assert [one.path for one in unowned] == [f"{MAPS}/{config_map['metadata']['name']}"]
        (owner,) = api.objects[unowned[0].path]["metadata"]["ownerReferences"]
        assert owner["uid"] == api.objects[path]["metadata"]["uid"]


class TestFinding:
    def test_a_job_that_is_not_there(self, api: Any, cluster: Cluster) -> None:
        with pytest.raises(InputError, match="The job nope does not exist"):
            find_target(cluster, "nope")

    @pytest.mark.parametrize("name", ["../secrets/x", "a/b", "", "Ä", "a" * 64, "-a"])
    def test_a_name_that_is_none_is_not_asked_for(self, api: Any, cluster: Cluster, name: str) -> None:
        with pytest.raises(InputError, match="is not a valid name of a job"):
            find_target(cluster, name)
        assert api.asked == []

    def test_a_sweep_of_single_jobs_names_them(self, api: Any, cluster: Cluster) -> None:
        for number in range(3):
            api.job(f"acme-{number}", metadata={"labels": {"dev.starfreight/run": "acme"}})
        with pytest.raises(InputError) as error:
            find_target(cluster, "acme")
        assert error.value.fix == "name one of acme-0, acme-1, acme-2"


def condition(kind: str, **more: Any) -> dict[str, Any]:
    return {"type": kind, "status": "True", **more}
