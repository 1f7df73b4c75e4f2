"""Old servers: unsupported fields are left out with a warning."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from starfreight.errors import RecipeError
from starfreight.jobs.backends.kubernetes.manifests.render import Rendered
from starfreight.jobs.backends.kubernetes.manifests.versions import (
    FIELDS,
    parse_version,
)


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("1.34", (1, 34)),
        ("v1.34.2", (1, 34)),
        ("v1.31.4+k3s1", (1, 31)),
        ("1.30.5-gke.100", (1, 30)),
        ("1.33+", (1, 33)),
    ],
)
def test_versions_are_read_as_servers_write_them(text: str, version: tuple[int, int]) -> None:
    assert parse_version(text) == version


@pytest.mark.parametrize("text", ["", "latest", "1", "one.two", "1.12", "1.1000", "-1.30"])
def test_what_is_no_version_or_too_old_is_refused(text: str) -> None:
    with pytest.raises(RecipeError):
        parse_version(text)


@pytest.mark.parametrize(
    ("version", "gone"),
    [
        ("1.37", set()),
        ("1.29", set()),
        ("1.28", {"podReplacementPolicy"}),
        ("1.25", {"podReplacementPolicy", "podFailurePolicy"}),
        ("1.20", {"podReplacementPolicy", "podFailurePolicy", "ttlSecondsAfterFinished"}),
    ],
)
def test_a_field_is_left_out_exactly_where_it_is_not_known_and_a_warning_names_it(
    version: str, gone: set[str], render_file: Callable[..., Rendered]
) -> None:
    newest = render_file("cpu").documents[1]["spec"]
    rendered = render_file("cpu", version)
    assert newest.keys() - rendered.documents[1]["spec"].keys() == gone
    assert {warning.split(" ", 1)[0].removeprefix("spec.") for warning in rendered.warnings} == gone


@pytest.mark.parametrize(("version", "said"), [("1.36", 0), ("1.35", 1)])
def test_an_image_volume_that_a_server_does_not_know_is_named(
    version: str, said: int, render_file: Callable[..., Rendered]
) -> None:
    warnings = render_file("registry", version).warnings
    assert [warning.split(" ", 1)[0] for warning in warnings] == ["spec.template.spec.volumes[].image"] * said


def test_every_field_of_the_table_is_in_some_job(render_file: Callable[..., Rendered]) -> None:
    rendered = {key for name in ("cpu", "sweep") for key in render_file(name).documents[1]["spec"]}
    assert {field.path.removeprefix("spec.") for field in FIELDS} <= rendered


def test_where_exit_codes_say_nothing_a_bad_recipe_is_not_tried_again(
    render_file: Callable[..., Rendered],
) -> None:
    assert render_file("cpu", "1.25").documents[1]["spec"]["backoffLimit"] == 0


def test_where_variants_share_their_retries_one_does_not_use_them_up(
    render_file: Callable[..., Rendered],
) -> None:
    spec = render_file("sweep", "1.28").documents[1]["spec"]
    assert spec["backoffLimit"] == 12
    assert "FailIndex" not in {rule["action"] for rule in spec["podFailurePolicy"]["rules"]}


def test_without_indexed_jobs_each_variant_is_a_job_of_its_own(
    render_file: Callable[..., Rendered], containers_of: Callable[[Any], list[Any]]
) -> None:
    rendered = render_file("sweep", "1.20")
    config_map, *jobs = rendered.documents
    assert config_map["kind"] == "ConfigMap"
    assert [job["metadata"]["name"] for job in jobs] == [f"{rendered.name}-{number}" for number in range(6)]
    for number, job in enumerate(jobs):
        assert job["metadata"]["labels"]["dev.starfreight/variant"] == str(number)
        assert job["metadata"]["labels"]["dev.starfreight/run"] == rendered.name
        train, package = containers_of(job)
        assert train["args"][-5:] == ["--name", rendered.name, "--variant", str(number), "--ship"]
        assert f"/runs/.jobs/{rendered.name}-{number}" in package["args"]
        assert not {"completions", "completionMode", "backoffLimitPerIndex"} & job["spec"].keys()
    assert any(warning.startswith("spec.completionMode") for warning in rendered.warnings)


def test_an_old_server_gets_a_job_that_it_knows_every_field_of(
    render_file: Callable[..., Rendered], validate_manifest: Callable[..., None]
) -> None:
    for name in ("cpu", "publish", "sweep"):
        for document in render_file(name, "1.25").documents:
            validate_manifest(document, ["1.25"])


def test_the_table_is_in_the_documentation() -> None:
    text = (Path(__file__).parents[4] / "docs/kubernetes.md").read_text()
    for field in FIELDS:
        assert f"`{field.path}` | {field.since[0]}.{field.since[1]} |" in text
