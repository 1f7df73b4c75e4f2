"""``run.kubernetes.patch``: a part of a Job, merged into the rendered one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from starfreight.errors import InputError, RecipeError
from starfreight.jobs.backends.kubernetes.manifests.render import Rendered

IMAGE = "registry.example/starfreight/trainer@sha256:" + "0a" * 32

EVERYTHING = """
metadata:
  labels: {cost-center: ml-42}
spec:
  template:
    metadata:
      annotations: {sidecar.istio.io/inject: "false"}
    spec:
      runtimeClassName: nvidia
      schedulerName: volcano
      securityContext: {runAsUser: null, fsGroup: null, supplementalGroups: [1000]}
      affinity:
        nodeAffinity:
          requiredDuringSchedulingIgnoredDuringExecution:
            nodeSelectorTerms:
              - matchExpressions: [{key: zone, operator: In, values: [a]}]
      resourceClaims: [{name: gpu, resourceClaimTemplateName: one-gpu}]
      volumes: [{name: scratch, emptyDir: {sizeLimit: 1Gi}}]
      initContainers:
        - name: agent
          image: registry.example/agent@sha256:00
          restartPolicy: Always
      containers:
        - name: train
          env: [{name: HF_TOKEN, valueFrom: {secretKeyRef: {name: hub, key: token}}}]
          envFrom: [{configMapRef: {name: proxies}}]
          resources: {claims: [{name: gpu}]}
          volumeMounts: [{name: scratch, mountPath: /scratch}]
"""


@pytest.fixture
def patched(
    render_file: Callable[..., Rendered], write_job: Callable[..., Path], tmp_path: Path
) -> Callable[..., Rendered]:
    """Renders a small recipe with the text of a patch."""

    def render(patch: str, options: str = "", **parts: str) -> Rendered:
        (tmp_path / "cluster.yaml").write_text(patch, encoding="utf-8")
        run = f"{{gpus: 0, kubernetes: {{patch: cluster.yaml{options}}}}}"
        return render_file(write_job(run=run, **parts), image=IMAGE)

    return render


def test_a_patch_is_merged_by_name_and_keeps_the_rest(
    patched: Callable[..., Rendered], validate_manifest: Callable[..., None]
) -> None:
    # Both with the key, which is in the digest of the recipe with its options.
    plain = patched("{}").documents[1]
    job = patched(EVERYTHING).documents[1]
    validate_manifest(job, ["1.34", "1.37"])
    assert job["metadata"]["labels"] == plain["metadata"]["labels"] | {"cost-center": "ml-42"}
    template, before = job["spec"]["template"], plain["spec"]["template"]
    assert template["metadata"]["annotations"]["sidecar.istio.io/inject"] == "false"
    assert template["metadata"]["labels"] == before["metadata"]["labels"]
    pod, old = template["spec"], before["spec"]
    assert (pod["runtimeClassName"], pod["schedulerName"]) == ("nvidia", "volcano")
    kept = {
        key: value for key, value in old["securityContext"].items() if key not in ("runAsUser", "fsGroup")
    }
    assert pod["securityContext"] == kept | {"supplementalGroups": [1000]}
    assert pod["volumes"] == [*old["volumes"], {"name": "scratch", "emptyDir": {"sizeLimit": "1Gi"}}]
    assert [one["name"] for one in pod["initContainers"]] == ["agent"]
    (step,), (old_step,) = pod["containers"], old["containers"]
    assert step["image"] == old_step["image"] and step["args"] == old_step["args"]
    assert step["env"][: len(old_step["env"])] == old_step["env"]
    assert step["env"][-1]["name"] == "HF_TOKEN"
    assert step["resources"] == old_step["resources"] | {"claims": [{"name": "gpu"}]}
    assert step["volumeMounts"][-1] == {"name": "scratch", "mountPath": "/scratch"}


def test_the_exit_codes_of_a_patched_in_sidecar_decide_nothing(patched: Callable[..., Rendered]) -> None:
    rules = patched(EVERYTHING).documents[1]["spec"]["podFailurePolicy"]["rules"]
    assert {rule["onExitCodes"]["containerName"] for rule in rules[1:]} == {"train"}


def test_the_patch_is_not_part_of_the_pods_recipe_nor_of_the_jobs_name(
    patched: Callable[..., Rendered], render_file: Callable[..., Rendered], write_job: Callable[..., Path]
) -> None:
    rendered = patched(EVERYTHING)
    assert "patch" not in yaml.safe_load(rendered.documents[0]["data"]["recipe.yaml"])["run"].get(
        "kubernetes", {}
    )
    assert rendered.name == render_file(write_job(), image=IMAGE).name


def test_a_step_that_this_job_lacks_is_left_alone(patched: Callable[..., Rendered]) -> None:
    change = "spec: {template: {spec: {containers: [{name: fetch, env: [{name: HF_TOKEN, value: x}]}]}}}"
    (step,) = patched(change).documents[1]["spec"]["template"]["spec"]["containers"]
    assert "HF_TOKEN" not in {entry["name"] for entry in step["env"]}


PATCHES = sorted((Path(__file__).parents[4] / "examples/kubernetes").glob("*.yaml"))


@pytest.mark.parametrize("path", PATCHES, ids=lambda path: path.stem)
def test_the_examples_hold(
    path: Path,
    patched: Callable[..., Rendered],
    validate_manifest: Callable[..., None],
    containers_of: Callable[[Any], list[Any]],
) -> None:
    more = 'publish: {reference: "ghcr.io/acme/coder:1.0"}\npackage: {license: MIT, license_files: [MIT.txt]}'
    base = f"{{model: bigcode/starcoder2-3b, revision: {'a' * 40}}}"
    job = patched(path.read_text(), ", until: publish, data_claim: d", more=more, base=base).documents[1]
    validate_manifest(job, ["1.31", "1.37"])
    for container in containers_of(job):
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        secrets = [entry for entry in container.get("env", []) if entry["name"] == "HF_TOKEN"]
        assert not secrets or container["name"] == "fetch"


NODES = ", nodes: 2, engine: {engine}, data_claim: d"
TWO = {"options": NODES, "data": "[{source: ./code, license: MIT}]"}


@pytest.mark.parametrize("engine", ["jobset", "trainer"])
def test_jobs_on_several_nodes_are_patched_too(
    engine: str, patched: Callable[..., Rendered], validate_manifest: Callable[..., None]
) -> None:
    change = """
metadata: {labels: {team: a}}
spec:
  template:
    spec: {affinity: {podAffinity: {}}, containers: [{name: train, env: [{name: A, value: b}]}]}
"""
    job = patched(change, **TWO | {"options": NODES.format(engine=engine)}).documents[1]
    validate_manifest(job)
    assert job["metadata"]["labels"]["team"] == "a"
    text = yaml.safe_dump(job)
    assert "podAffinity" in text and "name: A" in text


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("spec: {template: {spec: {runtimeClassName: nvidia}}}", "runtimeClassName"),
        (
            "spec: {template: {spec: {containers: [{name: train, envFrom: [{secretRef: {name: a}}]}]}}}",
            "envFrom",
        ),
    ],
)
def test_a_trainjob_loses_no_field_in_silence(
    change: str, named: str, patched: Callable[..., Rendered]
) -> None:
    with pytest.raises(RecipeError, match=f"A TrainJob cannot set {named}"):
        patched(change, **TWO | {"options": NODES.format(engine="trainer")})


def pod(text: str) -> str:
    return f"spec: {{template: {{spec: {{{text}}}}}}}"


def train(text: str) -> str:
    return pod(f"containers: [{{name: train, {text}}}]")


@pytest.mark.parametrize(
    ("change", "what", "fix"),
    [
        ("kind: Deployment", "not a part of a Job", "docs kubernetes"),
        ("- a", "not a part of a Job", "docs kubernetes"),
        ("metadata: {name: other}", "'name'", "docs kubernetes"),
        ("metadata: {labels: {dev.starfreight/run: x}}", "belongs to the job", "docs kubernetes"),
        ("metadata: {labels: {app.kubernetes.io/instance: x}}", "belongs to the job", "docs kubernetes"),
        ("metadata: {labels: {kueue.x-k8s.io/queue-name: x}}", "belongs to the job", "run.kubernetes.queue"),
        ("metadata: {annotations: {inject: false}}", "not text", "docs kubernetes"),
        ("spec: {backoffLimit: 9}", "'backoffLimit'", "run.kubernetes.retries"),
        ("spec: {podFailurePolicy: null}", "'podFailurePolicy'", "docs kubernetes"),
        ("spec: {template: {metadata: {labels: {dev.starfreight/reach-registry: 'true'}}}}", "belongs", ""),
        (pod("serviceAccountName: admin"), "'serviceAccountName'", "run.kubernetes.service_account"),
        (pod("hostNetwork: true"), "'hostNetwork'", "docs kubernetes"),
        (pod("runtimeclassname: nvidia"), "'runtimeclassname'", "docs kubernetes"),
        (pod("tolerations: []"), "'tolerations'", "run.kubernetes.tolerations"),
        (pod("volumes: [{name: runs, emptyDir: {}}]"), "volume 'runs'", "another name"),
        (pod("volumes: [{emptyDir: {}}]"), "An entry of volumes has no name", "docs kubernetes"),
        (pod("containers: {name: train}"), "An entry of containers has no name", "docs kubernetes"),
        (pod("containers: [{name: proxy, env: []}]"), "no step 'proxy'", "restartPolicy: Always"),
        (pod("initContainers: [{name: train, env: []}]"), "step 'train'", "under containers"),
        (pod("initContainers: [{name: agent}]"), "no image", "add image"),
        (train("image: other"), "'image'", "run.image"),
        (train("args: [sh]"), "'args'", "docs kubernetes"),
        (train("resources: {limits: {memory: 1Ti}}"), "'limits'", "run.memory"),
        (train("env: [{name: STARFREIGHT_IMAGE, value: x}]"), "STARFREIGHT_IMAGE", "another name"),
        (train("env: [{name: HF_HUB_OFFLINE, value: '0'}]"), "HF_HUB_OFFLINE", "another name"),
        (train("volumeMounts: [{name: x, mountPath: /runs/}]"), "/runs/", "another path"),
        (train("$patch: delete"), "'$patch'", "docs kubernetes"),
    ],
    ids=str,
)
def test_what_belongs_to_the_job_cannot_be_patched(
    change: str, what: str, fix: str, patched: Callable[..., Rendered]
) -> None:
    with pytest.raises(RecipeError) as caught:
        patched(change)
    assert what in caught.value.what
    assert fix in (caught.value.fix or "")
    assert "patch" in (caught.value.where or "") or "cluster.yaml" in (caught.value.where or "")


def test_a_missing_patch_is_named(
    render_file: Callable[..., Rendered], write_job: Callable[..., Path]
) -> None:
    path = write_job(run="{gpus: 0, kubernetes: {patch: ../nowhere.yaml}}")
    with pytest.raises(InputError, match="The patch does not exist"):
        render_file(path, image=IMAGE)
