"""Properties of all rendered jobs, and the effects of single options."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from starfreight.jobs.backends.kubernetes.manifests.render import Rendered

ALL = ("cpu", "nodes-jobset", "publish", "registry", "sweep")
"""Recipes whose manifests contain whole pods; those of a TrainJob are created by its runtime."""
HEX = "0a" * 32


def pod_of(document: Any) -> Any:
    """The pod template of a Job or of a JobSet."""
    if document["kind"] == "JobSet":
        document = document["spec"]["replicatedJobs"][0]["template"]
    return document["spec"]["template"]


@pytest.fixture
def pod(render_file: Callable[..., Rendered]) -> Callable[..., Any]:
    """The pod template of a rendered recipe."""

    def find(recipe: str | Path, version: str = "1.37", **options: Any) -> Any:
        return pod_of(render_file(recipe, version, **options).documents[1])

    return find


@pytest.mark.parametrize("name", ALL)
def test_pods_meet_the_restricted_pod_security_standard(
    name: str, pod: Callable[..., Any], containers_of: Callable[[Any], list[Any]]
) -> None:
    spec = pod(name)["spec"]
    assert not {"hostNetwork", "hostPID", "hostIPC"} & spec.keys()
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] > 0
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for volume in spec["volumes"]:
        assert (volume.keys() - {"name"}) <= {
            "configMap", "emptyDir", "persistentVolumeClaim", "secret", "image",
        }  # fmt: skip
    for container in containers_of(spec):
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["readOnlyRootFilesystem"] is True
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert not any("hostPort" in port for port in container.get("ports", []))


@pytest.mark.parametrize("name", [*ALL, "nodes-trainer"])
def test_every_container_runs_the_image_by_its_digest_and_says_which_one_it_is(
    name: str, render_file: Callable[..., Rendered], containers_of: Callable[[Any], list[Any]]
) -> None:
    document = render_file(name).documents[1]
    containers = [document["spec"]["trainer"]] if name == "nodes-trainer" else containers_of(document)
    for container in containers:
        assert container["image"] == f"registry.example/starfreight/trainer@sha256:{HEX}"
        assert {"name": "STARFREIGHT_IMAGE", "value": f"sha256:{HEX}"} in container["env"]


@pytest.mark.parametrize("name", ALL)
def test_what_is_requested_is_the_limit_and_only_training_has_gpus(
    name: str, pod: Callable[..., Any], containers_of: Callable[[Any], list[Any]]
) -> None:
    for container in containers_of(pod(name)):
        requests, limits = container["resources"]["requests"], container["resources"]["limits"]
        assert requests == limits
        assert {"cpu", "memory", "ephemeral-storage"} <= limits.keys()
        assert any("/" in key for key in limits) == (
            container["name"] == "train" and name not in ("cpu", "sweep")
        )


@pytest.mark.parametrize("name", ALL)
def test_only_the_step_that_needs_a_secret_sees_it(
    name: str, pod: Callable[..., Any], containers_of: Callable[[Any], list[Any]]
) -> None:
    spec = pod(name, "1.34")["spec"]
    secret = {volume["name"] for volume in spec["volumes"] if "secret" in volume}
    for container in containers_of(spec):
        mounted = {mount["name"] for mount in container["volumeMounts"]} & secret
        assert mounted == {"push"} & secret if container["name"] == "publish" else mounted <= {"pull"}
        assert not mounted or container["name"] in ("fetch", "publish")
        assert "envFrom" not in container
        for entry in container["env"]:
            assert "secretKeyRef" not in entry.get("valueFrom", {})


def test_the_push_secret_is_there_for_publishing(
    pod: Callable[..., Any], containers_of: Callable[[Any], list[Any]]
) -> None:
    spec = pod("publish")["spec"]
    publish = containers_of(spec)[-1]
    assert publish["name"] == "publish"
    mount = next(mount for mount in publish["volumeMounts"] if mount["name"] == "push")
    assert {"name": "DOCKER_CONFIG", "value": mount["mountPath"]} in publish["env"]
    volume = next(volume for volume in spec["volumes"] if volume["name"] == "push")
    assert volume["secret"]["items"] == [{"key": ".dockerconfigjson", "path": "config.json"}]


def test_the_job_publishes_the_recipe_s_formats(
    pod: Callable[..., Any], containers_of: Callable[[Any], list[Any]], write_job: Callable[..., Path]
) -> None:
    reference = "ghcr.io/acme/coder:1.0"
    for formats, expected in (("", []), (", formats: [modelpack, docker]", ["--format", "modelpack,docker"])):
        image = f"ghcr.io/acme/trainer@sha256:{HEX}"
        recipe = write_job(
            run=f'{{gpus: 0, where: kubernetes, image: "{image}", kubernetes: {{until: publish}}}}',
            more=f'publish: {{reference: "{reference}"{formats}}}',
        )
        args = containers_of(pod(recipe)["spec"])[-1]["args"]
        assert args[args.index(reference) + 1 :] == expected


@pytest.mark.parametrize("name", ALL)
def test_every_mount_has_its_volume_and_every_volume_a_mount(
    name: str, pod: Callable[..., Any], containers_of: Callable[[Any], list[Any]]
) -> None:
    for version in ("1.37", "1.34"):
        spec = pod(name, version)["spec"]
        mounted = {mount["name"] for one in containers_of(spec) for mount in one["volumeMounts"]}
        assert mounted == {volume["name"] for volume in spec["volumes"]}
        for container in containers_of(spec):
            assert {"runs", "tmp", "cache", "shm"} <= {mount["name"] for mount in container["volumeMounts"]}


@pytest.mark.parametrize(
    ("until", "init", "main"),
    [
        ("train", ["fetch"], "train"),
        ("package", ["fetch", "train"], "package"),
        ("publish", ["fetch", "train", "package"], "publish"),
    ],
)
def test_the_steps_run_in_order_and_the_last_one_is_the_main_container(
    until: str, init: list[str], main: str, pod: Callable[..., Any]
) -> None:
    spec = pod("publish", until=until)["spec"]
    assert [step["name"] for step in spec["initContainers"]] == init
    assert [step["name"] for step in spec["containers"]] == [main]


def test_exit_codes_decide_what_is_tried_again(render_file: Callable[..., Rendered]) -> None:
    rules = render_file("cpu").documents[1]["spec"]["podFailurePolicy"]["rules"]
    # The order counts: a pod that was evicted can end with any code.
    assert rules[0]["action"] == "Ignore"
    assert rules[0]["onPodConditions"] == [{"type": "DisruptionTarget", "status": "True"}]
    actions = {code: rule["action"] for rule in rules[1:] for code in rule["onExitCodes"]["values"]}
    assert actions == {75: "Ignore", 130: "Ignore", 143: "Ignore", 2: "FailJob", 3: "FailJob"}
    for rule in rules[1:]:
        assert rule["onExitCodes"]["values"] == sorted(rule["onExitCodes"]["values"])


def judge(rules: list[dict[str, Any]], codes: dict[str, int]) -> str:
    """The action for a pod whose containers ended with these codes, by the rules of the Job controller."""
    for rule in rules:
        if "onExitCodes" not in rule:
            continue  # Conditions of the pod, of which it has none here.
        wanted = rule["onExitCodes"]
        for name, code in codes.items():
            judged = code and wanted.get("containerName") in (None, name)
            if judged and (code in wanted["values"]) == (wanted["operator"] == "In"):
                return str(rule["action"])
    return "counted"


@pytest.mark.parametrize(
    ("codes", "action"),
    [
        ({"train": 1}, "counted"),
        ({"train": 1, "vault-agent": 143}, "counted"),
        ({"train": 137, "istio-proxy": 143}, "counted"),
        ({"train": 0, "cloud-sql-proxy": 2}, "counted"),
        ({"train": 2, "vault-agent": 143}, "FailJob"),
        ({"train": 75, "vault-agent": 2}, "Ignore"),
        ({"fetch": 0, "train": 0, "package": 3}, "FailJob"),
        ({"fetch": 143}, "Ignore"),
        ({"publish": 2}, "FailJob"),
    ],
    ids=str,
)
def test_the_exit_codes_of_added_containers_decide_nothing(
    codes: dict[str, int], action: str, render_file: Callable[..., Rendered]
) -> None:
    rules = render_file("publish").documents[1]["spec"]["podFailurePolicy"]["rules"]
    assert judge(rules, codes) == action
    assert len(rules) <= 20, "more than an API server accepts"


def test_a_sweep_is_one_job_in_which_a_bad_variant_does_not_stop_the_others(
    render_file: Callable[..., Rendered], containers_of: Callable[[Any], list[Any]]
) -> None:
    rendered = render_file("sweep")
    _, job = rendered.documents
    spec = job["spec"]
    assert (spec["completions"], spec["parallelism"], spec["completionMode"]) == (6, 2, "Indexed")
    assert spec["backoffLimitPerIndex"] == 2
    assert not {"backoffLimit", "maxFailedIndexes"} & spec.keys()
    assert "FailJob" not in {rule["action"] for rule in spec["podFailurePolicy"]["rules"]}
    assert spec["template"]["spec"]["topologySpreadConstraints"][0]["labelSelector"] == {
        "matchLabels": {"dev.starfreight/run": rendered.name}
    }
    package = containers_of(job)[-1]
    assert f"/runs/.jobs/{rendered.name}-$(JOB_COMPLETION_INDEX)" in package["args"]
    # Three rounds of two variants.
    assert spec["activeDeadlineSeconds"] == 3 * (3600 + 15 * 60 + 3600 + 120)


def test_a_sweep_of_a_hundred_variants_is_one_job(
    render_file: Callable[..., Rendered], write_job: Callable[..., Path]
) -> None:
    path = write_job(more="sweep:\n  training.seed: [" + ", ".join(map(str, range(100))) + "]")
    documents = render_file(path, image=f"r.example/a/b@sha256:{HEX}").documents
    assert [document["kind"] for document in documents] == ["ConfigMap", "Job"]
    assert documents[1]["spec"]["completions"] == 100


def test_a_sweep_in_a_queue_takes_what_quota_there_is(render_file: Callable[..., Rendered]) -> None:
    least = "kueue.x-k8s.io/job-min-parallelism"
    assert least not in render_file("sweep").documents[1]["metadata"]["annotations"]
    assert render_file("sweep", queue="gpus").documents[1]["metadata"]["annotations"][least] == "1"
    assert least not in render_file("cpu", queue="gpus").documents[1]["metadata"]["annotations"]


def test_variants_that_may_have_to_go_one_after_another_get_the_time_for_it(
    render_file: Callable[..., Rendered], write_job: Callable[..., Path]
) -> None:
    path = write_job(more="sweep: {training.rank: [4, 8, 16]}", run="{gpus: 0, time_limit: 1h}")
    spec = render_file(path, image=f"r.example/a/b@sha256:{HEX}").documents[1]["spec"]
    assert spec["activeDeadlineSeconds"] == 3 * (3600 + 15 * 60 + spec_grace(spec))


def spec_grace(spec: Any) -> int:
    return int(spec["template"]["spec"]["terminationGracePeriodSeconds"])


def test_the_time_limit_is_the_jobs_deadline_with_room_and_not_the_programs(
    render_file: Callable[..., Rendered],
) -> None:
    config_map, job = render_file("cpu", time_limit="2h").documents
    assert job["spec"]["activeDeadlineSeconds"] == 2 * 3600 + 15 * 60 + 120
    assert "time_limit" not in config_map["data"]["recipe.yaml"]


def test_without_a_time_limit_a_job_that_hangs_ends_after_a_week(
    render_file: Callable[..., Rendered],
) -> None:
    week = 7 * 24 * 3600 + 15 * 60 + 120
    assert render_file("cpu").documents[1]["spec"]["activeDeadlineSeconds"] == week


def test_threads_are_what_the_pod_has_cpus_for(
    render_file: Callable[..., Rendered], containers_of: Callable[[Any], list[Any]]
) -> None:
    config_map, job = render_file("cpu", cpus=8, gpus=2).documents
    assert "threads: 4\n" in config_map["data"]["recipe.yaml"]
    assert containers_of(job)[0]["resources"]["limits"]["cpu"] == "8"


def test_a_gpu_resource_of_another_name_is_asked_for_and_its_taint_tolerated(pod: Callable[..., Any]) -> None:
    spec = pod("registry")["spec"]
    assert spec["containers"][-1]["resources"]["limits"]["nvidia.com/mig-1g.10gb"] == "1"
    tolerated = [toleration["key"] for toleration in spec["tolerations"]]
    assert tolerated == ["nvidia.com/mig-1g.10gb", "nvidia.com/gpu"]
    assert "tolerations" not in pod("cpu")["spec"]


def test_data_from_a_registry_is_mounted_where_the_server_can_and_fetched_where_not(
    pod: Callable[..., Any],
) -> None:
    digest = "0c" * 32
    new = pod("registry")["spec"]
    (image,) = [volume["image"] for volume in new["volumes"] if "image" in volume]
    assert image == {"reference": f"registry.example/acme/code@sha256:{digest}", "pullPolicy": "IfNotPresent"}
    (train,) = new["containers"]
    assert "initContainers" not in new
    mounts = {mount["mountPath"]: mount for mount in train["volumeMounts"]}
    assert mounts[f"/oci/{digest}"]["readOnly"] is True
    assert {"name": "STARFREIGHT_OCI_VOLUMES", "value": "/oci"} in train["env"]
    assert "dev.starfreight/reach-registry" not in pod("registry")["metadata"]["labels"]
    old = pod("registry", "1.35")
    assert [step["name"] for step in old["spec"]["initContainers"]] == ["fetch"]
    assert not [volume for volume in old["spec"]["volumes"] if "image" in volume]
    assert old["metadata"]["labels"]["dev.starfreight/reach-registry"] == "true"
    not_asked_for = pod("registry", oci_data="init_container")["spec"]
    assert [step["name"] for step in not_asked_for["initContainers"]] == ["fetch"]


def test_training_itself_is_offline(
    pod: Callable[..., Any], containers_of: Callable[[Any], list[Any]]
) -> None:
    for container in containers_of(pod("publish")):
        offline = {"name": "HF_HUB_OFFLINE", "value": "1"} in container["env"]
        assert offline == (container["name"] != "fetch")


def test_a_job_in_a_queue_leaves_it_to_the_queue_when_it_starts(render_file: Callable[..., Rendered]) -> None:
    job = render_file("publish").documents[1]
    assert job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "gpus"
    assert "suspend" not in job["spec"]
    job_set = render_file("nodes-jobset").documents[1]
    assert job_set["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "gpus"


def test_nodes_of_a_job_set_find_one_another(render_file: Callable[..., Rendered]) -> None:
    rendered = render_file("nodes-jobset")
    job_set = rendered.documents[1]
    (replicated,) = job_set["spec"]["replicatedJobs"]
    spec = replicated["template"]["spec"]
    assert (spec["completions"], spec["parallelism"], spec["completionMode"]) == (2, 2, "Indexed")
    (train,) = spec["template"]["spec"]["containers"]
    env = {entry["name"]: entry for entry in train["env"]}
    assert env["PET_NNODES"]["value"] == "2"
    assert env["PET_MASTER_ADDR"]["value"] == f"{rendered.name}-node-0-0.{rendered.name}"
    assert "job-completion-index" in env["PET_NODE_RANK"]["valueFrom"]["fieldRef"]["fieldPath"]
    assert spec["template"]["metadata"]["labels"]["dev.starfreight/reach-peers"] == "true"
    # One node alone cannot go on: all begin again, but not after what no retry mends.
    assert spec["backoffLimit"] == 0
    policy = job_set["spec"]["failurePolicy"]
    assert policy["maxRestarts"] == 2
    assert policy["rules"] == [
        {
            "name": "hopeless",
            "action": "FailJobSet",
            "onJobFailureReasons": ["PodFailurePolicy", "DeadlineExceeded"],
        }
    ]


def test_a_train_job_patches_what_its_runtime_does_not_say(render_file: Callable[..., Rendered]) -> None:
    document = render_file("nodes-trainer").documents[1]
    spec = document["spec"]
    assert spec["runtimeRef"]["name"] == "torch-distributed"
    assert (spec["trainer"]["numNodes"], spec["trainer"]["numProcPerNode"]) == (2, 4)
    (patch,) = spec["runtimePatches"]
    patched = patch["trainingRuntimeSpec"]["template"]["spec"]["replicatedJobs"][0]["template"]["spec"][
        "template"
    ]
    assert patched["spec"]["securityContext"]["runAsNonRoot"] is True
    (container,) = patched["spec"]["containers"]
    assert container["name"] == "node"
    assert {mount["name"] for mount in container["volumeMounts"]} == {
        volume["name"] for volume in patched["spec"]["volumes"]
    }


def test_the_same_work_has_the_same_name_whatever_the_options(render_file: Callable[..., Rendered]) -> None:
    name = render_file("cpu").name
    assert render_file("cpu", gpus=2, memory="9GB", namespace="other", queue="other").name == name
    # Another last step is other work, which finds the training done.
    assert render_file("cpu", until="package").name != name


@pytest.mark.parametrize("name", [*ALL, "nodes-trainer"])
def test_all_objects_carry_the_jobs_name_and_no_label_is_too_long(
    name: str, render_file: Callable[..., Rendered]
) -> None:
    rendered = render_file(name)
    for document in rendered.documents:
        labels = document["metadata"]["labels"]
        assert labels["dev.starfreight/run"] == labels["app.kubernetes.io/instance"] == rendered.name
        assert all(len(value) <= 63 for value in labels.values())
        digest = document["metadata"]["annotations"]["dev.starfreight/recipe-digest"]
        assert digest.startswith("sha256:" + labels["dev.starfreight/recipe"])
        assert len(digest) == 71
