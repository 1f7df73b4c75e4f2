"""The origin of a run reaches each step of its pods, and is in no rendered manifest."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from starfreight.jobs.backends.kubernetes.manifests.origin import add_origin
from starfreight.jobs.backends.kubernetes.manifests.render import Rendered
from starfreight.jobs.prepare.origin import find_origin
from starfreight.origin import Invoker, Origin

ORIGIN = Origin(invoker=Invoker(ci="gitlab-ci", repository="https://gitlab.example.org/acme/coder"))


@pytest.mark.parametrize("name", ["cpu", "nodes-jobset", "nodes-trainer", "publish", "sweep"])
def test_every_step_has_the_origin_once_and_hands_it_on(
    name: str,
    render_file: Callable[..., Rendered],
    containers_of: Callable[[Any], list[Any]],
    tmp_path: Path,
) -> None:
    documents = render_file(name).documents
    assert "STARFREIGHT_ORIGIN" not in json.dumps(documents)
    add_origin(documents, ORIGIN)
    add_origin(documents, ORIGIN)
    steps = [documents[1]["spec"]["trainer"]] if name == "nodes-trainer" else containers_of(documents[1])
    assert steps
    for step in steps:
        (value,) = (each["value"] for each in step["env"] if each["name"] == "STARFREIGHT_ORIGIN")
        pod = {each["name"]: str(each.get("value", "")) for each in step["env"]}
        assert find_origin(tmp_path, pod) == ORIGIN == Origin.model_validate_json(value)


def test_without_an_origin_nothing_changes(render_file: Callable[..., Rendered]) -> None:
    documents = render_file("cpu").documents
    before = copy.deepcopy(documents)
    add_origin(documents, None)
    assert documents == before
