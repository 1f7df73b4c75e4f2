"""Recipes that cannot run in a cluster are refused with key, reason and advice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from starfreight.errors import RecipeError
from starfreight.image import BuiltImage, remember_image
from starfreight.jobs.backends.kubernetes.manifests.render import Rendered

IMAGE = "registry.example/starfreight/trainer@sha256:" + "0a" * 32
COMMIT = "a" * 40
CLAIM = "{gpus: 0, kubernetes: {data_claim: d}}"
TWO_RANKS = "sweep: {training.rank: [4, 8]}"
TOKEN = "ghp_" + "16C7e42F292c6912E7710c838347Ae178B4a"


@pytest.fixture
def refusal(
    render_file: Callable[..., Rendered], write_job: Callable[..., Path]
) -> Callable[..., RecipeError]:
    """The error for a refused recipe."""

    def find(*, image: str | None = IMAGE, version: str = "1.37", **parts: str) -> RecipeError:
        with pytest.raises(RecipeError) as caught:
            render_file(write_job(**parts), version, image=image)
        return caught.value

    return find


@pytest.mark.parametrize(
    "parts",
    [
        {"more": f"package: {{system: 'the token is {TOKEN}'}}"},
        {"data": f'[{{source: "git:https://a:hunter2@git.example/x", revision: {COMMIT}, license: MIT}}]'},
        {"data": f'[{{source: "git:https://{TOKEN}@git.example/x", revision: {COMMIT}, license: MIT}}]'},
        {"more": "package: {parameters: {password: 'q9Zx7TmB2vLp'}}"},
        {
            "more": "package:\n  card:\n    description: |\n      -----BEGIN RSA PRIVATE KEY-----\n      "
            + "MIIEpAIBAAKCAQEA7bq" * 4
        },
    ],
    ids=[
        "token in a text",
        "password in an address",
        "token in an address",
        "password parameter",
        "private key",
    ],
)
def test_a_secret_in_the_recipe_is_refused_and_not_repeated(
    parts: dict[str, str], refusal: Callable[..., RecipeError]
) -> None:
    error = refusal(**parts)
    assert "looks like a key or a password" in error.what
    for secret in (TOKEN, "hunter2", "q9Zx7TmB2vLp", "MIIE"):
        assert secret not in str(error)


def test_digests_commits_and_plain_words_are_no_secrets(
    render_file: Callable[..., Rendered], write_job: Callable[..., Path]
) -> None:
    revision = "733247c55e3f73af49ce8e9c7949bf14af205928"
    path = write_job(
        base=f"{{model: bigcode/starcoder2-3b, revision: {revision}}}",
        data=f'[{{source: "git:https://git.example/x", revision: {revision}, license: MIT}}]',
        more="package: {card: {description: Completes tokens. Keep your password elsewhere.}}",
    )
    assert render_file(path, image=IMAGE).documents


@pytest.mark.parametrize(
    "name", ["has.dots", "has_underscores", "ends-with-dash-", "a" * 53, "starfreight-reader-1"]
)
def test_a_name_that_kubernetes_does_not_take_is_refused(
    name: str, refusal: Callable[..., RecipeError]
) -> None:
    assert refusal(name=name).where == "key name"


def test_the_longest_name_leaves_room_for_the_number_of_a_pod(
    render_file: Callable[..., Rendered], write_job: Callable[..., Path], refusal: Callable[..., RecipeError]
) -> None:
    sweep = "sweep:\n  training.seed: [" + ", ".join(map(str, range(11))) + "]"
    assert len(render_file(write_job(name="a" * 52), image=IMAGE).name) == 63
    assert len(render_file(write_job(name="a" * 49, more=sweep), image=IMAGE).name) + len("-10") == 63
    assert "room for 49" in refusal(name="a" * 50, more=sweep).what


def test_the_names_of_several_nodes_are_those_that_a_job_set_takes(
    render_file: Callable[..., Rendered], write_job: Callable[..., Path], refusal: Callable[..., RecipeError]
) -> None:
    run = "{gpus: 0, kubernetes: {nodes: 2}}"
    assert "begin it with a letter" in str(refusal(name="15b", run=run).fix)
    name = render_file(write_job(name="a" * 37, run=run), image=IMAGE).name
    assert len(f"{name}-node-0-1-abcde") <= 63
    assert "room for" in refusal(name="a" * 45, run=run).what


@pytest.mark.parametrize(
    "image",
    ["trainer", "registry.example/trainer:1.0", "registry.example/a/b@sha256:12", "UPPER@sha256:" + "a" * 64],
)
def test_an_image_without_a_digest_is_refused(image: str, refusal: Callable[..., RecipeError]) -> None:
    error = refusal(image=image)
    assert "run.image" in str(error.where)
    assert "@sha256:" in str(error.fix)


def test_without_an_image_the_one_that_was_pushed_last_is_taken(
    render_file: Callable[..., Rendered], write_job: Callable[..., Path], refusal: Callable[..., RecipeError],
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    assert "images build" in str(refusal(image=None).fix)
    built = BuiltImage(
        version=1, name="trainer", reference="starfreight/trainer:1", id="sha256:" + "1" * 64,
        platform="linux/amd64",
    )  # fmt: skip
    remember_image(built)
    assert "this machine only" in refusal(image=None).what
    remember_image(built.model_copy(update={"pushed": IMAGE}))
    pod = render_file(write_job()).documents[1]["spec"]["template"]["spec"]
    assert pod["containers"][0]["image"] == IMAGE


@pytest.mark.parametrize(
    ("parts", "where"),
    [
        ({"base": "{model: ./base, license: MIT}"}, "key base.model"),
        ({"base": "{model: ./base, license: MIT}", "run": "{gpus: 0, memory: 8GB}"}, "key base.model"),
        ({"data": "[{source: ./code, license: MIT}]"}, "key data[0].source"),
        ({"data": '[{source: "dataset:./folder", license: MIT}]'}, "key data[0].source"),
        ({"data": "[{source: ../code, license: MIT}]", "run": CLAIM}, "key data[0].source"),
        ({"data": "[{source: /etc, license: MIT}]", "run": CLAIM}, "key data[0].source"),
        ({"data": "[{source: ~/code, license: MIT}]", "run": CLAIM}, "key data[0].source"),
        ({"more": "package: {license_files: [LICENSE]}"}, "key package.license_files"),
        ({"base": "{model: acme/unknown, revision: " + COMMIT + "}"}, "key base.model"),
        ({"run": "{gpus: all}"}, "key run.gpus, or option --gpus"),
        ({"run": "{gpus: [0, 1]}"}, "key run.gpus, or option --gpus"),
        ({"run": "{kubernetes: {until: publish}}"}, "key publish"),
        ({"run": "{kubernetes: {nodes: 2, until: package}}"}, "key run.kubernetes.until"),
        ({"run": "{kubernetes: {engine: trainer}}"}, "key run.kubernetes.engine"),
        ({"run": "{kubernetes: {nodes: 2}}", "more": TWO_RANKS}, "key run.kubernetes.nodes"),
        (
            {
                "run": "{kubernetes: {until: publish}}",
                "more": "publish: {reference: 'r.example/a/b:1'}\n" + TWO_RANKS,
            },
            "key run.kubernetes.until",
        ),
        (
            {
                "run": "{kubernetes: {nodes: 2, engine: trainer}}",
                "base": f"{{model: bigcode/starcoder2-3b, revision: {COMMIT}}}",
            },
            "key run.kubernetes.engine",
        ),
        (
            {"run": "{kubernetes: {nodes: 2, engine: trainer, priority_class: high}}"},
            "key run.kubernetes.priority_class",
        ),
    ],
)
def test_what_a_cluster_cannot_do_is_refused_with_its_key(
    parts: dict[str, str], where: str, refusal: Callable[..., RecipeError]
) -> None:
    error = refusal(**parts)
    assert error.where == where
    assert error.fix


@pytest.mark.parametrize(
    "options",
    [
        "{namespace: Not_DNS}",
        "{queue: 'a b'}",
        "{gpu_resource: gpu}",
        "{node_selector: {'a b': c}}",
        "{node_selector: {a: 'b/c'}}",
        "{tolerations: [{operator: Equal, key: a}]}",
        "{tolerations: [{value: a}]}",
        "{retries: 9}",
        "{checkpoint_grace: 300}",
        "{data_path: ../elsewhere, data_claim: d}",
        "{data_path: a/../../b, data_claim: d}",
        "{data_path: a}",
        "{nodes: 0}",
    ],
)
def test_a_key_that_kubernetes_would_refuse_is_refused_when_it_is_read(
    options: str, refusal: Callable[..., RecipeError]
) -> None:
    assert "kubernetes" in refusal(run=f"{{gpus: 0, kubernetes: {options}}}").what


def test_an_unknown_base_is_rendered_when_its_needs_are_said(
    render_file: Callable[..., Rendered], write_job: Callable[..., Path]
) -> None:
    path = write_job(
        base="{model: ./base, license: MIT}",
        run="{gpus: 1, memory: 32GiB, kubernetes: {data_claim: models, ephemeral_storage: 10GiB}}",
    )
    pod = render_file(path, image=IMAGE).documents[1]["spec"]["template"]["spec"]
    assert pod["containers"][0]["resources"]["limits"]["memory"] == "32Gi"
    assert pod["containers"][0]["resources"]["limits"]["ephemeral-storage"] == "10Gi"
